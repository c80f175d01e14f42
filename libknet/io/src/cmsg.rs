//! Control messages of `sendmsg` and `recvmsg` (cmsg(3)), read and written as bytes, without unsafe code.

use std::mem::{align_of, offset_of, size_of};

/// Room for the control messages of one datagram, aligned as the kernel demands.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct ControlBuffer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> ControlBuffer<N> {
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; N],
        len: 0,
    };

    /// Appends a message; `false` where it does not fit.
    pub(crate) fn push(&mut self, level: i32, kind: i32, data: &[u8]) -> bool {
        let (start, length) = (self.len, HEADER + data.len());
        let Some(space) = self.bytes.get_mut(start..start + align(length)) else {
            return false;
        };
        space.fill(0);
        put(space, 0, &length.to_ne_bytes());
        put(space, offset_of!(libc::cmsghdr, cmsg_level), &level.to_ne_bytes());
        put(space, offset_of!(libc::cmsghdr, cmsg_type), &kind.to_ne_bytes());
        put(space, HEADER, data);
        self.len = start + align(length);
        true
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.bytes.as_mut_ptr().cast()
    }

    /// The messages in the first `len` bytes, where the kernel has put them.
    pub(crate) fn received(&self, len: usize) -> ControlMessages<'_> {
        ControlMessages(self.bytes.get(..len.min(N)).unwrap_or(&[]))
    }
}

/// One received control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ControlMessage<'a> {
    pub(crate) level: i32,
    pub(crate) kind: i32,
    pub(crate) data: &'a [u8],
}

impl ControlMessage<'_> {
    /// The four bytes at `offset` as a number in the machine's byte order.
    pub(crate) fn u32_at(&self, offset: usize) -> Option<u32> {
        Some(u32::from_ne_bytes(*self.data.get(offset..)?.first_chunk()?))
    }
}

/// Iterates over control messages; ends at the first one that makes no sense.
pub(crate) struct ControlMessages<'a>(&'a [u8]);

impl<'a> Iterator for ControlMessages<'a> {
    type Item = ControlMessage<'a>;

    fn next(&mut self) -> Option<ControlMessage<'a>> {
        let length = get_len(self.0)?;
        let level = get_i32(self.0, offset_of!(libc::cmsghdr, cmsg_level))?;
        let kind = get_i32(self.0, offset_of!(libc::cmsghdr, cmsg_type))?;
        let data = self.0.get(HEADER..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or(&[]);
        Some(ControlMessage { level, kind, data })
    }
}

/// Bytes that a message with `data` bytes takes up (`CMSG_SPACE`).
pub(crate) const fn space(data: usize) -> usize {
    align(HEADER + data)
}

const HEADER: usize = align(size_of::<libc::cmsghdr>());

const fn align(n: usize) -> usize {
    n.next_multiple_of(align_of::<usize>())
}

// A size_t, or in some C libraries a socklen_t and padding that must be zero: on the machines that pass this
// check both read as one usize.
const _: () = assert!(
    offset_of!(libc::cmsghdr, cmsg_len) == 0 && offset_of!(libc::cmsghdr, cmsg_level) == size_of::<usize>()
);

fn get_len(bytes: &[u8]) -> Option<usize> {
    Some(usize::from_ne_bytes(*bytes.first_chunk()?))
}

fn get_i32(bytes: &[u8], offset: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?))
}

fn put(space: &mut [u8], offset: usize, data: &[u8]) {
    if let Some(to) = space.get_mut(offset..offset + data.len()) {
        to.copy_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_back() {
        let mut control = ControlBuffer::<96>::EMPTY;
        assert!(control.push(1, 2, &[7; 5]));
        assert!(control.push(-3, 4, &[]));
        assert!(!control.push(0, 0, &[0; 64]), "does not fit");
        let seen: Vec<_> = control.received(control.len()).collect();
        let want = [
            ControlMessage {
                level: 1,
                kind: 2,
                data: &[7; 5],
            },
            ControlMessage {
                level: -3,
                kind: 4,
                data: &[],
            },
        ];
        assert_eq!(seen, want);
        // SAFETY: CMSG_SPACE only computes.
        assert_eq!(space(5), unsafe { libc::CMSG_SPACE(5) } as usize);
    }

    #[test]
    fn any_bytes_end_without_panic() {
        let mut state = 1_u64;
        let mut seen = 0;
        for round in 0..50_000_u64 {
            let mut bytes = [0_u8; 80];
            for b in &mut bytes {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                *b = (state >> 56) as u8;
            }
            // Small lengths in the length field, or hardly anything would parse.
            if round % 2 == 0 {
                bytes[1..8].fill(0);
            }
            seen += ControlMessages(&bytes[..(round % 81) as usize]).count();
        }
        assert!(seen > 100, "the generator reaches the parser: {seen}");
        assert_eq!(ControlMessages(&[0; 80]).count(), 0, "a zero length must end it");
        assert_eq!(ControlMessages(&[0xff; 80]).count(), 0);
    }
}
