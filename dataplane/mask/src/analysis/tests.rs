//! Texts under a mask with an analyser that knows a few names.

use penstock_config::documents::{Document, Source, Unreadable, parse};
use penstock_http::stream::StreamKind;
use proptest::prelude::*;

use super::*;
use crate::event::{Step, Unmaskable};
use crate::profile::{Action, Profile};
use crate::sample::terms;
use crate::stream::StreamMask;
use crate::surface::Surface;
use crate::whole::{Direction, Media, WholeMask};

/// What the analyser knows.
const NAMES: &[(&str, &str)] = &[
    ("Jane Doe", "PERSON"),
    ("Zoé", "PERSON"),
    ("New York", "LOCATION"),
    ("Acme", "ORGANIZATION"),
    ("東京", "LOCATION"),
];

fn masking(more: &str) -> Masking {
    let text = format!(
        "kind: mask\nname: pii\npatterns: [{{name: EMP, regex: \"EMP-[0-9]{{6}}\"}}]\n\
         analyzer: {{url: \"http://localhost:5002\"{more}}}\n"
    );
    let source = Source { name: "test".to_owned(), text };
    let placed = parse(&[source]).unwrap();
    let Document::Mask(mask) = placed[0].document.clone() else { panic!("a mask") };
    Masking::uniform(Arc::new(Profile::compile(&mask).unwrap()), Action::Replace)
}

/// How the analyser of a test answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answers {
    Well,
    Never,
    Lies,
    TooMuch,
}

/// Answers what is open; how many questions that were.
fn answer(analysis: &mut Analysis, answers: Answers, asked: &mut Vec<String>) {
    while let Some(question) = analysis.question() {
        let text = question.text().to_owned();
        assert!(has_letters(text.as_bytes()), "nothing is asked: {text:?}");
        asked.push(text.clone());
        match answers {
            Answers::Never => analysis.give_up(),
            Answers::Lies => {
                let end = text.chars().count() + 1;
                for (entity, end) in [(0, end), (99, 1)] {
                    let found = [Found { entity, start: 0, end }];
                    assert_eq!(analysis.answer(&found), Err(Unusable::Void));
                }
                analysis.give_up();
            }
            Answers::TooMuch => {
                let found = vec![Found { entity: 0, start: 0, end: 1 }; NAMES_MAX + 1];
                assert_eq!(analysis.answer(&found), Err(Unusable::TooMuch));
                analysis.withhold();
            }
            Answers::Well => {
                let entities = analysis.entities().to_vec();
                let found: Vec<_> = NAMES
                    .iter()
                    .flat_map(|(name, label)| {
                        let entity = entities.iter().position(|one| **one == **label).unwrap();
                        text.match_indices(name).map(move |(at, _)| (at, name.len(), entity))
                    })
                    .map(|(at, length, entity)| {
                        let start = text[..at].chars().count();
                        let end = text[..at + length].chars().count();
                        Found { entity, start, end }
                    })
                    .collect();
                assert_eq!(analysis.answer(&found), Ok(()));
            }
        }
    }
}

/// One stream of a chat.
struct Stream {
    mask: StreamMask,
    scratch: Scratch,
    answers: Answers,
    asked: Vec<String>,
}

impl Stream {
    fn new(more: &str, answers: Answers) -> Self {
        let masking = masking(more);
        let scratch = masking.profile.scratch();
        let terms = terms(Unreadable::Refuse);
        let mask = StreamMask::new(masking, terms, Surface::OpenAiChat, StreamKind::Sse).asking();
        Self { mask, scratch, answers, asked: Vec::new() }
    }

    fn event(&mut self, event: &str) -> Result<String, Unmaskable> {
        let mut out = Vec::new();
        let mut step = self.mask.event(&mut self.scratch, event.as_bytes(), &mut out)?;
        while step == Step::More {
            answer(self.mask.analysis().unwrap(), self.answers, &mut self.asked);
            step = self.mask.more(&mut self.scratch, event.as_bytes(), &mut out)?;
        }
        let out = String::from_utf8(out).unwrap();
        Ok(if step == Step::Unchanged { event.to_owned() } else { out })
    }

