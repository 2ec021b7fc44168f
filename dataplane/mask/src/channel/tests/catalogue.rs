//! All detectors at once: texts made of their examples, what is nearly one, and pieces of both put
//! together, in any split. As many splits as `PENSTOCK_SPLITS` says, from the chance that
//! `PENSTOCK_SEED` says.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::oracle::Oracle;
use super::*;
use crate::catalogue::catalogue;
use crate::profile::{Profile, unmarked};

/// Splits of one text: the oracle is dear.
const SPLITS_OF_A_TEXT: u64 = 50;

/// Splits without a number asked for: some seconds.
const SPLITS: u64 = 20_000;

/// Most that a channel holds of a text without encodings: the longest rule, what is beside it, and
/// what the fold waits for.
const HELD_BYTES_MAX: usize = crate::rule::RULE_BYTES_MAX + 2 + crate::fold::UNDECIDED_BYTES_MAX;

/// What stands between examples: nothing and everything that holds them together or apart.
const JOINTS: &[&str] = &[
    "",
    "",
    "",
    " ",
    " ",
    "\n",
    ", ",
    ".",
    "-",
    ":",
    "@",
    "/",
    "_",
    "=",
    "\"",
    "'",
    "0",
    "1",
    "42",
    "a",
    "key",
    "+",
    "(",
    ")",
    "://",
    "id ",
    "tel ",
    "password: ",
    "token=",
    "\u{200b}",
    "\u{ad}",
    "１",
    "ａ",
    "é",
    "ж",
    "а",
    "ﬁ",
    "²",
    "&#64;",
    "&amp;",
    "&",
    "%40",
    "%",
    "\\u0040",
    "\\n",
    "\\",
    "😀",
];

/// Words that hold nothing: longer than what is looked through without the engine for literals.
const FILLER: &str = "So we went on and on over the moor, and saw nobody but a lark above it; the \
    wind blew as it had blown in spring, and none of us said much until the evening came, when \
    somebody lit a fire and the others sat down around it. ";

/// Numbers that follow from a seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// A number from the environment.
fn from_environment(name: &str, otherwise: u64) -> u64 {
    let number = |text: String| text.parse().unwrap_or_else(|_| panic!("{name}: a number"));
    std::env::var(name).map_or(otherwise, number)
}

struct Texts {
    /// Examples, values alone, near-misses.
    parts: Vec<String>,
}

impl Texts {
    fn new() -> Self {
        let mut parts = Vec::new();
        for detector in catalogue() {
            for example in detector.positives {
                let (text, value) = unmarked(example);
                parts.push(text[value].to_owned());
                parts.push(text);
            }
            parts.extend(detector.near_misses.iter().map(|text| (*text).to_owned()));
        }
        Self { parts }
    }

    /// One part, whole or a piece of it, now and then with a letter changed.
    fn part(&self, chance: &mut Chance) -> String {
        let part = chance.of(&self.parts);
        let within = |chance: &mut Chance| part.ceil_char_boundary(chance.below(part.len()));
        let range: Range<usize> = match chance.below(6) {
            0 => 0..within(chance),
            1 => within(chance)..part.len(),
            _ => 0..part.len(),
        };
        let mut text: Vec<char> = part[range].chars().take(300).collect();
        if chance.below(4) == 0 && !text.is_empty() {
            let at = chance.below(text.len());
            let other = JOINTS[chance.below(JOINTS.len())].chars().next();
            match other {
                Some(other) if chance.below(2) == 0 => text[at] = other,
                Some(other) => text.insert(at, other),
                None => drop(text.remove(at)),
            }
        }
        text.into_iter().collect()
    }

    fn text(&self, chance: &mut Chance) -> String {
        let mut text = String::new();
        if chance.below(8) == 0 {
            text.push_str(FILLER);
        }
        for _ in 0..=chance.below(4) {
            text.push_str(&self.part(chance));
            for _ in 0..=chance.below(2) {
                text.push_str(JOINTS[chance.below(JOINTS.len())]);
            }
        }
        text
    }
}

