//! What becomes of each character: one load for those of the first plane, ranges for the rest.
//!
//! Written from the Unicode character database, version 16: `Default_Ignorable_Code_Point` and the
//! combining marks of Latin, Greek and Cyrillic text are dropped, `Nd` becomes its value, `Zs` a
//! space, `Pd` a dash, compatibility forms (NFKC) of ASCII characters those; look-alikes are the
//! letters of UTS 39's confusables that a reader takes for an ASCII letter in any usual typeface.
//! Left out, with no ASCII letter or digit of their own or too common as what they are: numbers
//! above nine and digits in brackets or with a full stop (`⑴`, `⒈`, `⑩`), Roman numerals, `…`,
//! `№`, `™`, flags, accented letters, look-alikes of small capitals, of Cherokee, Lisu and Coptic,
//! and `0` for `O` or `1` for `l`.

/// What a character means to the fold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meaning {
    /// It stays.
    Keep,
    /// Nobody sees it.
    Drop,
    /// It is a form of this ASCII character.
    Ascii(u8),
    /// It looks like this ASCII letter, and is one in a word that has Latin letters.
    Lookalike(u8),
    /// A raised, lowered or encircled digit: this ASCII digit when it stands beside another one.
    Raised(u8),
    /// A form of several ASCII characters: those of [`ligature`].
    Ligature(u8),
}

const DROP: u8 = 1;
const FIRST_LIGATURE: u8 = 2;
const LIGATURES: [&[u8]; 7] = [b"ff", b"fi", b"fl", b"ffi", b"ffl", b"ij", b"st"];
const BEHIND_LIGATURES: u8 = FIRST_LIGATURE + LIGATURES.len() as u8;
const RAISED: u8 = 0x10;
const BEHIND_RAISED: u8 = RAISED + 10;
const LOOKALIKE: u8 = 0x80;

/// First and last.
const INVISIBLE: &[(u32, u32)] = &[
    (0x00ad, 0x00ad),
    (0x0300, 0x036f),
    (0x0483, 0x0489),
    (0x061c, 0x061c),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x1ab0, 0x1aff),
    (0x1dc0, 0x1dff),
    (0x200b, 0x200f),
    (0x202a, 0x202e),
    (0x2060, 0x206f),
    (0x20d0, 0x20ff),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfff8),
];

/// Zeros of the decimal digits; the other nine follow each.
const ZEROS: &[u32] = &[
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66,
    0x0de6, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0,
];

/// The same beyond the first plane. Mathematical digits are five alphabets in a row.
const ZEROS_BEYOND: &[u32] = &[
    0x104a0, 0x10d30, 0x10d40, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0,
    0x11650, 0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0, 0x11950, 0x11bf0, 0x11c50, 0x11d50,
    0x11da0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x16d70, 0x1ccf0, 0x1d7ce, 0x1d7d8,
    0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950, 0x1fbf0,
];

/// First code point of a row of raised digits and the digit it is.
const RAISED_ROWS: &[(u32, u8, u8)] = &[
    (0x00b2, 2, 3),
    (0x00b9, 1, 1),
    (0x2070, 0, 0),
    (0x2074, 4, 9),
    (0x2080, 0, 9),
    (0x2460, 1, 9),
    (0x24ea, 0, 0),
    (0x24f5, 1, 9),
    (0x24ff, 0, 0),
    (0x2776, 1, 9),
    (0x2780, 1, 9),
    (0x278a, 1, 9),
];

