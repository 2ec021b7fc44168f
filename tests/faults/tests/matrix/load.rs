//! Callers that ask without a pause, and fail the test at the first answer that is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use penstock_harness::{ClientError, RawClient, eventually};

/// What they do and saw.
pub(crate) struct Load {
    gateway: String,
    request: String,
    stop: AtomicBool,
    /// The end of a connection between two requests, or the word that the node is about to stop, is
    /// no failure any more, but the end of a caller.
    may_close: AtomicBool,
    answered: AtomicUsize,
}

/// Stops the load also when the test fails.
struct Stopping<'l>(&'l Load);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

impl Load {
    /// Callers that all send this.
    pub(crate) fn new(gateway: &str, request: &str) -> Self {
        Self {
            gateway: gateway.to_owned(),
            request: request.to_owned(),
            stop: AtomicBool::new(false),
            may_close: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
        }
    }

    /// Runs so many callers while `meanwhile` runs.
    pub(crate) fn run(&self, callers: usize, meanwhile: impl FnOnce()) {
        thread::scope(|scope| {
            let stopping = Stopping(self);
            for _ in 0..callers {
                scope.spawn(|| self.ask());
            }
            meanwhile();
            drop(stopping);
        });
    }

    /// Waits until so many more requests were answered.
    pub(crate) fn go_on(&self, count: usize) {
        let goal = self.answered() + count;
        eventually("requests that are answered", || (self.answered() >= goal).then_some(()));
    }

    /// Requests that were answered.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// From now on a caller may be sent away, without an answer that is half.
    pub(crate) fn allow_closing(&self) {
        self.may_close.store(true, Ordering::SeqCst);
    }

    fn ask(&self) {
        let mut client = RawClient::connect(&self.gateway);
        while !self.stop.load(Ordering::SeqCst) {
            client.send(&self.request);
            let response = match client.read_response() {
                Ok(response) => response,
                // Nothing of an answer: the connection was closed between two requests.
                Err(ClientError::Closed(bytes) | ClientError::Reset(bytes))
                    if bytes.is_empty() && self.may_close.load(Ordering::SeqCst) =>
                {
                    return;
                }
                Err(error) => panic!("a request was lost: {error}"),
            };
            let drained = response.status == 503 && response.text().contains("\"draining\"");
            if drained && self.may_close.load(Ordering::SeqCst) {
                return;
            }
            assert_eq!(response.status, 200, "{}", response.text());
            self.answered.fetch_add(1, Ordering::SeqCst);
            if response.header("connection") == Some("close") {
                if self.may_close.load(Ordering::SeqCst) {
                    return;
                }
                client = RawClient::connect(&self.gateway);
            }
        }
    }
}
