//! Mail from any thread to a task of a reactor: a bounded queue and one waker. In: values. Out: the
//! same values in order, at one receiver. Never: a wait on the sending side; a full mailbox is an
//! answer.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use crossbeam_channel::{TryRecvError, TrySendError};
use futures_util::task::AtomicWaker;

/// Makes a mailbox that holds at most `capacity` values (at least one).
pub fn bounded<T: Send>(capacity: usize) -> (MailSender<T>, MailReceiver<T>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity.max(1));
    let waker = Arc::new(AtomicWaker::new());
    let sender = MailSender { queue: Some(sender), waker: Arc::clone(&waker) };
    (sender, MailReceiver { queue: receiver, waker })
}

/// The sending side; clones send to the same receiver.
pub struct MailSender<T> {
    /// None only while it is dropped.
    queue: Option<crossbeam_channel::Sender<T>>,
    waker: Arc<AtomicWaker>,
}

/// The receiving side: one task.
pub struct MailReceiver<T> {
    queue: crossbeam_channel::Receiver<T>,
    waker: Arc<AtomicWaker>,
}

/// A value that was not delivered, with the reason.
#[derive(Clone, Copy, Eq, PartialEq, thiserror::Error)]
pub enum SendError<T> {
    /// The mailbox holds as many values as it may.
    #[error("mailbox full")]
    Full(T),
    /// The receiver is gone.
    #[error("mailbox closed")]
    Closed(T),
}

impl<T: Send> MailSender<T> {
    /// Puts a value into the mailbox and wakes the receiver. Never waits.
    ///
    /// # Errors
    /// The mailbox is full, or its receiver is gone.
    pub fn try_send(&self, mail: T) -> Result<(), SendError<T>> {
        let Some(queue) = &self.queue else { return Err(SendError::Closed(mail)) };
        match queue.try_send(mail) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(mail)) => Err(SendError::Full(mail)),
            Err(TrySendError::Disconnected(mail)) => Err(SendError::Closed(mail)),
        }
    }
}

impl<T> Clone for MailSender<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), waker: Arc::clone(&self.waker) }
    }
}

impl<T> Drop for MailSender<T> {
    fn drop(&mut self) {
        // The queue first: the receiver must find it closed if this was the last sender.
        self.queue = None;
        self.waker.wake();
    }
}

impl<T: Send> MailReceiver<T> {
    /// The next value; none once every sender is gone and the mailbox is empty. Dropping the future
    /// loses nothing.
    pub async fn receive(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// [`Self::receive`] as a poll.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if let Poll::Ready(mail) = self.look() {
            return Poll::Ready(mail);
        }
        self.waker.register(cx.waker());
        // Mail that came before the waker was in place woke nobody: look again.
        self.look()
    }

    /// The next value if there is one now.
    pub fn try_receive(&mut self) -> Option<T> {
        self.queue.try_recv().ok()
    }

    fn look(&self) -> Poll<Option<T>> {
        match self.queue.try_recv() {
            Ok(mail) => Poll::Ready(Some(mail)),
            Err(TryRecvError::Disconnected) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
        })
    }
}

impl<T> fmt::Debug for MailSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailSender")
    }
}

impl<T> fmt::Debug for MailReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailReceiver")
    }
}

#[cfg(test)]
mod tests;
