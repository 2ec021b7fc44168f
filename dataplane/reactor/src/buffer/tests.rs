use proptest::prelude::*;

use super::*;

fn pool_of_blocks(count: usize) -> Pool {
    Pool::new(count * BLOCK_BYTES)
}

#[test]
fn a_block_returns_to_the_pool_once_when_its_last_slice_is_dropped() {
    let pool = pool_of_blocks(4);
    let mut whole = pool.copy(b"hello world").unwrap();
    let first = whole.split_to(5);
    let second = whole.slice(1..6);
    assert_eq!((&*first, &*second), (&b"hello"[..], &b"world"[..]));
    drop(whole);
    drop(first);
    assert_eq!(pool.bytes_in_use(), BLOCK_BYTES);
    assert_eq!(&*second, b"world");
    drop(second);
    assert_eq!(pool.bytes_in_use(), 0);
    assert_eq!(pool.shared.free.borrow().len(), 1);
}

#[test]
fn kept_bytes_count_with_their_own_size_and_hold_no_block() {
    let pool = Pool::new(100);
    let mut kept = pool.keep(&[7; 60]).unwrap();
    assert_eq!(pool.bytes_in_use(), 60);
    assert!(pool.keep(&[7; 41]).is_err(), "the budget holds");
    let first = kept.split_to(20);
    assert_eq!((first.len(), kept.len()), (20, 40));
    drop(kept);
    assert_eq!(pool.bytes_in_use(), 60, "one slice of it lives");
    drop(first);
    assert_eq!(pool.bytes_in_use(), 0);
}

#[test]
fn a_block_that_was_never_frozen_returns_too() {
    let pool = pool_of_blocks(1);
    drop(pool.take().unwrap());
    assert_eq!(pool.bytes_in_use(), 0);
    assert!(pool.take().is_ok());
}

#[test]
fn a_sensitive_block_is_zeroised_whole_before_it_is_taken_again() {
    let pool = pool_of_blocks(1);
    let mut block = pool.take().unwrap();
    block.append(&[7; BLOCK_BYTES]);
    let mut buffer = block.freeze();
    let kept = buffer.split_to(3);
    kept.mark_sensitive();
    drop(kept);
    drop(buffer);
    let mut again = pool.take().unwrap();
    assert!(again.unfilled().iter().all(|byte| *byte == 0));
    drop(again);

    let mut block = pool.take().unwrap();
    block.append(b"bearer");
    block.mark_sensitive();
    drop(block);
    assert!(pool.take().unwrap().unfilled().iter().all(|byte| *byte == 0));
}

#[test]
fn the_mark_of_a_sensitive_block_ends_with_its_use() {
    let pool = pool_of_blocks(1);
    pool.copy(b"secret").unwrap().mark_sensitive();
    drop(pool.copy(b"plain").unwrap());
    let mut again = pool.take().unwrap();
    assert_eq!(&again.unfilled()[..6], b"plain\0");
}

#[test]
fn the_budget_counts_blocks_and_reservations_together() {
    let pool = pool_of_blocks(2);
    let block = pool.take().unwrap();
    let reservation = pool.reserve(BLOCK_BYTES).unwrap();
    assert_eq!(reservation.bytes(), BLOCK_BYTES);
    assert_eq!(pool.take().unwrap_err(), Exhausted);
    assert_eq!(pool.reserve(1).unwrap_err(), Exhausted);
    assert_eq!(pool.reserve(usize::MAX).unwrap_err(), Exhausted);
    drop(reservation);
    assert!(pool.take().is_ok());
    drop(block);
    assert_eq!(pool.bytes_in_use(), 0);
    assert_eq!(pool.bytes_max(), 2 * BLOCK_BYTES);
}

#[test]
fn slices_that_lie_side_by_side_in_a_block_become_one_and_no_others_do() {
    let pool = Pool::new(4 * BLOCK_BYTES);
    let whole = pool.copy(b"abcdef").unwrap();
    let mut first = whole.slice(0..2);
    assert!(first.join(&whole.slice(2..4)));
    assert_eq!(&*first, b"abcd");
    assert!(!first.join(&whole.slice(5..6)), "there is a gap");
    assert!(!first.join(&whole.slice(0..2)), "it lies before");
    assert!(!first.join(&pool.copy(b"....ef").unwrap().slice(4..6)), "it is another block");
    assert!(!Buffer::from_static(b"ab").join(&whole));
    assert_eq!(&*first, b"abcd");
}

