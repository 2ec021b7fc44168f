//! Budget: what a parse says that it needs is enough, whatever the body.

use penstock_config::catalogue::Table;
use penstock_config::documents::Protocol;
use penstock_config::json::{Body, KEYS_MAX, TOKENS_MAX};
use penstock_config::target::Target;

fn object(keys: usize, first: usize) -> String {
    let members: Vec<String> = (first..first + keys).map(|key| format!("\"{key:x}\":0")).collect();
    format!("{{{}}}", members.join(","))
}

fn held(body: &str) -> (u64, u64) {
    let (table, _) = Table::build(Protocol::Vllm, None, &[]).expect("a table that is sound");
    let target = Target::parse(b"/m/v1/chat/completions").expect("a good target");
    let candidates = table.candidates("POST", &target).expect("a known path");
    let counted = allocation_counter::measure(|| {
        let mut scratch = Vec::with_capacity(body.len() + 64);
        scratch.extend_from_slice(body.as_bytes());
        let _ = Body::parse(scratch, candidates.wanted());
    });
    (counted.bytes_max, counted.count_total)
}

#[test]
fn no_body_takes_more_memory_than_it_is_said_to_need() {
    let whole = TOKENS_MAX * 2;
    let repeated =
        |piece: &str, tokens: usize| format!("[{}0]", piece.repeat((TOKENS_MAX - 4) / tokens));
    for body in [
        "{}".to_owned(),
        object(16, 0),
        object(KEYS_MAX, 0),
        format!("{{\"prompt\":\"{}\"}}", "\\n,".repeat(whole)),
        repeated("0,", 2),
        repeated("{},", 3),
        repeated(&format!("{},", object(17, 0)), 17 * 4 + 2),
        repeated(&format!("{},", object(KEYS_MAX, 0)), KEYS_MAX * 4 + 2),
        format!("{{\"model\":{}}}", object(KEYS_MAX, 0).repeat(2)),
        "[".repeat(whole),
        "[".repeat(TOKENS_MAX),
        "0 ".repeat(TOKENS_MAX / 2),
        "0,".repeat(TOKENS_MAX),
    ] {
        let needed = Body::bytes_needed(body.len()) as u64;
        let (held, _) = held(&body);
        assert!(held <= needed, "{held} of {needed}: {} bytes {:.40}", body.len(), body);
    }
}

#[test]
fn keys_cost_no_allocation_each() {
    let (_, few) = held(&object(32, 0));
    let (_, many) = held(&object(KEYS_MAX, 0));
    assert!(many < few + 32, "{few} {many}");
}
