//! Examples and properties of the fold.

use proptest::prelude::*;

use super::*;

fn folded_text(text: &str, escapes: bool) -> String {
    let mut into = Folded::default();
    let decided = Folder::new(escapes).fold(text.as_bytes(), 0, Behind::Nothing, &mut into);
    assert_eq!(decided, text.len());
    String::from_utf8(into.bytes).unwrap()
}

/// In two pieces or more, as a channel does it: what is undecided is given again.
fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a str>, escapes: bool) -> Folded {
    let mut folder = Folder::new(escapes);
    let mut into = Folded::default();
    let mut base = 0;
    let mut rest = String::new();
    for piece in pieces {
        rest.push_str(piece);
        let decided = folder.fold(rest.as_bytes(), base, Behind::More, &mut into);
        rest.drain(..decided);
        base += decided;
        assert!(rest.len() <= UNDECIDED_BYTES_MAX, "{rest:?} waits");
    }
    assert_eq!(folder.fold(rest.as_bytes(), base, Behind::Nothing, &mut into), rest.len());
    into
}

fn spans(folded: &Folded) -> Vec<(usize, usize)> {
    (0..folded.bytes.len()).map(|index| (folded.start_of(index), folded.end_of(index))).collect()
}

/// Where folded `part` stands in `text`.
fn original_of<'a>(text: &'a str, part: &str) -> &'a str {
    let folded = in_pieces([text], false);
    let folded_text = std::str::from_utf8(&folded.bytes).unwrap();
    let at = folded_text.find(part).unwrap_or_else(|| panic!("{part} not in {folded_text}"));
    &text[folded.span(at..at + part.len())]
}

#[track_caller]
fn assert_folds(text: &str, wanted: &str) {
    assert_eq!(folded_text(text, false), wanted);
    assert_eq!(folded_text(text, true), wanted);
}

#[test]
fn full_width_forms_become_ascii() {
    assert_folds("１２３ａ＠ｂ．ｃｏｍ", "123a@b.com");
    assert_eq!(original_of("id １２３ end", "123"), "１２３");
}

#[test]
fn decimal_digits_of_all_scripts_become_their_value() {
    assert_folds("٠١٢٣۴५৪๙𝟗𝟎𝟘𝟢𝟬𝟶𑁦", "012345499000000");
    assert_folds("৪", "4");
}

#[test]
fn raised_and_encircled_digits_are_digits_beside_another_one_only() {
    assert_folds("⁴¹¹¹ ₄₁ ④①①① ❹❶", "4111 41 4111 41");
    assert_folds("⁺⁴⁹", "+49");
    assert_folds("10² m³ ① one, a¹", "10² m³ ① one, a¹");
    assert_folds("4111¹²", "4111¹²");
    assert_folds("⁴\u{200b}¹", "41");
}

#[test]
fn ligatures_and_letters_of_mathematics_become_ascii() {
    assert_folds("oﬃce ﬁ 𝐀𝐊𝐈𝐀 𝒶𝓫𝔠 ℋℯ ⒶⓏ 🄰🅐🅰 ᵃᵇ ſ ĳ", "office fi AKIA abc He AZ AAA ab s ij");
    assert_eq!(original_of("an oﬃce", "fi"), "ﬃ");
}

#[test]
fn combining_marks_and_invisible_characters_are_dropped() {
    assert_folds("e\u{301}", "e");
    assert_folds("41\u{200b}11\u{feff}\u{ad}1\u{2060}1\u{e0041}\u{fe0f}\u{20e3}", "411111");
    assert_eq!(original_of("a 4\u{200b}1\u{feff} b", "41"), "4\u{200b}1");
}

#[test]
fn spaces_dashes_and_dots_become_ascii() {
    assert_folds("4111\u{a0}1111\u{2009}11\u{3000}1", "4111 1111 11 1");
    assert_folds("123‐45–6789−1﹣2", "123-45-6789-1-2");
    assert_folds("a@b․c。d．e", "a@b.c.d.e");
}

#[test]
fn look_alikes_become_latin_in_words_with_latin_letters_only() {
    assert_folds("jаne@exаmple.сom", "jane@example.com");
    assert_folds("АКІА1234ABCD", "AKIA1234ABCD");
    assert_folds("jοhn", "john");
    assert_folds("рука оса а", "рука оса а");
    assert_folds("А123ВС77", "А123ВС77");
    assert_folds("x@y.рс", "x@y.pc");
    assert_folds("сом.ru и", "сом.ru и");
    assert_folds("дом-а", "дом-а");
    assert_folds("дa", "дa");
}