/// One text against the oracle, whole and in many splits. How many splits.
fn compare(
    masking: &Masking,
    scratch: &mut Scratch,
    oracle: &Oracle,
    (text, escapes): (&str, bool),
    chance: &mut Chance,
) -> u64 {
    let expected = oracle.masked(text, escapes);
    for _ in 0..SPLITS_OF_A_TEXT {
        let longest = [1, 2, 4, 9, 40][chance.below(5)];
        let (mut rest, mut out, mut cuts) = (text, Vec::new(), Vec::new());
        let mut channel = Channel::new(escapes);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.ceil_char_boundary(1 + chance.below(longest)));
            channel.push(masking, scratch, piece.as_bytes(), &mut out);
            cuts.push(piece.len());
            rest = behind;
            let is_plain = text.bytes().all(|byte| byte.is_ascii() && !b"&%\\".contains(&byte));
            assert!(!is_plain || channel.held_bytes() <= HELD_BYTES_MAX, "held: {text:?}");
        }
        channel.finish(masking, scratch, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, expected, "of {text:?}, {escapes}, in {cuts:?}");
    }
    // All at once takes other ways.
    let (mut out, mut channel) = (Vec::new(), Channel::new(escapes));
    channel.push(masking, scratch, text.as_bytes(), &mut out);
    channel.finish(masking, scratch, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected, "of {text:?} whole, {escapes}");
    SPLITS_OF_A_TEXT + 1
}

/// Says how far a long run has come, at each hundredth; it is seen with `--nocapture`.
fn tell(before: u64, count: u64, wanted: u64) {
    let step = (wanted / 100).max(1);
    let now = before + count;
    if wanted > SPLITS && now / step > before / step {
        eprintln!("{now} of {wanted} splits");
    }
}

#[test]
fn the_whole_catalogue_masks_any_split_as_the_oracle_masks_the_whole() {
    let rules: Vec<Rule> = catalogue().iter().flat_map(|detector| detector.rules()).collect();
    let oracle = Oracle::new(&rules);
    let masking = masking(rules);
    let texts = Texts::new();
    let wanted = from_environment("PENSTOCK_SPLITS", SPLITS);
    let seed = from_environment("PENSTOCK_SEED", 1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for core in 0..cores {
            let (oracle, masking, texts, done) = (&oracle, &masking, &texts, &done);
            scope.spawn(move || {
                let mut chance = Chance(seed.wrapping_mul(1009).wrapping_add(core));
                let mut scratch = masking.profile.scratch();
                let mut splits = 0;
                while splits < wanted / cores {
                    let text = texts.text(&mut chance);
                    let escapes = chance.below(4) == 0;
                    let text = (text.as_str(), escapes);
                    let count = compare(masking, &mut scratch, oracle, text, &mut chance);
                    splits += count;
                    tell(done.fetch_add(count, Ordering::Relaxed), count, wanted);
                }
            });
        }
    });
}

#[test]
fn each_example_is_masked_in_a_long_text_as_the_oracle_masks_it() {
    let rules: Vec<Rule> = catalogue().iter().flat_map(|detector| detector.rules()).collect();
    let oracle = Oracle::new(&rules);
    let masking = masking(rules);
    let mut scratch = masking.profile.scratch();
    for text in Texts::new().parts {
        // In a text that is long enough for the engine for literals, before and behind.
        let long = format!("{FILLER}{text} {FILLER}");
        assert_eq!(mask_text(&masking, &mut scratch, &long), oracle.masked(&long, false));
    }
}

/// Most bytes that a mask holds while a text comes letter by letter: one of the default detectors,
/// or of all.
fn held_of(texts: &[&str], all: bool) -> Vec<usize> {
    let chosen = catalogue().iter().filter(|detector| all || detector.default);
    let masking = masking(chosen.flat_map(|detector| detector.rules()).collect());
    let mut scratch = masking.profile.scratch();
    let of = |text: &&str| {
        let (mut channel, mut out) = (Channel::new(false), Vec::new());
        let held = text.chars().map(|letter| {
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).as_bytes();
            channel.push(&masking, &mut scratch, bytes, &mut out);
            channel.held_bytes()
        });
        held.max().unwrap_or(0)
    };
    texts.iter().map(of).collect()
}

#[test]
fn a_sentence_of_any_script_waits_for_no_more_than_a_long_word() {
    let texts = [
        "We went on over the moor. Nobody was there but a lark, far above it, singing.",
        "今天天气很好。我们去公园散步然后回家吃饭。晚上大家坐在火边讲了很久的故事。",
        "今日は天気がとても良いので公園を散歩してから家に帰って夕食を食べました。",
        "오늘은날씨가좋아서공원에서산책하고집에돌아와저녁을먹었습니다.",
        "Сегодня мы гуляли в парке, а потом вернулись домой и ужинали у огня.",
        "Σήμερα περπατήσαμε στο πάρκο και μετά γυρίσαμε σπίτι για φαγητό.",
        "วันนี้อากาศดีมากเราจึงไปเดินเล่นที่สวนสาธารณะแล้วกลับบ้าน",
    ];
    for (held, text) in held_of(&texts, false).into_iter().zip(texts) {
        assert!(held <= 24, "{held} bytes are held of {text}");
    }
}

