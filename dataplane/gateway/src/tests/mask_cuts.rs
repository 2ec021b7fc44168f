//! Masks that change under exchanges that run, where those are to end.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use penstock_config::node::Position;
use penstock_reactor::memory::{Link, Peer};
use penstock_reactor::network::Network as _;

use super::desk::documents_with_chat;
use super::masked::{MASK, STOP, STREAM, begin, chunk, delta, masked, stage, text_of};
use super::stage::{Answer, MODEL_KEY, Stage, chat};
use super::streams::dechunk;
use crate::leases::tests::leases;
use crate::reason::Reason;
use crate::registry::OpenExchange;

const CUT: &str = "\"code\":\"mask_changed\"";

/// The usual documents under a mask that knows a word and no employees.
fn other() -> String {
    let other = masked("").replace(
        "patterns: [{name: EMPLOYEE_ID, regex: \"EMP-[0-9]{6}\"}]",
        "words: [{name: PROJECT, list: [bluebird]}]",
    );
    assert_ne!(other, masked(""));
    other
}

/// From the next policy on, exchanges on a connection end that began before that version.
fn cut(stage: &mut Stage, connection: &str, version: u64) {
    let position = Position { epoch: 1, version, revision: 0 };
    stage.mask_cuts.insert(connection.to_owned(), position);
}

fn rest(stage: &mut Stage, caller: &mut Peer) -> Vec<u8> {
    stage.simulation.run_until(caller.read_to_end()).unwrap().unwrap()
}

/// Writes an event to a caller, who has it, perhaps with the head before it.
fn pass(stage: &mut Stage, server: &mut Peer, caller: &mut Peer, content: &str) -> Vec<u8> {
    let run = stage.simulation.run_until(async {
        server.write(&chunk(&delta(content))).await.unwrap();
        caller.read_until(b"\n\n\r\n").await.unwrap()
    });
    run.unwrap()
}

/// A stream comes to its own end.
fn ends_well(stage: &mut Stage, server: &mut Peer, caller: &mut Peer) {
    let run = stage.simulation.run_until(async {
        server.write(&chunk(STOP)).await.unwrap();
        server.write(b"0\r\n\r\n").await.unwrap();
        caller.read_until(b"\r\n0\r\n\r\n").await.unwrap()
    });
    let end = String::from_utf8(run.unwrap()).unwrap();
    assert!(end.contains("[DONE]") && !end.contains("error"), "{end}");
}

#[test]
fn a_stream_that_began_under_another_mask_ends_with_an_error_event_and_nothing_that_was_held() {
    let mut stage = stage("");
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let mut got = pass(&mut stage, &mut server, &mut caller, "so EMP-12");
    cut(&mut stage, "llama", 2);
    stage.enforce(&other());
    got.extend(rest(&mut stage, &mut caller));
    let (data, ended) = dechunk(&got);
    assert!(ended && data.contains(CUT) && !data.contains("[DONE]"), "{data}");
    assert_eq!(text_of(data.split("data: {\"error\"").next().unwrap()), "so ");
    assert!(!data.contains("EMP"), "{data}");
    let line = &stage.log()[0];
    assert_eq!((&line["reason"], &line["status"]), (&"mask_changed".into(), &200.into()));
    assert_eq!(stage.core.counters.ended_by_label(Reason::MaskChanged.index()), 1);
}

#[test]
fn an_exchange_that_begins_after_the_change_goes_on_through_every_later_snapshot() {
    let mut stage = stage("");
    cut(&mut stage, "llama", 2);
    stage.enforce(&other());
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    pass(&mut stage, &mut server, &mut caller, "EMP-123456 ");
    // The same cut stands in all that follow.
    stage.enforce(&other());
    stage.enforce(&masked(""));
    let got = pass(&mut stage, &mut server, &mut caller, "and bluebird. ");
    assert!(String::from_utf8(got).unwrap().contains("and [PROJECT]. "));
    ends_well(&mut stage, &mut server, &mut caller);
    drop((server, caller));
    stage.simulation.settle();
    // A later one concerns it.
    let (mut caller, _server) = begin(&mut stage, &["engineers"]);
    cut(&mut stage, "llama", 5);
    stage.enforce(&other());
    let got = rest(&mut stage, &mut caller);
    assert!(String::from_utf8(got).unwrap().contains(CUT));
}

#[test]
fn a_cut_of_another_connection_or_of_an_earlier_version_ends_nothing() {
    let mut stage = stage("");
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    cut(&mut stage, "llama", 1);
    cut(&mut stage, "llama2", 2);
    stage.enforce(&other());
    pass(&mut stage, &mut server, &mut caller, "EMP-123456 ");
    ends_well(&mut stage, &mut server, &mut caller);
}

#[test]
fn what_runs_in_clear_text_ends_when_a_mask_comes() {
    let mut stage = Stage::new();
    let (mut caller, mut server) = begin(&mut stage, &["engineers"]);
    let mut got = pass(&mut stage, &mut server, &mut caller, "EMP-123456 ");
    cut(&mut stage, "llama", 2);
    stage.enforce(&masked(""));
    got.extend(rest(&mut stage, &mut caller));
    let (data, ended) = dechunk(&got);
    assert!(ended && data.contains(CUT) && data.contains("EMP-123456"), "{data}");
}