#[test]
fn a_front_of_look_alikes_longer_than_may_wait_stays() {
    let text = format!("{}z", "а".repeat(16));
    assert_folds(&text, &text);
    assert_folds(&format!("{}z", "а".repeat(15)), &format!("{}z", "a".repeat(15)));
}

#[test]
fn html_references_are_decoded_once() {
    assert_folds("jane&#64;x &commat; &#x40;&#X40; &#0000064;", "jane@x @ @@ @");
    assert_folds("&amp;#64;", "&#64;");
    assert_folds("&nbsp;&shy;&#1072;b &#12345678901; &#0; &#xd800; &copy; & b", {
        " ab &#12345678901; &#0; &#xd800; &copy; & b"
    });
    assert_eq!(original_of("a jane&#64;x", "e@x"), "e&#64;x");
    assert_folds("&#64 &comm at; AT&T", "&#64 &comm at; AT&T");
}

#[test]
fn percent_encoding_is_decoded_one_level() {
    assert_folds("jane%40example%2Ecom", "jane@example.com");
    assert_folds("%2540", "%40");
    assert_folds("100% of 5%", "100% of 5%");
    assert_folds("%EF%BC%91%D0%B6 %D0%4", "1ж %D0%4");
    assert_folds("%ff%00", "%ff%00");
}