/// A character and the ASCII one that it is a form of, in pairs.
const FORMS: &str = concat!(
    // Spaces.
    "\u{a0} \u{1680} \u{2000} \u{2001} \u{2002} \u{2003} \u{2004} \u{2005} \u{2006} \u{2007} ",
    "\u{2008} \u{2009} \u{200a} \u{202f} \u{205f} \u{3000} \u{2800} \u{2028}\n\u{2029}\n\u{85}\n",
    // Dashes, dots, and what else stands inside values.
    "\u{58a}-\u{5be}-\u{1806}-\u{2010}-\u{2011}-\u{2012}-\u{2013}-\u{2014}-\u{2015}-\u{2212}-",
    "\u{2e3a}-\u{2e3b}-\u{301c}-\u{fe31}-\u{fe32}-\u{fe58}-\u{2043}-\u{2e17}-",
    "․.。.｡.﹒.∕/⁄/∶:꞉:︓:﹕:﹫@‘'’'“\"”\"，,﹐,、,﹔;﹖?﹗!﹙(﹚)﹛{﹜}﹟#﹠&﹡*﹢+﹣-﹤<﹥>﹦=﹨\\﹩$﹪%﹍_﹎_﹏_︳_︴_",
    "⁺+₊+⁻-₋-⁼=₌=⁽(⁾)₍(₎)\u{37e};",
    // Letters: raised, lowered, and of mathematics.
    "ªaºoſsʰhʲjʳrʷwʸyˡlˢsˣxᴬAᴮBᴰDᴱEᴳGᴴHᴵIᴶJᴷKᴸLᴹM\
     ᴺNᴼOᴾPᴿRᵀTᵁUᵂWᵃaᵇbᵈdᵉeᵍgᵏkᵐmᵒoᵖpᵗtᵘuᵛvᵢiᵣrᵤuᵥvᶜcᶠfᶻz",
    "ⁱiⁿnₐaₑeₒoₓxₕhₖkₗlₘmₙnₚpₛsₜtⱼjⱽV",
    "ℂCℊgℋHℌHℍHℎhℐIℑIℒLℓlℕNℙPℚQℛRℜRℝRℤZℨZ\u{212a}KℬBℭCℯeℰEℱFℳMℴoℹiⅅDⅆdⅇeⅈiⅉj",
);

/// A letter and the ASCII one that it looks like, in pairs: Cyrillic, Greek, Armenian, and two of
/// phonetic alphabets.
const LOOKALIKES: &str = concat!(
    "аaеeоoрpсcуyхxіiјjѕsԁdһhӏlԛqԝwкkѵvүyАAВBЕEКKМMНHОOРPСCТTУYХXІIЈJЅSԚQԜWҮYӀIѴVԌG",
    "οoνvρpαaιiκkυuχxγyηnωwϲcϳjΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧXϹCͿJ",
    "օoսuհhոnցgզqՕOՏSԼLɑaɡg",
);

struct Table {
    /// Which page holds the 256 characters that share their upper byte; page 0 keeps all.
    page_of: [u8; 256],
    pages: [[u8; 256]; PAGES],
}

const PAGES: usize = 48;

static TABLE: Table = Table::new();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs while this is compiled: what is wrong here doesn't compile"
)]
impl Table {
    const fn new() -> Self {
        let table = Self { page_of: [0; 256], pages: [[0; 256]; PAGES] };
        let table = table.with_pairs(FORMS.as_bytes(), 0);
        let mut table = table.with_pairs(LOOKALIKES.as_bytes(), LOOKALIKE);
        table.fill(0xff01, 0xff5e, b'!', true);
        table.fill(0x24b6, 0x24cf, b'A', true);
        table.fill(0x24d0, 0x24e9, b'a', true);
        table.fill(0xfb00, 0xfb04, FIRST_LIGATURE, true);
        table.fill(0x0132, 0x0133, FIRST_LIGATURE + 5, false);
        table.fill(0xfb05, 0xfb06, FIRST_LIGATURE + 6, false);
        let mut index = 0;
        while index < INVISIBLE.len() {
            table.fill(INVISIBLE[index].0, INVISIBLE[index].1, DROP, false);
            index += 1;
        }
        index = 0;
        while index < ZEROS.len() {
            table.fill(ZEROS[index], ZEROS[index] + 9, b'0', true);
            index += 1;
        }
        index = 0;
        while index < RAISED_ROWS.len() {
            let (first, low, high) = RAISED_ROWS[index];
            table.fill(first, first + (high - low) as u32, RAISED + low, true);
            index += 1;
        }
        table
    }

    const fn fill(&mut self, first: u32, last: u32, value: u8, counts_up: bool) {
        let mut character = first;
        while character <= last {
            self.set(character, if counts_up { value + (character - first) as u8 } else { value });
            character += 1;
        }
    }