#[test]
fn an_answer_that_is_gathered_and_a_request_that_waits_for_a_place_are_503_and_may_come_again() {
    let limits = "{upstream_requests_per_endpoint_max: 1}";
    let mut stage = Stage::limited(1, Link::default(), &masked(""), limits);
    let request = chat(&stage.token("ann", &["engineers"]));
    let mut gathered = stage.send(&request);
    let (mut server, _) = stage.server();
    let begun = async {
        server.read_until(b"}]}").await.unwrap();
        server.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n").await.unwrap();
        server.write(b"Content-Length: 90\r\n\r\n{\"choices\":[").await.unwrap();
    };
    stage.simulation.run_until(begun).unwrap();
    let mut waits = stage.send(&request);
    stage.simulation.settle();
    assert_eq!(stage.core.endpoints.waiting(), 1);
    cut(&mut stage, "llama", 2);
    stage.enforce(&other());
    for caller in [&mut gathered, &mut waits] {
        let answer = Answer::parse(&rest(&mut stage, caller));
        assert_eq!((answer.status, &answer.error()["code"]), (503, &"mask_changed".into()));
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
    }
}

/// More exchanges than are looked at between two yields, and one that is decided in between.
#[test]
fn every_exchange_that_began_before_ends_and_one_that_registers_meanwhile_does_not() {
    let mut stage = stage("");
    let request = chat(&stage.token("ann", &["engineers"]));
    let mut callers: Vec<Peer> = (0..320).map(|_| stage.send(&request)).collect();
    let servers: Vec<_> = callers.iter().map(|_| stage.server()).collect();
    let (begin, last) = request.split_at(request.len() - 1);
    let mut late = stage.send(begin);
    stage.simulation.settle();
    let (core, network) = (Rc::clone(&stage.core), stage.network.clone());
    let (last, generation) = (last.as_bytes().to_vec(), core.generation());
    let enforced_then = Rc::new(Cell::new(0));
    let seen = Rc::clone(&enforced_then);
    stage.network.spawn(async move {
        while core.generation() == generation {
            network.yield_now().await;
        }
        late.write(&last).await.unwrap();
        let has_begun = |one: &Rc<OpenExchange>| {
            one.began_under.get().is_some_and(|position| position.version == 2)
        };
        while !core.registry.any(has_begun) {
            network.yield_now().await;
        }
        seen.set(core.counters.position().version);
        late.read_to_end().await.unwrap();
    });
    cut(&mut stage, "llama", 2);
    stage.enforce(&other());
    assert_eq!(enforced_then.get(), 1, "the walk was under way");
    for caller in &mut callers {
        let answer = Answer::parse(&rest(&mut stage, caller));
        assert_eq!((answer.status, &answer.error()["code"]), (503, &"mask_changed".into()));
    }
    drop(servers);
    let (mut server, _) = stage.server();
    let goes_on = async {
        server.read_until(b"}]}").await.unwrap();
        server.write(STREAM.as_bytes()).await.unwrap();
        server.write(&chunk(STOP)).await.unwrap();
        server.write(b"0\r\n\r\n").await.unwrap();
    };
    stage.simulation.run_until(goes_on).unwrap();
    let lines = stage.log();
    assert_eq!((lines.len(), &lines[320]["reason"]), (321, &"served".into()));
}

fn held_under(mask: &str) -> String {
    let of =
        documents_with_chat().replace("protocol: llamacpp\n", "protocol: llamacpp\nmask: pii\n");
    format!("{of}{mask}\n")
}

/// A chat that waits for its approval, under the mask.
fn held() -> (Stage, Peer, Arc<crate::letters::Question>) {
    let mut stage = Stage::holding(&held_under(MASK.trim_end()), "{}");
    let request = chat(&stage.token("ann", &["engineers"]));
    let caller = stage.send(&request);
    let question = stage.question();
    stage.pending(&question);
    (stage, caller, question)
}

fn words() -> String {
    let words = "---\nkind: mask\nname: pii\nwords: [{name: PROJECT, list: [bluebird]}]\n";
    format!("\n{words}action: replace")
}

/// The answer of a model server to a request that went up late.
fn answers(stage: &mut Stage, caller: &mut Peer) -> Peer {
    let (mut server, _) = stage.server();
    let run = stage.simulation.run_until(async {
        server.read_until(b"}]}").await.unwrap();
        server.write(STREAM.as_bytes()).await.unwrap();
        server.write(&chunk(&delta("EMP-123456 and bluebird. "))).await.unwrap();
        caller.read_until(b"\n\n\r\n").await.unwrap()
    });
    let got = run.unwrap();
    assert!(String::from_utf8(got).unwrap().contains("EMP-123456 and [PROJECT]. "));
    server
}

#[test]
fn a_held_request_takes_the_mask_that_is_in_force_when_it_goes_on() {
    let (mut stage, mut caller, _) = held();
    cut(&mut stage, "llama", 2);
    stage.enforce(&held_under(&words()));
    let question = stage.decided();
    stage.grant(&question);
    let mut server = answers(&mut stage, &mut caller);
    // From then on it is like any other.
    stage.enforce(&held_under(&words()));
    pass(&mut stage, &mut server, &mut caller, "on ");
    cut(&mut stage, "llama", 4);
    stage.enforce(&held_under(MASK.trim_end()));
    let got = String::from_utf8(rest(&mut stage, &mut caller)).unwrap();
    assert!(got.contains(CUT) && got.ends_with("0\r\n\r\n"), "{got}");
}

#[test]
fn a_granted_request_that_waits_for_its_credential_takes_the_mask_that_is_in_force_then() {
    let (mut stage, mut caller, _) = held();
    stage.core.node.leases.store(Arc::default());
    let question = stage.decided();
    stage.grant(&question);
    assert!(!stage.reached_upstream(), "its credential is not here");
    cut(&mut stage, "llama", 2);
    stage.enforce(&held_under(&words()));
    stage.core.node.leases.store(Arc::new(leases("llama-key", 1, MODEL_KEY)));
    stage.pass(Duration::from_millis(500));
    answers(&mut stage, &mut caller);
}
