//! What the steady state allocates: counted, per thread, by an allocator of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use penstock_reactor::buffer::{BLOCK_BYTES, Buffer, Pool};
use penstock_reactor::network::Outgoing;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn the_count_counts() {
    assert_eq!(allocations_of(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn taking_and_returning_a_block_allocates_nothing() {
    let pool = Pool::new(8 * BLOCK_BYTES);
    let use_it = || {
        for _ in 0..100 {
            let mut block = pool.take().unwrap();
            block.append(b"data: {\"delta\":\"a word\"}\n\n");
            block.mark_sensitive();
            let mut buffer = block.freeze();
            let head = buffer.split_to(6);
            let part = buffer.slice(1..8).clone();
            drop((buffer, head, part, pool.reserve(64).unwrap()));
        }
    };
    use_it();
    assert_eq!(allocations_of(use_it), 0);
}

#[test]
fn queueing_and_sending_buffers_allocates_nothing() {
    let pool = Pool::new(8 * BLOCK_BYTES);
    let mut outgoing = Outgoing::default();
    let mut relay = || {
        for _ in 0..100 {
            outgoing.push(pool.copy(b"5\r\nhello\r\n").unwrap());
            outgoing.push(Buffer::from_static(b"0\r\n\r\n"));
            while !outgoing.is_empty() {
                outgoing.advance(4);
            }
        }
    };
    relay();
    assert_eq!(allocations_of(relay), 0);
}
