//! Settings of the allocator, from within the process: a deployment needs no variables for them.

/// Size of a block above that of any event, which has 6 MB at most, and of any page of items, which has 1 MB.
const LARGEST_BLOCK: usize = 8 * 1024 * 1024;

/// Keeps freed memory for the next batch or page. By itself, glibc returns that of a large one to the kernel, and
/// fetches it again page by page.
pub fn keep_freed_memory() {
    // It keeps up to twice the largest block that was freed. A block that nobody writes to takes no memory.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGEST_BLOCK)));
}