/// What was built for one text serves the next: an automaton that begins anew with every other
/// piece costs a hundred times as much as all else.
#[test]
fn automata_seldom_begin_anew_in_text_of_every_kind() {
    let masking = masking(catalogue().iter().flat_map(|detector| detector.rules()).collect());
    let mut scratch = masking.profile.scratch();
    let (mut channel, mut out) = (Channel::new(false), Vec::new());
    let documents = [
        include_str!("../../../../../README.md"),
        include_str!("../../../../ARCHITECTURE.md"),
        include_str!("../../../../LIFECYCLE.md"),
        include_str!("../../../../../LICENSE"),
    ];
    let examples = Texts::new().parts;
    let (mut built, mut pieces, mut anew) = (scratch.holds.bytes(), 0, 0);
    for text in documents.into_iter().chain(examples.iter().map(String::as_str)) {
        for piece in text.chars().collect::<Vec<_>>().chunks(4) {
            let piece: String = piece.iter().collect();
            channel.push(&masking, &mut scratch, piece.as_bytes(), &mut out);
            let now = scratch.holds.bytes();
            anew += now.iter().zip(&built).filter(|(now, before)| now < before).count();
            built = now;
            pieces += 1;
        }
        channel.finish(&masking, &mut scratch, &mut out);
    }
    assert!(pieces > 30_000 && anew <= pieces / 10_000, "{anew} times in {pieces} pieces");
}

/// Words that begin rules of which some have their value a whole command behind it.
const SPOKEN_OF: &str = "password, passwd, passphrase, pass, pwd, secret, token, API key, key, \
    credential, private key, login, user, admin, authorization, bearer, \
    basic, cookie, curl, wget, mysql, mariadb, 7z, rar, unrar, docker, \
    docker login, podman, az, mongo, mongosh, mongodump, cqlsh, zip, \
    unzip, sqlcmd, bcp, ipmitool, redis-cli, ldapsearch, plink, putty, \
    xfreerdp, lftp, smbclient, rpcclient, htpasswd, rabbitmqctl, net use, \
    echo, set password for, machine, default, phone, call, mobile, tel, \
    fax, born, birth, email, IBAN, card, account, SSN, server, host, \
    database, url, https, env, set, get";

#[test]
fn a_sentence_about_secrets_and_commands_goes_on_before_it_ends() {
    let text = |word: &&str| {
        format!(
            "Then {word} is what we talked about all of that evening while the wind went on and on \
             over the moor and none of us had much to say of what was to come of it the next day"
        )
    };
    let words: Vec<&str> = SPOKEN_OF.split(", ").collect();
    let texts: Vec<String> = words.iter().map(text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for (held, word) in held_of(&texts, true).into_iter().zip(words) {
        assert!(held <= 64, "{held} bytes are held behind {word}");
    }
}

#[test]
fn no_rule_of_the_catalogue_is_looked_for_everywhere() {
    let rules: Vec<Rule> = catalogue().iter().flat_map(|detector| detector.rules()).collect();
    let profile = Profile::from_rules(rules).unwrap();
    assert_eq!(profile.warnings(), Vec::<String>::new());
}

#[test]
fn a_profile_is_shared_by_cores() {
    fn is_shared<T: Send + Sync>(_: &T) {}
    is_shared(&Arc::new(Profile::from_rules(rules()).unwrap()));
}

/// Clean texts that give the engine the most to do for nothing.
#[test]
fn no_usual_text_is_too_long_to_be_looked_through() {
    let rules: Vec<Rule> = catalogue().iter().flat_map(|detector| detector.rules()).collect();
    let masking = masking(rules);
    let mut scratch = masking.profile.scratch();
    let endless = |unit: &str| unit.repeat((12 << 10) / unit.len());
    for text in [
        endless("a"),
        endless("A"),
        endless("7"),
        endless("a1"),
        endless("Ab3/x+"),
        endless("ab:"),
        endless("a@"),
        endless("a@a.aaa"),
        endless("4 1 "),
        endless("ghp_"),
        endless("eyJ"),
        endless("4-1"),
        endless("a.b-c_"),
        endless("token="),
        endless("password: "),
        endless("a://"),
        endless("+1 "),
        endless("(0"),
        endless("-----BEGIN "),
        endless("1.2."),
        endless(FILLER),
        endless("key: "),
        endless("AKIA"),
        endless("0x"),
        endless("a://b:c@"),
        endless("%41"),
    ] {
        let masked = mask_text(&masking, &mut scratch, &text);
        assert!(!masked.contains("***"), "{}", &text[..20]);
    }
}
