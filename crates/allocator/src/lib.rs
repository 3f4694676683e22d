//! The allocator of the program: mimalloc, with the one setting that the program changes while it runs.

pub use mimalloc::MiMalloc;

/// `mi_option_purge_delay`, which the bindings do not name; the same number in versions 2 and 3 of mimalloc.
const PURGE_DELAY: i32 = 15;

/// Freed memory goes back to the operating system at once, and not after a second. That takes time, and a process with
/// little memory has to.
pub fn give_back_at_once() {
    // SAFETY: sets an integer that the allocator reads whenever it frees pages; any thread may do so at any time. Source:
    // mimalloc, "Runtime options".
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}
