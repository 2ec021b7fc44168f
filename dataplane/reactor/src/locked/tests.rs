use std::os::unix::fs::FileExt as _;

use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"sk-a-credential-that-is-looked-for";
const KINDS: [Kind; 2] = [Kind::Hidden, Kind::Locked];

/// Arenas of both kinds; a kernel without hidden memory has one.
fn arenas(bytes: usize) -> Vec<Arena> {
    let arenas: Vec<_> = KINDS.iter().filter_map(|kind| Arena::of(*kind, bytes).ok()).collect();
    assert!(arenas.iter().any(|arena| arena.kind() == Kind::Locked), "no memory can be locked");
    arenas
}

/// What stands at a place of this process's own memory, as others would read it.
fn read(address: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    File::open("/proc/self/mem")?.read_exact_at(&mut bytes, address)?;
    Ok(bytes)
}

fn address(locked: &Locked) -> u64 {
    locked.as_ptr() as u64
}

#[test]
fn a_value_stands_as_it_was_written_and_shows_nothing_of_itself() {
    for arena in arenas(4096) {
        let one = arena.copy(SECRET).unwrap();
        let two = arena.fill(3, |room| room.copy_from_slice(b"abc")).unwrap();
        assert_eq!((&*one, &*two), (SECRET, &b"abc"[..]));
        assert_eq!(format!("{one:?}"), "Locked(34 bytes)");
    }
}

#[test]
fn a_value_is_zero_once_it_is_dropped() {
    let arena = Arena::of(Kind::Locked, 4096).unwrap();
    let locked = arena.copy(SECRET).unwrap();
    let at = address(&locked);
    assert_eq!(read(at, SECRET.len()).unwrap(), SECRET, "the look finds it while it lives");
    drop(locked);
    assert_eq!(read(at, GRANULE_BYTES).unwrap(), [0; GRANULE_BYTES]);
}

#[test]
fn the_next_value_at_a_place_finds_zeros() {
    for arena in arenas(4096) {
        let at = address(&arena.copy(SECRET).unwrap());
        let next = arena.fill(SECRET.len(), |room| assert_eq!(room, [0; 34])).unwrap();
        assert_eq!(address(&next), at);
    }
}

#[test]
fn hidden_pages_can_be_read_by_nobody_else() {
    let Ok(arena) = Arena::of(Kind::Hidden, 4096) else {
        eprintln!("skipped: this kernel has no memfd_secret");
        return;
    };
    let locked = arena.copy(SECRET).unwrap();
    assert_eq!(&*locked, SECRET);
    assert!(read(address(&locked), SECRET.len()).is_err());
}

/// The flags of the mapping that holds a value (`VmFlags` of proc(5)).
fn flags(locked: &Locked) -> Vec<String> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut holds = false;
    for line in smaps.lines() {
        let range = line.split_whitespace().next().and_then(|word| word.split_once('-'));
        let number = |text| u64::from_str_radix(text, 16);
        if let Some((begin, end)) = range
            && let (Ok(begin), Ok(end)) = (number(begin), number(end))
        {
            holds = (begin..end).contains(&address(locked));
        }
        if let Some(flags) = line.strip_prefix("VmFlags:")
            && holds
        {
            return flags.split_whitespace().map(str::to_owned).collect();
        }
    }
    panic!("there is no such mapping")
}

#[test]
fn pages_are_locked_and_left_out_of_dumps_and_of_children() {
    for arena in arenas(4096) {
        let flags = flags(&arena.copy(SECRET).unwrap());
        // AddressSanitizer makes mlock do nothing: its shadow memory could not be locked.
        let locked = (!cfg!(sanitized)).then_some("lo");
        for flag in ["dd", "dc"].into_iter().chain(locked) {
            assert!(flags.iter().any(|one| one == flag), "{flag} of {:?}: {flags:?}", arena.kind());
        }
    }
}

#[test]
fn a_full_arena_says_so_and_has_room_again_once_something_is_dropped() {
    for arena in arenas(4096) {
        let mut values: Vec<_> = (0..64).map(|_| arena.copy(&[1; 64]).unwrap()).collect();
        assert_eq!(arena.copy(b"a").map(drop), Err(ArenaFull));
        values.drain(10..12);
        assert_eq!(arena.copy(&[1; 129]).map(drop), Err(ArenaFull));
        values.push(arena.copy(&[1; 128]).unwrap());
        assert_eq!(arena.bytes_free(), 0);
        drop(values);
        assert_eq!(arena.bytes_free(), 4096);
        assert_eq!(arena.copy(&[1; 4096]).unwrap().len(), 4096);
        assert_eq!(arena.fill(usize::MAX, |_| ()).map(drop), Err(ArenaFull));
    }
}

#[test]
fn values_outlive_their_arena() {
    for arena in arenas(4096) {
        let locked = arena.copy(SECRET).unwrap();
        drop(arena);
        assert_eq!(&*locked, SECRET);
    }
}

#[test]
fn an_arena_is_as_large_as_was_asked_for_where_the_limit_allows_it() {
    assert_eq!(Arena::new(256 * 1024).unwrap().bytes(), 256 * 1024);
    assert_eq!(Arena::new(1).unwrap().bytes(), ARENA_BYTES_MIN);
}

#[test]
fn an_arena_that_is_refused_names_the_limit_and_what_to_set() {
    let text = arena_error(&io::Error::from_raw_os_error(libc::EAGAIN)).to_string();
    assert!(text.contains("65536") && text.contains("LimitMEMLOCK"), "{text}");
}

proptest! {
    #[test]
    fn no_two_values_ever_share_a_byte_and_nothing_is_lost(
        steps in prop::collection::vec((0..20_usize, 1..400_usize), 1..200),
    ) {
        let arena = Arena::of(Kind::Locked, 4096).unwrap();
        let mut values: Vec<(u8, Locked)> = Vec::new();
        for (number, (place, length)) in steps.into_iter().enumerate() {
            let mark = u8::try_from(number).unwrap();
            if place < values.len() {
                values.swap_remove(place);
            } else if let Ok(value) = arena.fill(length, |room| room.fill(mark)) {
                values.push((mark, value));
            }
            for (mark, value) in &values {
                prop_assert!(value.iter().all(|byte| byte == mark));
            }
            let used: usize = values.iter().filter_map(|(_, value)| reserved(value.len())).sum();
            prop_assert_eq!(arena.bytes_free() + used, 4096);
        }
        values.clear();
        prop_assert!(arena.copy(&[0; 4096]).is_ok(), "what was given back is one run");
    }
}
