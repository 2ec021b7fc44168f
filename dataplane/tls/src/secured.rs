//! A stream that is plain or TLS, so that what stands above is written once. A plain one costs a
//! branch.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use penstock_reactor::network::{NetworkError, Outgoing, Received, Receiver, Sender, Stream};

use crate::failure::Failure;
use crate::stream::{TlsReceiver, TlsSender, TlsStream};

/// A plain stream, or one in TLS.
#[derive(Debug)]
pub enum Secured<S: Stream> {
    /// Clear text.
    Plain(S),
    /// TLS.
    Tls(TlsStream<S>),
}

/// The receiving half of a [`Secured`] stream.
#[derive(Debug)]
pub enum SecuredReceiver<R> {
    /// Clear text.
    Plain(R),
    /// TLS.
    Tls(TlsReceiver<R>),
}

/// The sending half of a [`Secured`] stream.
#[derive(Debug)]
pub enum SecuredSender<S> {
    /// Clear text.
    Plain(S),
    /// TLS.
    Tls(TlsSender<S>),
}

impl<S: Stream> Stream for Secured<S> {
    type Receiver = SecuredReceiver<S::Receiver>;
    type Sender = SecuredSender<S::Sender>;

    fn peer(&self) -> SocketAddr {
        match self {
            Self::Plain(stream) => stream.peer(),
            Self::Tls(stream) => stream.peer(),
        }
    }

    fn split(self) -> (Self::Receiver, Self::Sender) {
        match self {
            Self::Plain(stream) => {
                let (receiver, sender) = stream.split();
                (SecuredReceiver::Plain(receiver), SecuredSender::Plain(sender))
            }
            Self::Tls(stream) => {
                let (receiver, sender) = stream.split();
                (SecuredReceiver::Tls(receiver), SecuredSender::Tls(sender))
            }
        }
    }
}

impl<R> SecuredReceiver<R> {
    /// Why TLS failed, if it did.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(receiver) => receiver.failure(),
        }
    }
}

impl<R: Receiver> Receiver for SecuredReceiver<R> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, NetworkError>> {
        match self {
            Self::Plain(receiver) => receiver.poll_receive(cx),
            Self::Tls(receiver) => receiver.poll_receive(cx),
        }
    }

    fn is_quiet(&mut self) -> bool {
        match self {
            Self::Plain(receiver) => receiver.is_quiet(),
            Self::Tls(receiver) => receiver.is_quiet(),
        }
    }
}

impl<S: Sender> Sender for SecuredSender<S> {
    async fn send(&mut self, outgoing: &mut Outgoing) -> Result<(), NetworkError> {
        match self {
            Self::Plain(sender) => sender.send(outgoing).await,
            Self::Tls(sender) => sender.send(outgoing).await,
        }
    }

    fn bytes_sent(&self) -> u64 {
        match self {
            Self::Plain(sender) => sender.bytes_sent(),
            Self::Tls(sender) => sender.bytes_sent(),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Plain(sender) => sender.finish(),
            Self::Tls(sender) => sender.finish(),
        }
    }

    fn abort(&mut self) {
        match self {
            Self::Plain(sender) => sender.abort(),
            Self::Tls(sender) => sender.abort(),
        }
    }
}
