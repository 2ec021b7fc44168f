//! A mask for tests: `sec-` and three digits become `[SECRET]`.

use std::sync::Arc;

use penstock_config::documents::Unreadable;
use penstock_http::stream::StreamKind;

use crate::event::{Step, Unmaskable};
use crate::profile::{Action, Profile};
use crate::rule::{Guard, Rule, any};
use crate::stream::{StreamMask, Terms};
use crate::surface::Surface;
use crate::text::{Masking, Scratch};
use crate::whole::Field;

pub(crate) fn masking() -> Masking {
    let rule = Rule {
        detector: Arc::from("SECRET"),
        lead: "".into(),
        value: "sec-[0-9]{3}".into(),
        trail: "".into(),
        before: Guard::ANY,
        after: Guard::ANY,
        is_valid: any,
        context: &[],
        run: None,
    };
    let profile = Profile::from_rules(vec![rule]).unwrap();
    Masking::uniform(Arc::new(profile), Action::Replace)
}

/// Detectors of every way of the engine: e-mail addresses, cards, keys, and what only its front
/// tells.
pub(crate) fn real_masking() -> Masking {
    static REAL: std::sync::LazyLock<Masking> = std::sync::LazyLock::new(|| {
        let names =
            ["EMAIL_ADDRESS", "CREDIT_CARD", "GITHUB_TOKEN", "PASSWORD", "JWT", "PRIVATE_KEY"];
        let detectors = crate::catalogue::catalogue().iter();
        let chosen = detectors.filter(|detector| names.contains(&detector.name));
        let profile = Profile::from_rules(chosen.flat_map(|one| one.rules()).collect()).unwrap();
        Masking::uniform(Arc::new(profile), Action::Replace)
    });
    REAL.clone()
}

/// What that mask makes of a text; with `escapes`, of the inside of a string of a JSON text.
pub(crate) fn real_masked(text: &str, escapes: bool) -> String {
    thread_local! {
        static SCRATCH: std::cell::RefCell<Scratch> = scratch(&real_masking()).into();
    }
    let (mut channel, mut out) = (crate::channel::Channel::new(escapes), Vec::new());
    SCRATCH.with_borrow_mut(|scratch| {
        channel.push(&real_masking(), scratch, text.as_bytes(), &mut out);
        channel.finish(&real_masking(), scratch, &mut out);
    });
    String::from_utf8(out).unwrap()
}

pub(crate) fn scratch(masking: &Masking) -> Scratch {
    masking.profile.scratch()
}

/// What the mask makes of a text.
pub(crate) fn masked(text: &str) -> String {
    let bytes = text.as_bytes();
    let is_secret = |at: usize| {
        bytes[at..].starts_with(b"sec-")
            && bytes.len() >= at + 7
            && bytes[at + 4..at + 7].iter().all(u8::is_ascii_digit)
    };
    let (mut at, mut out) = (0, Vec::new());
    while at < bytes.len() {
        if is_secret(at) {
            out.extend_from_slice(b"[SECRET]");
            at += 7;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap()
}

pub(crate) fn terms(unreadable: Unreadable) -> Terms {
    Terms { unreadable, stalled_release: false, fields: Arc::new([]) }
}

pub(crate) fn with_fields(paths: &[&str]) -> Terms {
    let fields: Vec<_> = paths.iter().map(|path| Field::parse(path).unwrap()).collect();
    Terms { fields: fields.into(), ..terms(Unreadable::Refuse) }
}

/// One stream through the mask.
pub(crate) struct Run {
    pub(crate) mask: StreamMask,
    pub(crate) scratch: Scratch,
    /// All that goes to the caller.
    pub(crate) out: Vec<u8>,
    /// Most bytes that were scanned in one call.
    pub(crate) scanned_max: u64,
    pub(crate) is_sse: bool,
}

impl Run {
    pub(crate) fn new(surface: Surface, kind: StreamKind, terms: Terms) -> Self {
        Self::with(masking(), surface, kind, terms)
    }

    /// With another mask.
    pub(crate) fn with(masking: Masking, surface: Surface, kind: StreamKind, terms: Terms) -> Self {
        Self {
            scratch: scratch(&masking),
            mask: StreamMask::new(masking, terms, surface, kind),
            out: Vec::new(),
            scanned_max: 0,
            is_sse: kind == StreamKind::Sse,
        }
    }

    pub(crate) fn sse(surface: Surface) -> Self {
        Self::new(surface, StreamKind::Sse, terms(Unreadable::Refuse))
    }

    pub(crate) fn ndjson(surface: Surface) -> Self {
        Self::new(surface, StreamKind::Ndjson, terms(Unreadable::Refuse))
    }

    /// What goes in the place of an event.
    pub(crate) fn try_event(&mut self, event: &[u8]) -> Result<Vec<u8>, Unmaskable> {
        let (mut written, mut is_first) = (Vec::new(), true);
        let step = loop {
            let before = self.scratch.scanned_bytes();
            let step = if is_first {
                self.mask.event(&mut self.scratch, event, &mut written)?
            } else {
                self.mask.more(&mut self.scratch, event, &mut written)?
            };
            is_first = false;
            self.scanned_max = self.scanned_max.max(self.scratch.scanned_bytes() - before);
            if step != Step::More {
                break step;
            }
        };
        if step == Step::Unchanged {
            assert_eq!(written, b"");
            written = event.to_vec();
        }
        self.out.extend_from_slice(&written);
        Ok(written)
    }

    pub(crate) fn event(&mut self, event: &str) -> String {
        String::from_utf8(self.try_event(event.as_bytes()).unwrap()).unwrap()
    }

    /// An event of one line of data.
    pub(crate) fn data(&mut self, json: &str) -> String {
        self.event(&format!("data: {json}\n\n"))
    }

    pub(crate) fn end(&mut self) -> String {
        let mut written = Vec::new();
        loop {
            let before = self.scratch.scanned_bytes();
            let step = self.mask.end(&mut self.scratch, &mut written).unwrap();
            self.scanned_max = self.scanned_max.max(self.scratch.scanned_bytes() - before);
            if step != Step::More {
                break;
            }
        }
        assert!(!self.mask.holds_text());
        self.out.extend_from_slice(&written);
        String::from_utf8(written).unwrap()
    }

    pub(crate) fn stalled(&mut self) -> String {
        let mut written = Vec::new();
        self.mask.stalled(&mut self.scratch, &mut written);
        self.out.extend_from_slice(&written);
        String::from_utf8(written).unwrap()
    }
}
