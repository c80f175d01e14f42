//! knet's rim towards the Linux kernel: TAP, UDP in batches, epoll, clocks, netlink.
//!
//! All of knet's `unsafe` code is in this crate, each block with the reason why it is sound. File descriptors
//! are owned, non-blocking and close-on-exec. Nothing here knows the protocol.

pub mod clock;
mod cmsg;
pub mod epoll;
pub mod eventfd;
pub mod heap;
pub mod netlink;
pub mod priority;
pub mod secrecy;
mod sockaddr;
pub mod tap;
pub mod udp;

use std::io;

/// The result of a system call that says -1 for "see errno".
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