    const fn set(&mut self, character: u32, value: u8) {
        let upper = (character >> 8) as usize;
        if self.page_of[upper] == 0 {
            let mut page = 1;
            let mut other = 0;
            while other < 256 {
                if self.page_of[other] >= page {
                    page = self.page_of[other] + 1;
                }
                other += 1;
            }
            self.page_of[upper] = page;
        }
        self.pages[self.page_of[upper] as usize][(character & 0xff) as usize] = value;
    }

    /// Pairs of a character of two or three bytes and an ASCII one.
    const fn with_pairs(mut self, pairs: &[u8], flag: u8) -> Self {
        let mut at = 0;
        while at < pairs.len() {
            let lead = pairs[at] as u32;
            let (character, length) = if lead < 0xe0 {
                ((lead & 0x1f) << 6 | (pairs[at + 1] & 0x3f) as u32, 2)
            } else {
                let middle = (pairs[at + 1] & 0x3f) as u32;
                ((lead & 0x0f) << 12 | middle << 6 | (pairs[at + 2] & 0x3f) as u32, 3)
            };
            self.set(character, pairs[at + length] | flag);
            at += length + 1;
        }
        self
    }
}

/// What a character outside ASCII means.
#[inline]
pub(super) fn meaning(character: char) -> Meaning {
    let code = u32::from(character);
    if code > 0xffff {
        return beyond(code);
    }
    let page = TABLE.page_of.get((code >> 8) as usize).copied().unwrap_or(0);
    let page = TABLE.pages.get(usize::from(page));
    match page.and_then(|page| page.get((code & 0xff) as usize)).copied().unwrap_or(0) {
        0 => Meaning::Keep,
        DROP => Meaning::Drop,
        value @ FIRST_LIGATURE..BEHIND_LIGATURES => {
            Meaning::Ligature(value.wrapping_sub(FIRST_LIGATURE))
        }
        value @ RAISED..BEHIND_RAISED => {
            Meaning::Raised(value.wrapping_sub(RAISED).wrapping_add(b'0'))
        }
        value if value >= LOOKALIKE => Meaning::Lookalike(value & !LOOKALIKE),
        value => Meaning::Ascii(value),
    }
}

/// The letters of a ligature.
pub(super) fn ligature(index: u8) -> &'static [u8] {
    LIGATURES.get(usize::from(index)).copied().unwrap_or_default()
}

/// Whether a character that is not ASCII belongs to a word: those of the commonest scripts without
/// a search.
#[inline]
pub(super) fn is_letter(character: char) -> bool {
    match character {
        '\u{400}'..='\u{481}' | '\u{3041}'..='\u{3096}' | '\u{4e00}'..='\u{9fff}' => true,
        _ => character.is_alphanumeric(),
    }
}

/// Outside the first plane.
#[cold]
fn beyond(code: u32) -> Meaning {
    let letter = |first: u32, letter: u8| {
        Meaning::Ascii(letter.wrapping_add(code.wrapping_sub(first) as u8))
    };
    match code {
        0x1d400..=0x1d6a3 => match code.wrapping_sub(0x1d400) % 52 {
            upper @ ..26 => Meaning::Ascii(b'A'.wrapping_add(upper as u8)),
            lower => Meaning::Ascii(b'a'.wrapping_add(lower.wrapping_sub(26) as u8)),
        },
        0x1d6a4 => Meaning::Ascii(b'i'),
        0x1d6a5 => Meaning::Ascii(b'j'),
        0x1f130..=0x1f149 => letter(0x1f130, b'A'),
        0x1f150..=0x1f169 => letter(0x1f150, b'A'),
        0x1f170..=0x1f189 => letter(0x1f170, b'A'),
        0xe0000..=0xe0fff | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a => Meaning::Drop,
        0x104a0..=0x1fbf9 => {
            let row = ZEROS_BEYOND.iter().find(|zero| code.wrapping_sub(**zero) < 10);
            row.map_or(Meaning::Keep, |zero| letter(*zero, b'0'))
        }
        _ => Meaning::Keep,
    }
}
