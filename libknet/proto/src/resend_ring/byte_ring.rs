//! A circular buffer of bytes that grows and can be given back.

use alloc::{boxed::Box, vec, vec::Vec};

/// Bytes of the smallest buffer.
pub(super) const FIRST: usize = 8 << 10;

/// Bytes, first in, first out.
#[derive(Debug, Default)]
pub(super) struct ByteRing {
    buffer: Box<[u8]>,
    head: usize,
    len: usize,
}

impl ByteRing {
    /// Bytes in it.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Sees to it that `more` bytes fit. The buffer doubles up to `most`, and only while as much is left of
    /// `limit`, over all rings, as it would then have: whoever has much leaves room for those who come later
    /// (dynamic thresholds; Choudhury and Hahne, 1998). `total` counts what all rings have.
    pub(super) fn make_room(&mut self, more: usize, most: usize, limit: usize, total: &mut usize) -> bool {
        let wanted = self.len.saturating_add(more);
        let has = self.buffer.len();
        if wanted <= has {
            return true;
        }
        let mut size = has.max(FIRST);
        while size < wanted {
            size = size.saturating_mul(2);
        }
        let others = total.saturating_sub(has);
        if size > most || size > limit.saturating_sub(others) / 2 {
            return false;
        }
        let mut buffer = vec![0; size].into_boxed_slice();
        let (a, b) = self.parts(0, self.len);
        if let Some(to) = buffer.get_mut(..a.len()) {
            to.copy_from_slice(a);
        }
        if let Some(to) = buffer.get_mut(a.len()..a.len() + b.len()) {
            to.copy_from_slice(b);
        }
        self.buffer = buffer;
        self.head = 0;
        *total = others + size;
        true
    }

    /// Appends `bytes`, for which there is room.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let size = self.buffer.len();
        debug_assert!(self.len + bytes.len() <= size);
        let tail = wrapped(self.head + self.len, size);
        let first = bytes.len().min(size - tail);
        let (a, b) = bytes.split_at(first);
        if let Some(to) = self.buffer.get_mut(tail..tail + first) {
            to.copy_from_slice(a);
        }
        if let Some(to) = self.buffer.get_mut(..b.len()) {
            to.copy_from_slice(b);
        }
        self.len += bytes.len();
    }

    /// Removes the first `n` bytes.
    pub(super) fn pop(&mut self, n: usize) {
        let n = n.min(self.len);
        self.head = wrapped(self.head + n, self.buffer.len());
        self.len -= n;
    }

    /// Appends the `n` bytes at `offset` to `out`.
    pub(super) fn read(&self, offset: usize, n: usize, out: &mut Vec<u8>) {
        let (a, b) = self.parts(offset, n);
        out.extend_from_slice(a);
        out.extend_from_slice(b);
    }

    /// Gives the buffer back.
    pub(super) fn free(&mut self, total: &mut usize) {
        *total = total.saturating_sub(self.buffer.len());
        *self = Self::default();
    }

    fn parts(&self, offset: usize, n: usize) -> (&[u8], &[u8]) {
        let size = self.buffer.len();
        let start = wrapped(self.head + offset, size);
        let first = n.min(size - start);
        (
            self.buffer.get(start..start + first).unwrap_or_default(),
            self.buffer.get(..n - first).unwrap_or_default(),
        )
    }
}

/// `position`, which is less than twice `size`, within a buffer of `size`.
const fn wrapped(position: usize, size: usize) -> usize {
    if position >= size {
        position - size
    } else {
        position
    }
}
