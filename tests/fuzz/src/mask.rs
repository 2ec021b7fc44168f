//! Masked text and masked streams: no value is cut so that part of it goes out, whatever the
//! pieces, and no bytes make it panic or write without end.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use penstock_config::documents::Unreadable;
use penstock_http::stream::{Boundary, StreamKind};
use penstock_mask::catalogue::catalogue;
use penstock_mask::channel::{Channel, mask_text};
use penstock_mask::event::{Step, Unmaskable};
use penstock_mask::fold::UNDECIDED_BYTES_MAX;
use penstock_mask::profile::{Action, Masking, Profile, Scratch};
use penstock_mask::stream::{StreamMask, Terms};
use penstock_mask::surface::Surface;

use crate::chance::{Chance, made_long};

static MASKING: LazyLock<Masking> = LazyLock::new(|| {
    let rules = catalogue().iter().flat_map(|detector| detector.rules()).collect();
    let profile = Profile::from_rules(rules).expect("the catalogue's rules");
    Masking::uniform(Arc::new(profile), Action::Replace)
});

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(MASKING.profile.scratch());
}

const SURFACES: [Surface; 8] = [
    Surface::OpenAiChat,
    Surface::OpenAiResponses,
    Surface::AnthropicMessages,
    Surface::Ollama,
    Surface::Generate,
    Surface::Cohere,
    Surface::Gemini,
    Surface::Other,
];

/// What stands for text that is redacted without a name: it came to be since the text would have
/// taken too long, or held too much that can't be seen, and both depend on the pieces.
const REDACTED: &str = "***";

/// Most bytes that are written for one that comes: a tag, or a copy of an event that tells what was
/// held of one of its texts.
const WRITTEN_PER_BYTE: usize = 512;

/// By its first byte: a text, a text told by a model server, or a stream as it stands.
pub(crate) fn check(bytes: &[u8]) -> bool {
    let Some((&first, rest)) = bytes.split_first() else { return false };
    SCRATCH.with_borrow_mut(|scratch| match first % 4 {
        0 => text(scratch, rest, first & 4 != 0),
        1 => told(scratch, rest),
        _ => stream(scratch, rest, usize::from(first >> 2)),
    })
}

/// Any split gives what the whole gives.
fn text(scratch: &mut Scratch, bytes: &[u8], escapes: bool) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let whole = split(scratch, &text, &[], escapes);
    let mut chance = Chance::of(bytes);
    for count in [1, 3, 9, text.len()] {
        let cuts = chance.cuts(count, text.len());
        let in_pieces = split(scratch, &text, &cuts, escapes);
        if !whole.contains(REDACTED) && !in_pieces.contains(REDACTED) {
            assert_eq!(whole, in_pieces, "{text:?} cut at {cuts:?}");
        }
    }
    stalled(scratch, &text, &mut chance);
    if let Some(long) = made_long(bytes) {
        mask_text(&MASKING, scratch, &String::from_utf8_lossy(&long));
    }
    whole != text
}

fn split(scratch: &mut Scratch, text: &str, cuts: &[usize], escapes: bool) -> String {
    let (mut channel, mut out, mut from) = (Channel::new(escapes), Vec::new(), 0);
    for cut in cuts.iter().copied().chain([text.len()]) {
        let cut = text.ceil_char_boundary(cut);
        channel.push(&MASKING, scratch, &text.as_bytes()[from..cut], &mut out);
        from = cut;
    }
    channel.finish(&MASKING, scratch, &mut out);
    assert_eq!(channel.held_bytes(), 0);
    assert!(out.len() <= text.len().saturating_mul(WRITTEN_PER_BYTE));
    String::from_utf8(out).expect("text")
}