#[test]
fn backslash_escapes_are_decoded() {
    assert_folds(r"jane\x40example\u002ecom", "jane@example.com");
    assert_folds(r"jane\_doe\@x \\x40", r"jane_doe@x \x40");
    assert_folds(r"\ud83d\ude00 \uD83d \ude00 \u12 \u0000", "😀 \\uD83d \\ude00 \\u12 \\u0000");
    assert_folds(r"\xef\xbc\x91", "1");
    assert_folds(r#"\"\/"#, "\"/");
}

#[test]
fn escapes_of_json_are_decoded_only_in_a_json_text() {
    assert_eq!(folded_text(r"a\nb\tc\d", true), "a\nb\tc\\d");
    assert_eq!(folded_text(r"a\nb\tc\d", false), r"a\nb\tc\d");
}

#[test]
fn what_is_left_out_stays_as_it_is() {
    let text = "é ü ж 漢字 … № ™ ⅷ ⑩ ⑴ ⒈ 🇩🇪 0O 1l **4111** й";
    assert_folds(text, text);
    assert!(in_pieces([text], false).is_identity());
}

#[test]
fn plain_text_and_text_that_stays_keep_no_offsets() {
    let mut folder = Folder::new(false);
    let mut into = Folded::default();
    assert_eq!(folder.fold("abc жук 漢".as_bytes(), 0, Behind::More, &mut into), 14);
    assert!(into.is_identity());
    assert_eq!((into.start_of(5), into.end_of(5)), (4, 6));
    assert_eq!((into.start_of(12), into.end_of(12)), (11, 14));
    assert_eq!(into.span(4..10), 4..10);
    assert_eq!(into.start_of(14), 14);
    into.drain_front(4, 4);
    assert_eq!(folder.fold("x１".as_bytes(), 10, Behind::Nothing, &mut into), 4);
    assert!(!into.is_identity());
    assert_eq!(spans(&into)[..2], [(0, 2), (0, 2)]);
    assert_eq!(spans(&into)[10..], [(10, 11), (11, 14)]);
    into.drain_front(12, 14);
    folder.fold(b"abc", 0, Behind::More, &mut into);
    assert!(into.is_identity());
}

#[test]
fn a_drained_text_forgets_its_offsets_as_soon_as_it_is_its_original_again() {
    let mut folder = Folder::new(false);
    let mut into = Folded::default();
    folder.fold("１ abc é".as_bytes(), 0, Behind::More, &mut into);
    assert!(!into.is_identity());
    into.drain_front(1, 3);
    assert!(into.is_identity());
    assert_eq!(into.end_of(1), 2);
    into.drain_front(1, 0);
    assert!(!into.is_identity(), "a byte of the original was left before it");
    assert_eq!((into.start_of(0), into.start_of(1)), (1, 2));
}

#[test]
fn bytes_that_are_no_text_are_copied() {
    let mut into = Folded::default();
    let bytes = [b'a', 0xff, 0xe2, 0x82, b'b', 0xc3, 0xf0, 0x9f, 0x98];
    assert_eq!(Folder::new(false).fold(&bytes, 0, Behind::Nothing, &mut into), bytes.len());
    assert_eq!(into.bytes, bytes);
}

/// Pieces of text of which each has something to fold or just misses it.
const PARTS: &[&str] = &[
    "a",
    "jane",
    "@",
    ".",
    "-",
    " ",
    "4",
    "41",
    "&",
    "&#",
    "&#64;",
    "&#x",
    "&commat;",
    "amp;",
    "&amp;",
    "%",
    "%4",
    "%40",
    "%D0%B0",
    "%D0",
    "\\",
    "\\x",
    "\\x40",
    "\\u",
    "\\u0040",
    "\\ud83d",
    "\\ude00",
    "\\u0430",
    "\\_",
    "n",
    "0",
    ";",
    "а",
    "о",
    "р",
    "ж",
    "Ж",
    "１",
    "ａ",
    "²",
    "³",
    "①",
    "\u{200b}",
    "\u{301}",
    "é",
    "漢",
    "😀",
    "ﬃ",
    "𝐀",
    "–",
    "\u{a0}",
    "٤",
    "\u{e0041}",
    "#",
    "x",
    "\n",
    "\u{ad}",
    "ᵃ",
    "&NewLine",
    "&DiacriticalGrave",
    "40",
];

fn part() -> impl Strategy<Value = String> {
    prop_oneof![proptest::sample::select(PARTS).prop_map(str::to_owned), "\\PC{1,2}"]
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(part(), 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn bytes_of_any_kind_are_decided_and_stay_in_order(
        bytes in proptest::collection::vec(any::<u8>(), 0..80), escapes in any::<bool>(),
    ) {
        let mut into = Folded::default();
        let decided = Folder::new(escapes).fold(&bytes, 0, Behind::Nothing, &mut into);
        prop_assert_eq!(decided, bytes.len());
        let spans = spans(&into);
        prop_assert!(spans.is_sorted());
        prop_assert!(spans.iter().all(|(start, end)| start < end && *end <= bytes.len()));
    }

    #[test]
    fn a_text_folds_the_same_however_it_is_cut(
        text in text(), escapes in any::<bool>(),
        cuts in proptest::collection::vec(0..64_usize, 0..6),
    ) {
        let whole = in_pieces([text.as_str()], escapes);
        for (at, _) in text.char_indices() {
            let (front, back) = text.split_at(at);
            let cut = in_pieces([front, back], escapes);
            prop_assert_eq!(&cut.bytes, &whole.bytes, "{:?} {:?}", front, back);
            prop_assert_eq!(spans(&cut), spans(&whole));
        }
        let characters: Vec<String> = text.chars().map(String::from).collect();
        let single = in_pieces(characters.iter().map(String::as_str), escapes);
        prop_assert_eq!(&single.bytes, &whole.bytes);
        prop_assert_eq!(spans(&single), spans(&whole));
        let mut cuts: Vec<usize> =
            cuts.into_iter().filter(|cut| text.is_char_boundary(*cut)).collect();
        cuts.push(0);
        cuts.push(text.len());
        cuts.retain(|cut| *cut <= text.len());
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]);
        prop_assert_eq!(&in_pieces(pieces, escapes).bytes, &whole.bytes);
    }

    #[test]
    fn each_folded_byte_comes_from_whole_characters_in_their_order(text in text()) {
        let folded = in_pieces([text.as_str()], false);
        let mut last = (0, 0);
        for (start, end) in spans(&folded) {
            prop_assert!(start < end);
            prop_assert!(text.is_char_boundary(start) && text.is_char_boundary(end));
            prop_assert!((start, end) == last || start >= last.1, "{:?} {:?}", last, (start, end));
            // What lies between two folded characters was dropped: alone it folds to nothing.
            if start > last.1 {
                let between = folded_text(&text[last.1..start], false);
                prop_assert_eq!(between, "", "{:?}", &text[last.1..start]);
            }
            last = (start, end);
        }
        prop_assert_eq!(folded.span(0..folded.bytes.len()).end, last.1);
    }

    #[test]
    fn plain_text_folds_once_and_for_all(
        parts in proptest::collection::vec(
            proptest::sample::select(&[
                "a", "jane", "@", " ", "4", "а ", "аb", "ж", "１", "²", "①", "\u{200b}", "é",
        "ﬃ", "–",
                "٤", "漢", "x", "𝐀", "рука ",
            ][..]),
            0..30,
        ),
    ) {
        let once = folded_text(&parts.concat(), false);
        prop_assert_eq!(folded_text(&once, false), once);
    }

    #[test]
    fn ascii_without_escapes_is_itself(text in "[ -$'-\\[\\]-~]{0,200}") {
        let folded = in_pieces([text.as_str()], true);
        prop_assert!(folded.is_identity());
        prop_assert_eq!(folded.bytes, text.as_bytes());
    }
}
