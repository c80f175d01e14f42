//! Programs that choose a socket of a group: classic BPF (`linux/filter.h`), which needs no privilege and always ends.

/// One step. Offsets are counted from the start of the UDP payload; a byte that does not exist ends the program with 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Takes the byte at this offset.
    LoadByte(u32),
    /// Takes the length of the payload in bytes.
    LoadLength,
    /// Keeps these bits of what was taken.
    And(u32),
    /// Skips `skip` instructions if what was taken equals `value`.
    SkipIfEqual {
        /// With what it is compared.
        value: u32,
        /// How many, 0..=255.
        skip: u8,
    },
    /// Skips `skip` instructions if what was taken is not greater than `value`.
    SkipUnlessGreater {
        /// With what it is compared.
        value: u32,
        /// How many, 0..=255.
        skip: u8,
    },
    /// Ends with what was taken: the place of a socket in the group. One that does not exist leaves the choice to the
    /// kernel, which hashes addresses and ports.
    ReturnTaken,
    /// Leaves the choice to the kernel.
    ReturnNone,
}

impl Instruction {
    pub(super) fn encode(self) -> libc::sock_filter {
        use libc::{
            BPF_A, BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_JEQ, BPF_JGT, BPF_JMP, BPF_K, BPF_LD, BPF_LEN,
            BPF_RET, BPF_W,
        };
        let (code, k, jt, jf) = match self {
            Self::LoadByte(offset) => (BPF_LD | BPF_B | BPF_ABS, offset, 0, 0),
            Self::LoadLength => (BPF_LD | BPF_W | BPF_LEN, 0, 0, 0),
            Self::And(bits) => (BPF_ALU | BPF_AND | BPF_K, bits, 0, 0),
            Self::SkipIfEqual { value, skip } => (BPF_JMP | BPF_JEQ | BPF_K, value, skip, 0),
            Self::SkipUnlessGreater { value, skip } => (BPF_JMP | BPF_JGT | BPF_K, value, 0, skip),
            Self::ReturnTaken => (BPF_RET | BPF_A, 0, 0, 0),
            Self::ReturnNone => (BPF_RET | BPF_K, u32::MAX, 0, 0),
        };
        libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        }
    }
}