/// Time that runs out anywhere: nothing stays held but the front of an escape.
fn stalled(scratch: &mut Scratch, text: &str, chance: &mut Chance) {
    let (mut channel, mut out, mut from) = (Channel::new(false), Vec::new(), 0);
    for cut in chance.cuts(3, text.len()) {
        let cut = text.ceil_char_boundary(cut);
        channel.push(&MASKING, scratch, &text.as_bytes()[from..cut], &mut out);
        let is_released = chance.up_to(1) == 0;
        channel.stalled(&MASKING, scratch, is_released, &mut out);
        assert!(channel.held_bytes() <= if is_released { 0 } else { UNDECIDED_BYTES_MAX });
        from = cut;
    }
}

fn terms(unreadable: Unreadable) -> Terms {
    Terms { unreadable, stalled_release: false, fields: Arc::new([]) }
}

/// A chat's answer, told in pieces: its reader gets the whole, masked.
fn told(scratch: &mut Scratch, bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let whole = mask_text(&MASKING, scratch, &text);
    let cuts = Chance::of(bytes).cuts(8, text.len());
    let (mut body, mut from) = (Vec::new(), 0);
    for cut in cuts.iter().copied().chain([text.len()]) {
        let cut = text.ceil_char_boundary(cut);
        let delta = serde_json::json!({"content": text[from..cut]});
        let event = serde_json::json!({"choices": [{"index": 0, "delta": delta}]});
        body.extend_from_slice(format!("data: {event}\n\n").as_bytes());
        from = cut;
    }
    let mask =
        StreamMask::new(MASKING.clone(), terms(Unreadable::Refuse), SURFACES[0], StreamKind::Sse);
    let out = run(scratch, mask, StreamKind::Sse, &body).expect("a chat");
    let out = String::from_utf8(out).expect("text");
    let read: String = out
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str::<serde_json::Value>(data).expect("JSON"))
        .filter_map(|event| Some(event.pointer("/choices/0/delta/content")?.as_str()?.to_owned()))
        .collect();
    if !whole.contains(REDACTED) && !read.contains(REDACTED) {
        assert_eq!(read, whole, "{text:?} cut at {cuts:?}");
    }
    whole != text
}

/// Whatever the bytes are: an answer in bounds.
fn stream(scratch: &mut Scratch, body: &[u8], choice: usize) -> bool {
    let kind = if choice & 1 == 0 { StreamKind::Sse } else { StreamKind::Ndjson };
    let unreadable = [Unreadable::Refuse, Unreadable::Strip, Unreadable::Pass][(choice >> 1) % 3];
    let surface = SURFACES[(choice >> 2) % SURFACES.len()];
    let mask = StreamMask::new(MASKING.clone(), terms(unreadable), surface, kind);
    run(scratch, mask, kind, body).is_ok_and(|out| out != body)
}

fn run(
    scratch: &mut Scratch,
    mut mask: StreamMask,
    kind: StreamKind,
    body: &[u8],
) -> Result<Vec<u8>, Unmaskable> {
    let (mut all, mut rest, mut boundary) = (Vec::new(), body, Boundary::new(kind));
    let mut chance = Chance::of(body);
    while !rest.is_empty() {
        let (event, behind) = rest.split_at(boundary.first(rest).unwrap_or(rest.len()));
        rest = behind;
        let mut out = Vec::new();
        let mut step = mask.event(scratch, event, &mut out)?;
        while step == Step::More {
            step = mask.more(scratch, event, &mut out)?;
        }
        all.extend_from_slice(if step == Step::Unchanged { event } else { &out });
        if kind == StreamKind::Ndjson && chance.up_to(7) == 0 {
            mask.stalled(scratch, &mut all);
            assert!(!mask.holds_text());
        }
    }
    let mut out = Vec::new();
    while mask.end(scratch, &mut out)? == Step::More {}
    assert!(!mask.holds_text());
    all.extend_from_slice(&out);
    assert!(all.len() <= body.len().saturating_mul(WRITTEN_PER_BYTE), "{} bytes", all.len());
    Ok(all)
}
