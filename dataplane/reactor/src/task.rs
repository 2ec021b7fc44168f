//! A task that may panic without taking its core down. glommio lets the panic of a detached task
//! unwind through the executor, which would end every other connection of that core.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs a task; a panic in it, or in its destructor, ends it and is reported once.
///
/// The task is boxed so that it exists once in memory: an async block around another one holds it
/// twice.
pub(crate) struct Contained<Task, Report> {
    task: Option<Pin<Box<Task>>>,
    report: Report,
}

impl<Task, Report> Contained<Task, Report>
where
    Task: Future<Output = ()>,
    Report: Fn() + Unpin,
{
    pub(crate) fn new(task: Task, report: Report) -> Self {
        Self { task: Some(Box::pin(task)), report }
    }

    /// Polls; drops the task, still contained, when it has ended. True when it has.
    fn step(&mut self, cx: &mut Context<'_>) -> bool {
        let ended = match &mut self.task {
            Some(task) => task.as_mut().poll(cx).is_ready(),
            None => true,
        };
        if ended {
            self.task = None;
        }
        ended
    }
}

impl<Task, Report> Future for Contained<Task, Report>
where
    Task: Future<Output = ()>,
    Report: Fn() + Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        match catch_unwind(AssertUnwindSafe(|| this.step(cx))) {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(()),
            Err(_) => {
                (this.report)();
                let _ = catch_unwind(AssertUnwindSafe(|| this.task = None));
                Poll::Ready(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;

    struct PanicsWhenDropped;

    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("in a destructor");
            }
        }
    }

    fn reports_of(task: impl Future<Output = ()>) -> u32 {
        let reports = Rc::new(Cell::new(0));
        let counter = Rc::clone(&reports);
        let contained = Contained::new(task, move || counter.set(counter.get() + 1));
        let mut contained = Box::pin(contained);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(contained.as_mut().poll(&mut cx), Poll::Ready(()));
        drop(contained);
        reports.get()
    }

    #[test]
    fn a_panic_ends_the_task_and_is_reported_once() {
        assert_eq!(reports_of(async { panic!("inside") }), 1);
        assert_eq!(reports_of(async {}), 0);
    }

    #[test]
    fn a_panic_in_a_destructor_is_contained_too() {
        assert_eq!(reports_of(std::future::ready(()).then_drop(PanicsWhenDropped)), 1);
    }

    trait ThenDrop: Sized {
        /// Completes at once; its value is dropped with the future, not before.
        fn then_drop(self, value: PanicsWhenDropped) -> Held<Self> {
            Held { _value: value, inner: self }
        }
    }

    struct Held<F> {
        _value: PanicsWhenDropped,
        inner: F,
    }

    impl<F> ThenDrop for F {}

    impl<F: Future<Output = ()> + Unpin> Future for Held<F> {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            Pin::new(&mut self.inner).poll(cx)
        }
    }
}