#[test]
fn a_reservation_grows_within_the_budget_and_becomes_a_buffer_without_a_copy() {
    let pool = Pool::new(BLOCK_BYTES);
    let mut reservation = pool.reserve(10).unwrap();
    assert_eq!(reservation.resize(BLOCK_BYTES + 1), Err(Exhausted));
    assert_eq!(pool.bytes_in_use(), 10);
    reservation.resize(60).unwrap();
    reservation.resize(40).unwrap();
    assert_eq!(pool.bytes_in_use(), 40);
    let bytes = vec![7; 40];
    let place = bytes.as_ptr();
    let mut buffer = reservation.into_buffer(bytes);
    assert_eq!((buffer.as_ptr(), buffer.len()), (place, 40));
    let rest = buffer.split_to(10);
    drop(buffer);
    assert_eq!((rest.len(), pool.bytes_in_use()), (10, 40));
    drop(rest);
    assert_eq!(pool.bytes_in_use(), 0);
}

#[test]
fn more_than_a_block_is_not_copied_in_part() {
    let pool = pool_of_blocks(4);
    assert_eq!(pool.copy(&[0; BLOCK_BYTES + 1]).unwrap_err(), Exhausted);
    assert_eq!(pool.copy(&[1; BLOCK_BYTES]).unwrap().len(), BLOCK_BYTES);
}

#[test]
fn the_pool_keeps_a_bounded_number_of_free_blocks() {
    let pool = pool_of_blocks(FREE_BLOCKS_MAX + 3);
    let blocks: Vec<Block> = (0..FREE_BLOCKS_MAX + 3).map(|_| pool.take().unwrap()).collect();
    drop(blocks);
    assert_eq!(pool.bytes_in_use(), 0);
    assert_eq!(pool.shared.free.borrow().len(), FREE_BLOCKS_MAX);
}

#[test]
fn a_buffer_outlives_its_pool() {
    let pool = pool_of_blocks(1);
    let buffer = pool.copy(b"still here").unwrap();
    drop(pool);
    assert_eq!(&*buffer, b"still here");
}

#[test]
fn filling_stops_at_the_end_of_the_block() {
    let pool = pool_of_blocks(1);
    let mut block = pool.take().unwrap();
    assert_eq!(block.append(&[1; BLOCK_BYTES - 1]), BLOCK_BYTES - 1);
    assert_eq!(block.append(b"xy"), 1);
    assert_eq!(block.append(b"z"), 0);
    block.advance(usize::MAX);
    assert!(block.unfilled().is_empty());
    assert_eq!(block.filled().len(), BLOCK_BYTES);
    assert_eq!(block.filled().last(), Some(&b'x'));
}

#[test]
fn an_empty_part_holds_no_block() {
    let pool = pool_of_blocks(1);
    let mut buffer = pool.copy(b"abc").unwrap();
    let all = buffer.split_to(10);
    assert_eq!(&*all, b"abc");
    assert!(buffer.is_empty());
    let none = all.slice(3..9);
    drop(all);
    assert!(none.is_empty());
    assert_eq!(pool.bytes_in_use(), 0);
}

#[test]
fn a_static_buffer_needs_no_pool() {
    let mut buffer = Buffer::from_static(b"HTTP/1.1 200 OK");
    buffer.mark_sensitive();
    assert_eq!(&*buffer.split_to(8), b"HTTP/1.1");
    assert_eq!(&*buffer, b" 200 OK");
}

#[test]
fn no_byte_of_a_buffer_is_ever_printed() {
    let pool = pool_of_blocks(2);
    let mut block = pool.take().unwrap();
    block.append(b"AAAA");
    let printed = format!("{block:?} {:?} {pool:?}", pool.copy(b"AAAA").unwrap());
    assert!(!printed.contains("AAAA") && !printed.contains("65"), "{printed}");
}

proptest! {
    #[test]
    fn slices_and_splits_equal_those_of_a_slice(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        cuts in proptest::collection::vec((0usize..220, 0usize..220), 0..20),
    ) {
        let pool = pool_of_blocks(1);
        let mut buffer = pool.copy(&bytes).unwrap();
        let mut rest = &bytes[..];
        for (from, to) in cuts {
            let clamped_to = to.min(rest.len());
            let expected = rest.get(from..clamped_to).unwrap_or_default();
            prop_assert_eq!(&*buffer.slice(from..to), expected);
            let (first, left) = rest.split_at((from / 8).min(rest.len()));
            prop_assert_eq!(&*buffer.split_to(from / 8), first);
            rest = left;
            prop_assert_eq!(&*buffer, rest);
        }
        drop(buffer);
        prop_assert_eq!(pool.bytes_in_use(), 0);
    }
}

#[test]
fn only_the_one_slice_of_a_block_may_be_changed_in_place() {
    let pool = Pool::new(BLOCK_BYTES * 4);
    let mut whole = pool.copy(b"ciphertext").unwrap();
    whole.unique_mut().unwrap()[0] = b'C';
    let first = whole.split_to(6);
    assert!(whole.unique_mut().is_none());
    assert_eq!(&*first, b"Cipher");
    drop(first);
    whole.unique_mut().unwrap().fill(b'x');
    assert_eq!(&*whole, b"xxxx");
    assert!(Buffer::from_static(b"text").unique_mut().is_none());
}
