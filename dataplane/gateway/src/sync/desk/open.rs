//! What is open on this node, told to the control plane when it changed.

use std::time::Duration;

use penstock_config::hold::{OpenSession, OpenSessions, SESSIONS_MAX};
use tokio::time::{sleep, timeout};

use super::{CALL_MAX, Desk, Plane};
use crate::letters::Letter;

/// How often it is told at most.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How long cores get to say what is open.
const GATHER: Duration = Duration::from_millis(100);

/// The last reports of all cores.
#[derive(Debug, Default)]
pub(super) struct OpenBook {
    cores: Vec<(Vec<OpenSession>, u64)>,
    has_news: bool,
}

impl OpenBook {
    /// Of so many cores.
    pub(super) fn new(cores: usize) -> Self {
        Self { cores: vec![(Vec::new(), 0); cores], has_news: false }
    }

    /// Takes a core's report.
    pub(super) fn take(&mut self, core: usize, sessions: Vec<OpenSession>, open: u64) {
        if let Some(known) = self.cores.get_mut(core) {
            *known = (sessions, open);
            self.has_news = true;
        }
    }

    /// All of it is news again.
    pub(super) fn tell_again(&mut self) {
        self.has_news = true;
    }

    /// What is to be told, if there is news: the newest sessions of all cores.
    fn news(&mut self) -> Option<OpenSessions> {
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        let mut sessions: Vec<OpenSession> =
            self.cores.iter().flat_map(|(sessions, _)| sessions.iter().cloned()).collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.begun_ms));
        sessions.truncate(SESSIONS_MAX);
        let open = self.cores.iter().map(|(_, open)| *open).sum();
        Some(OpenSessions { sessions, open })
    }
}

impl<P: Plane> Desk<P> {
    /// Tells for ever.
    pub(super) async fn tell_sessions(&self) {
        loop {
            for core in &self.letters {
                // A core without room for it is asked again.
                let _ = core.try_send(Letter::Sessions);
            }
            sleep(GATHER).await;
            let news = self.open.borrow_mut().news();
            if let Some(news) = news {
                let told = timeout(CALL_MAX, self.plane.sessions(&news)).await;
                if !told.is_ok_and(|told| told.is_ok()) {
                    self.open.borrow_mut().tell_again();
                }
            }
            sleep(TELL_EVERY.saturating_sub(GATHER)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, begun_ms: u64) -> OpenSession {
        OpenSession {
            session: id.to_owned(),
            issuer: String::new(),
            subject: String::new(),
            user: String::new(),
            connection: String::new(),
            operations: Vec::new(),
            model: None,
            rule: None,
            grants: Vec::new(),
            approval: None,
            begun_ms,
            peer: String::new(),
        }
    }

    #[test]
    fn the_newest_sessions_of_all_cores_are_told_once_and_again_when_asked_for() {
        let mut book = OpenBook::new(2);
        assert!(book.news().is_none());
        book.take(0, vec![session("old", 1)], 1);
        book.take(1, vec![session("new", 2)], 4);
        book.take(7, vec![session("nobody's", 2)], 1);
        let told = book.news().unwrap();
        let ids: Vec<_> = told.sessions.iter().map(|one| one.session.as_str()).collect();
        assert_eq!((ids.as_slice(), told.open), (["new", "old"].as_slice(), 5));
        assert!(book.news().is_none());
        book.tell_again();
        assert_eq!(book.news(), Some(told));
    }

    #[test]
    fn no_more_sessions_are_told_than_one_report_holds() {
        let mut book = OpenBook::new(1);
        let many = (0..6_000).map(|number| session("x", number)).collect();
        book.take(0, many, 6_000);
        let told = book.news().unwrap();
        assert_eq!((told.sessions.len(), told.open), (SESSIONS_MAX, 6_000));
        assert_eq!(told.sessions.first().map(|one| one.begun_ms), Some(5_999));
    }
}