    fn end(&mut self) -> Result<String, Unmaskable> {
        let mut out = Vec::new();
        while self.mask.end(&mut self.scratch, &mut out)? == Step::More {
            answer(self.mask.analysis().unwrap(), self.answers, &mut self.asked);
        }
        Ok(String::from_utf8(out).unwrap())
    }

    fn stalled(&mut self) -> String {
        let mut out = Vec::new();
        self.mask.ask_stalled(&mut self.scratch);
        answer(self.mask.analysis().unwrap(), self.answers, &mut self.asked);
        self.mask.stalled(&mut self.scratch, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The text of the events that come of these pieces, and of the end.
    fn texts(&mut self, pieces: &[&str]) -> Result<Vec<String>, Unmaskable> {
        let mut texts = Vec::new();
        for piece in pieces {
            texts.push(text_of(&self.event(&delta(piece))?));
        }
        texts.push(text_of(&self.end()?));
        Ok(texts)
    }
}

fn delta(text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}}}}]}}\n\n")
}

fn text_of(events: &str) -> String {
    let events = events.split("\n\n").filter_map(|event| event.strip_prefix("data: {"));
    let text = |event: &str| {
        let event: serde_json::Value = serde_json::from_str(&format!("{{{event}")).unwrap();
        event["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
    };
    events.map(text).collect()
}

/// What a text becomes: names sentence by sentence, and then numbers.
fn expected(text: &str) -> String {
    let (mut rest, mut out) = (text, String::new());
    while !rest.is_empty() {
        let end = Cut::Sentence.end(rest.as_bytes(), false).unwrap_or(rest.len());
        let (sentence, behind) = rest.split_at(end);
        let mut sentence = sentence.to_owned();
        for (name, label) in NAMES {
            sentence = sentence.replace(name, &format!("[{label}]"));
        }
        out.push_str(&sentence);
        rest = behind;
    }
    let (mut rest, mut masked) = (out.as_str(), String::new());
    while let Some((before, behind)) = rest.split_once("EMP-") {
        masked.push_str(before);
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        let is_number = digits >= 6;
        masked.push_str(if is_number { "[EMP]" } else { "EMP-" });
        rest = if is_number { &behind[6..] } else { behind };
    }
    masked + rest
}

#[test]
fn a_sentence_goes_on_when_it_has_ended_and_was_asked_about() {
    let mut stream = Stream::new("", Answers::Well);
    let texts = stream.texts(&["I am Ja", "ne Doe of ", "Acme. And", " EMP-1", "23456"]).unwrap();
    assert_eq!(texts, ["", "", "I am [PERSON] of [ORGANIZATION]. ", "", "", "And [EMP]"]);
    assert_eq!(stream.asked, ["I am Jane Doe of Acme. ", "And EMP-123456"]);
    assert_eq!(stream.mask.masked(), 3);
    let tally: Vec<_> = stream.scratch.take_tally().collect();
    assert_eq!(tally, [(0, 1), (1, 1), (3, 1)]);
}

#[test]
fn text_that_ends_in_an_event_is_asked_about_before_that_goes() {
    let mut stream = Stream::new("", Answers::Well);
    let last = concat!(
        r#"data: {"choices":[{"index":0,"delta":{"content":" from New York"},"finish_reason""#,
        ":\"stop\"}]}\n\n"
    );
    let first = stream.event(&delta("Zoé")).unwrap();
    assert_eq!(text_of(&first), "");
    assert_eq!(text_of(&stream.event(last).unwrap()), "[PERSON] from [LOCATION]");
    let mut stream = Stream::new("", Answers::Well);
    stream.event(&delta("Zoé")).unwrap();
    let done = stream.event("data: [DONE]\n\n").unwrap();
    assert!(text_of(&done) == "[PERSON]" && done.ends_with("data: [DONE]\n\n"), "{done}");
}

#[test]
fn what_a_rule_and_an_analyser_find_is_masked_once() {
    let mut stream = Stream::new(", entities: [PERSON, EMP]", Answers::Never);
    let text = "my EMP-123456 is Jane";
    stream.event(&delta(text)).unwrap();
    let mut out = Vec::new();
    assert_eq!(stream.mask.end(&mut stream.scratch, &mut out), Ok(Step::More));
    let analysis = stream.mask.analysis().unwrap();
    let found = |entity, start, end| Found { entity, start, end };
    assert_eq!(analysis.answer(&[found(0, 0, 6), found(1, 3, 13), found(0, 17, 21)]), Ok(()));
    assert_eq!(stream.mask.end(&mut stream.scratch, &mut out), Ok(Step::Written));
    assert_eq!(text_of(std::str::from_utf8(&out).unwrap()), "[PERSON] is [PERSON]");
    assert_eq!(stream.mask.masked(), 2);
}

#[test]
fn names_written_in_escapes_and_invisible_letters_are_found() {
    let mut stream = Stream::new("", Answers::Well);
    let texts = stream.texts(&["J\u{200b}ane D", "o&#101;, Z", "oe\u{301} and Ａcme"]).unwrap();
    assert_eq!(texts.concat(), "[PERSON], Zoe\u{301} and [ORGANIZATION]");
    let arguments = r#"{\"who\":\"Jane Doe\",\"n\":[1,true],\"at\":\"New\\u0020York\"}"#;
    let event = |text: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":0,\
             \"function\":{{\"arguments\":\"{text}\"}}}}]}}}}]}}\n\n"
        )
    };
    let mut stream = Stream::new("", Answers::Well);
    let (first, second) = arguments.split_at(14);
    let told = [stream.event(&event(first)), stream.event(&event(second)), stream.end()];
    let told = told.map(Result::unwrap).concat();
    assert!(told.contains(r#"[PERSON]\",\"n\":[1,true],\"at\":\"[LOCATION]\"}"#), "{told}");
}

#[test]
fn what_an_analyser_does_not_answer_is_refused_redacted_or_passed() {
    for answers in [Answers::Never, Answers::Lies] {
        let mut stream = Stream::new("", answers);
        stream.event(&delta("Jane")).unwrap();
        assert_eq!(stream.event(&delta(" Doe. ")), Err(Unmaskable::Unanswered));
        let mut stream = Stream::new(", unavailable: redact", answers);
        let texts = stream.texts(&["Jane Doe. Then", " 12 34. EMP-123456"]).unwrap();
        assert_eq!(texts.concat(), "*** *** [EMP]");
        let mut stream = Stream::new(", unavailable: pass", answers);
        let texts = stream.texts(&["Jane Doe. Then", " 12 34. EMP-123456"]).unwrap();
        assert_eq!(texts.concat(), "Jane Doe. Then 12 34. [EMP]");
    }
}

#[test]
fn text_with_too_many_names_is_refused_or_redacted_and_never_passed() {
    let mut stream = Stream::new("", Answers::TooMuch);
    assert_eq!(stream.event(&delta("Jane Doe. ")), Err(Unmaskable::Unanswered));
    for unavailable in ["redact", "pass"] {
        let more = format!(", unavailable: {unavailable}");
        let mut stream = Stream::new(&more, Answers::TooMuch);
        let texts = stream.texts(&["Jane Doe. Then", " 12 34. EMP-123456"]).unwrap();
        assert_eq!(texts.concat(), "*** *** [EMP]", "{unavailable}");
    }
}

#[test]
fn names_across_many_texts_are_bounded_before_they_are_kept() {
    let mut question = Question::default();
    for number in 0..2_000_u16 {
        question.add(key(&number.to_be_bytes(), false), b"ab", seen(b"ab", false));
    }
    let end = question.text().chars().count();
    let across = vec![Found { entity: 0, start: 0, end }; 2_000];
    assert_eq!(question.placed(&across, NAMES_MAX), Err(Unusable::TooMuch));
    let placed = question.placed(&across[..16], NAMES_MAX).unwrap();
    assert_eq!(placed.iter().map(Vec::len).sum::<usize>(), 32_000);
}

#[test]
fn what_an_event_copies_of_waiting_texts_ends_its_turn() {
    let choice = |number: u32, text: &str| {
        delta(text).replace("\"index\":0", &format!("\"index\":{number}"))
    };
    let mut stream = Stream::new("", Answers::Well);
    let mut out = Vec::new();
    let step = stream.mask.event(&mut stream.scratch, choice(0, "12").as_bytes(), &mut out);
    assert_eq!(step, Ok(Step::Written));
    for number in 0..100 {
        stream.event(&choice(number, &"word ".repeat(100))).unwrap();
    }
    let event = choice(0, "12");
    let step = stream.mask.event(&mut stream.scratch, event.as_bytes(), &mut out);
    assert_eq!(step, Ok(Step::More));
    assert!(!stream.mask.analysis().unwrap().is_asking());
    let step = stream.mask.more(&mut stream.scratch, event.as_bytes(), &mut out);
    assert_eq!(step, Ok(Step::Written));
}

#[test]
fn text_without_words_is_not_asked_about_and_the_same_text_once() {
    let mut stream = Stream::new("", Answers::Well);
    stream.texts(&["1. 2. 3!\n\n", "Zoé. ", "Zoé. ", "- \n"]).unwrap();
    assert_eq!(stream.asked, ["Zoé. "]);
}

#[test]
fn a_text_without_letters_for_a_name_is_not_asked_about() {
    for text in [
        "\u{200b}\u{200b}",
        "\u{ad}\u{ad}\u{ad}",
        "&shy;&shy;",
        "\u{2060} \u{feff}",
        "100 %",
        "1 & 2",
        "&#37;",
        "\u{2014}\u{2014} \u{1f600}",
    ] {
        let body = format!("{{\"text\":\"{text}\"}}");
        let (masked, asked) = whole(Media::Json, &body, Answers::Well);
        assert_eq!((masked.unwrap(), asked.len()), (body, 0), "{text:?}");
    }
    for text in ["Zo", "&#90;o", "\u{674e}", "1 \u{e9}"] {
        let (_, asked) = whole(Media::Json, &format!("{{\"text\":\"{text}\"}}"), Answers::Well);
        assert_eq!(asked.len(), 1, "{text:?}");
    }
}

#[test]
fn a_stream_that_stalls_has_its_sentence_decided_but_for_the_last_word() {
    for (more, text) in [("", "I met [PERSON] and ***"), ("x", "I met [PERSON] and Wash")] {
        let mut stream = Stream::new("", Answers::Well);
        stream.mask = {
            let release =
                crate::stream::Terms { stalled_release: more == "x", ..terms(Unreadable::Refuse) };
            let masking = masking("");
            StreamMask::new(masking, release, Surface::OpenAiChat, StreamKind::Sse).asking()
        };
        assert_eq!(text_of(&stream.event(&delta("I met Jane Doe and Wash")).unwrap()), "");
        assert!(stream.mask.holds_text());
        assert_eq!(text_of(&stream.stalled()), text);
        assert!(!stream.mask.holds_text());
        let rest = stream.event(&delta(" of Acme.\n")).unwrap();
        assert_eq!(text_of(&rest), " of [ORGANIZATION].\n");
    }
}

#[test]
fn one_event_asks_so_many_questions_and_what_is_beyond_is_as_unanswered() {
    let text: String = (0..QUESTIONS_MAX + 9).map(|number| format!("Zoé {number}. ")).collect();
    let mut stream = Stream::new(", unavailable: redact", Answers::Well);
    let texts = stream.texts(&[&text]).unwrap().concat();
    assert_eq!(stream.asked.len(), QUESTIONS_MAX);
    assert_eq!(texts.matches("[PERSON]").count(), QUESTIONS_MAX);
    assert_eq!(texts.matches("***").count(), 9);
    let mut stream = Stream::new("", Answers::Well);
    assert_eq!(stream.texts(&[&text]), Err(Unmaskable::Unanswered));
}

#[test]
fn without_an_analyser_nobody_asks() {
    let masking = crate::sample::masking();
    assert!(Analysis::new(&masking, Cut::Sentence).is_none());
    let masking = self::masking("");
    let mut scratch = masking.profile.scratch();
    let text = crate::channel::mask_text(&masking, &mut scratch, "Zoé EMP-123456");
    assert_eq!(text, "Zoé [EMP]");
}

/// A whole body with its texts masked, and what was asked.
fn whole(media: Media, body: &str, answers: Answers) -> (Result<String, Unmaskable>, Vec<String>) {
    let masking = masking("");
    let mut scratch = masking.profile.scratch();
    let terms = terms(Unreadable::Refuse);
    let surface = Surface::OpenAiChat;
    let mut mask = WholeMask::new(masking, terms, surface, media, Direction::Response).asking();
    let (mut out, mut asked) = (Vec::new(), Vec::new());
    loop {
        match mask.step(&mut scratch, body.as_bytes(), &mut out) {
            Ok(Step::More) => answer(mask.analysis().unwrap(), answers, &mut asked),
            Ok(Step::Unchanged) => return (Ok(body.to_owned()), asked),
            Ok(Step::Written) => return (Ok(String::from_utf8(out).unwrap()), asked),
            Err(error) => return (Err(error), asked),
        }
    }
}

#[test]
fn the_texts_of_a_whole_answer_are_asked_about_together() {
    let body = concat!(
        r#"{"id":"c","choices":[{"message":{"content":"I am J\u0061ne Doe.","refusal":"no 12","#,
        r#""tool_calls":[{"function":{"name":"f","arguments":"{\"at\": \"New York\", \"n\": 7}""#,
        r#"}}]},"finish_reason":"tool_calls"}],"x":[1.5e3,true,"Acme"],"Zo\u00e9":{"Zed":1}}"#
    );
    let (masked, asked) = whole(Media::Json, body, Answers::Well);
    let expected = body
        .replace(r"J\u0061ne Doe", "[PERSON]")
        .replace("New York", "[LOCATION]")
        .replace("Acme", "[ORGANIZATION]")
        .replace("Zo\\u00e9", "[PERSON]");
    assert_eq!(masked.unwrap(), expected);
    // Names of members, reasons and words of JSON are no question.
    let question = "I am Jane Doe.\n\nno 12\n\nNew York\n\nAcme\n\nZoé";
    assert_eq!(asked, [question]);
    assert_eq!(whole(Media::Json, body, Answers::Never).0, Err(Unmaskable::Unanswered));
    let unchanged = r#"{ "choices":[{"message":{"content":"no \u006eames"}}]}"#;
    assert_eq!(whole(Media::Json, unchanged, Answers::Well).0.unwrap(), unchanged);
}

#[test]
fn a_long_text_is_asked_about_in_passages() {
    let text = "Jane Doe met Zoé in New York, EMP-123456. ".repeat(2_000);
    let (masked, asked) = whole(Media::Text, &text, Answers::Well);
    let line = "[PERSON] met [PERSON] in [LOCATION], [EMP]. ";
    assert_eq!(masked.unwrap(), line.repeat(2_000));
    assert!(asked.len() > 1 && asked.len() < 20, "{}", asked.len());
    let body = format!("{{\"choices\":[{{\"message\":{{\"content\":\"{text}\"}}}}]}}");
    let (masked, _) = whole(Media::Json, &body, Answers::Well);
    assert!(masked.unwrap().contains(&line.repeat(2_000)));
}

fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "Jane Doe",
        "Zoé",
        "New York",
        "Acme",
        "東京",
        "EMP-123456",
        "EMP-12",
        "word",
        "Mr.",
        ".",
        "!",
        "?\"",
        "\n",
        " ",
        " ",
        " ",
        "é",
        "。",
        "&amp;",
        "a\u{200b}b",
        "12",
        "x\\n",
    ]);
    let long = prop::sample::select(vec!["", "", "", "word after word, ", "unbroken"]);
    (prop::collection::vec(word, 0..60), long, 0..150_usize).prop_map(|(words, long, times)| {
        let mut text = words.concat();
        let middle = text.floor_char_boundary(text.len() / 2);
        text.insert_str(middle, &long.repeat(times));
        text
    })
}

proptest! {
    #[test]
    fn any_cut_of_a_text_gives_what_its_sentences_give(
        text in words(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut bounds: Vec<usize> =
            cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        bounds.extend([0, text.len()]);
        bounds.sort_unstable();
        let pieces: Vec<&str> = bounds.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        let mut stream = Stream::new("", Answers::Well);
        let texts = stream.texts(&pieces).unwrap().concat();
        prop_assert_eq!(&texts, &expected(&text));
        let mut whole = Stream::new("", Answers::Well);
        prop_assert_eq!(whole.texts(&[&text]).unwrap().concat(), texts);
        // The questions are the same, but that an empty rest is none.
        prop_assert_eq!(whole.asked, stream.asked);
    }
}
