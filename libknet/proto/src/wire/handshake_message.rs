//! The messages of the handshake, and the payloads that three of them carry encrypted.
//!
//! ```text
//! HS_INIT, 184 bytes                      HS_RESP, 132 bytes
//! 0    1   type 1                         0    1   type 2
//! 1    1   highest version                1    1   version chosen
//! 2    1   lowest version                 2    2   reserved
//! 3    1   flags, reserved                4    4   sender index
//! 4    4   sender index                   8    4   receiver index
//! 8    32  ephemeral public key           12   32  ephemeral public key
//! 40   48  static public key, sealed      44   56  payload, sealed
//! 88   64  payload, sealed                100  16  MAC1
//! 152  16  MAC1 over [0..152]             116  16  MAC2, reserved
//! 168  16  MAC2 over [0..168], or zero
//!
//! HS_JOIN, type 8: as HS_INIT, with 1..512 bytes of a credential behind the payload and sealed with it, and both MACs
//! so much further behind.
//!
//! COOKIE (type 3) and RETRY (type 7), 64 bytes
//! 0    1   type                           8    24  nonce
//! 1    3   reserved                       32   32  secret of 16 bytes, sealed
//! 4    4   receiver index
//! ```

use alloc::vec::Vec;

use super::header::{COOKIE_LEN, HS_RESP_LEN, MessageType, TAG_LEN, classify};
use crate::{
    drop_reason::DropReason,
    handshake::message::{Suite, SuiteSet},
    ids::ReceiverIndex,
};

/// The lowest wire version this build speaks.
pub const VERSION_MIN: u8 = 1;
/// The highest wire version this build speaks.
pub const VERSION_MAX: u8 = 1;

/// Length of the plaintext payload of `HS_INIT` in bytes.
pub const INIT_PAYLOAD_LEN: usize = 48;
/// Length of the plaintext payload of `HS_RESP` in bytes.
pub const RESP_PAYLOAD_LEN: usize = 40;
/// Length of each of the MACs.
const MAC_LEN: usize = 16;
/// Most lanes that a payload may name.
const MAX_LANES: u8 = super::header::MAX_LANES;

/// A first message, `HS_INIT` or `HS_JOIN`, checked for type, length and reserved fields.
#[derive(Clone, Copy, Debug)]
pub struct HsInit<'a> {
    /// Bytes 0..4, which Noise authenticates as part of its prologue.
    pub header: &'a [u8; 4],
    /// The highest wire version the initiator speaks.
    pub version_max: u8,
    /// The lowest.
    pub version_min: u8,
    /// By what the initiator wants to be addressed.
    pub sender: ReceiverIndex,
    /// Noise's `e`.
    pub ephemeral: &'a [u8; 32],
    /// Noise's `s`, encrypted.
    pub encrypted_static: &'a [u8; 48],
    /// The payload ([`InitPayload`]), and behind it the credential of an `HS_JOIN`, encrypted together.
    pub encrypted_payload: &'a [u8],
    /// MAC1.
    pub mac1: &'a [u8; 16],
    /// MAC2, or zeros.
    pub mac2: &'a [u8; 16],
}

impl<'a> HsInit<'a> {
    /// Reads a whole datagram.
    ///
    /// # Errors
    /// [`DropReason::WireType`] or [`DropReason::WireLength`] where it is no first message,
    /// [`DropReason::WireReserved`] where a flag is set.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, DropReason> {
        let kind @ (MessageType::HsInit | MessageType::HsJoin) = classify(datagram)? else {
            return Err(DropReason::WireType);
        };
        let mut fields = Fields::of(datagram, kind)?;
        let header = fields.take::<4>()?;
        let [_, version_max, version_min, flags] = *header;
        if flags != 0 {
            return Err(DropReason::WireReserved);
        }
        Ok(Self {
            header,
            version_max,
            version_min,
            sender: fields.take_index()?,
            ephemeral: fields.take()?,
            encrypted_static: fields.take()?,
            encrypted_payload: fields.take_all_but(2 * MAC_LEN)?,
            mac1: fields.take()?,
            mac2: fields.take()?,
        })
    }

    /// Whether it is an `HS_JOIN`.
    pub const fn has_credential(&self) -> bool {
        self.encrypted_payload.len() > INIT_PAYLOAD_LEN + TAG_LEN
    }

    /// The header of a first message that offers `version_min..=version_max`: of an `HS_INIT`, or of an `HS_JOIN` where
    /// there is a credential.
    pub const fn header(version_min: u8, version_max: u8, with_credential: bool) -> [u8; 4] {
        let kind = if with_credential {
            MessageType::HsJoin
        } else {
            MessageType::HsInit
        };
        [kind as u8, version_max, version_min, 0]
    }

    /// The whole datagram.
    pub fn emit(&self) -> Vec<u8> {
        [
            &self.header[..],
            &self.sender.0.to_le_bytes(),
            self.ephemeral,
            self.encrypted_static,
            self.encrypted_payload,
            self.mac1,
            self.mac2,
        ]
        .concat()
    }
}

/// An `HS_RESP`, checked for type, length and reserved fields.
#[derive(Clone, Copy, Debug)]
pub struct HsResp<'a> {
    /// The wire version the responder has chosen. Not authenticated here, but again in the payload.
    pub version: u8,
    /// By what the responder wants to be addressed.
    pub sender: ReceiverIndex,
    /// [`HsInit::sender`] of the message answered.
    pub receiver: ReceiverIndex,
    /// Noise's `e`.
    pub ephemeral: &'a [u8; 32],
    /// The payload ([`RespPayload`]), encrypted.
    pub encrypted_payload: &'a [u8; 56],
    /// MAC1.
    pub mac1: &'a [u8; 16],
}

impl<'a> HsResp<'a> {
    /// Reads a whole datagram.
    ///
    /// # Errors
    /// [`DropReason::WireType`] or [`DropReason::WireLength`] where it is no `HS_RESP`,
    /// [`DropReason::WireReserved`] where a reserved byte or MAC2 is not zero: an initiator never demands
    /// cookies, for an answer costs it something only while it waits for one.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, DropReason> {
        let mut fields = Fields::of(datagram, MessageType::HsResp)?;
        let [_, version, rsv0, rsv1] = *fields.take::<4>()?;
        let view = Self {
            version,
            sender: fields.take_index()?,
            receiver: fields.take_index()?,
            ephemeral: fields.take()?,
            encrypted_payload: fields.take()?,
            mac1: fields.take()?,
        };
        let mac2 = fields.take::<16>()?;
        if (rsv0, rsv1) != (0, 0) || *mac2 != [0; 16] {
            return Err(DropReason::WireReserved);
        }
        Ok(view)
    }

    /// The whole datagram.
    pub fn emit(&self) -> [u8; HS_RESP_LEN] {
        let mut bytes = [0; HS_RESP_LEN];
        put(
            &mut bytes,
            &[
                &[MessageType::HsResp as u8, self.version, 0, 0],
                &self.sender.0.to_le_bytes(),
                &self.receiver.0.to_le_bytes(),
                self.ephemeral,
                self.encrypted_payload,
                self.mac1,
            ],
        );
        bytes
    }
}

/// A COOKIE or a RETRY, checked for type, length and reserved fields.
#[derive(Clone, Copy, Debug)]
pub struct SealedReply<'a> {
    /// [`MessageType::Cookie`] or [`MessageType::Retry`].
    pub kind: MessageType,
    /// [`HsInit::sender`] of the message answered.
    pub receiver: ReceiverIndex,
    /// Nonce of XChaCha20-Poly1305.
    pub nonce: &'a [u8; 24],
    /// 16 bytes and their tag.
    pub sealed: &'a [u8; 32],
}

impl<'a> SealedReply<'a> {
    /// Reads a whole datagram, which must be of type `kind`.
    ///
    /// # Errors
    /// [`DropReason::WireType`] or [`DropReason::WireLength`] where it is not of that type,
    /// [`DropReason::WireReserved`] where a reserved byte is not zero.
    pub fn parse(datagram: &'a [u8], kind: MessageType) -> Result<Self, DropReason> {
        let mut fields = Fields::of(datagram, kind)?;
        let [_, reserved @ ..] = *fields.take::<4>()?;
        if reserved != [0; 3] {
            return Err(DropReason::WireReserved);
        }
        Ok(Self {
            kind,
            receiver: fields.take_index()?,
            nonce: fields.take()?,
            sealed: fields.take()?,
        })
    }

    /// The whole datagram.
    pub fn emit(&self) -> [u8; COOKIE_LEN] {
        let mut bytes = [0; COOKIE_LEN];
        put(
            &mut bytes,
            &[
                &[self.kind as u8, 0, 0, 0],
                &self.receiver.0.to_le_bytes(),
                self.nonce,
                self.sealed,
            ],
        );
        bytes
    }
}

/// A capability, a bit as all of them: DATA may hold frames whose checksum is left to do
/// ([`super::header::TransportHeader::partial`]).
pub const PARTIAL_CHECKSUMS: u32 = 1;

/// What the initiator says under encryption.
///
/// ```text
/// 0   12  time stamp, TAI64N          16  4   capabilities
/// 12  1   suites offered, a bit each  20  8   instance
/// 13  1   speed class of the suites   28  16  echo of a RETRY, or zero
/// 14  1   most lanes, 1..16           44  4   reserved
/// 15  1   reserved
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InitPayload {
    /// TAI64N label of the initiator's time of day.
    pub timestamp: [u8; 12],
    /// AEADs offered.
    pub suites: SuiteSet,
    /// How fast each suite is on the initiator's machine, 4 bits each, 0 where not measured. Informative.
    pub speed: u8,
    /// Most lanes that the initiator wants to use per session, 1..=16.
    pub lanes_max: u8,
    /// Optional features, a bit each; unknown bits are ignored.
    pub capabilities: u32,
    /// Random number of the initiator's process.
    pub instance: u64,
    /// What a RETRY contained, or zeros.
    pub echo: [u8; 16],
}

impl InitPayload {
    /// Reads a decrypted payload.
    ///
    /// # Errors
    /// [`DropReason::HandshakePayload`] for another length, a reserved byte, no or an unknown suite, and for
    /// lanes outside of 1..=16.
    pub fn parse(plaintext: &[u8]) -> Result<Self, DropReason> {
        let mut fields = Fields::payload::<INIT_PAYLOAD_LEN>(plaintext)?;
        let timestamp = *fields.take()?;
        let [suites, speed, lanes_max, rsv] = *fields.take()?;
        let payload = Self {
            timestamp,
            suites: SuiteSet::from_bits(suites).ok_or(DropReason::HandshakePayload)?,
            speed,
            lanes_max,
            capabilities: u32::from_le_bytes(*fields.take()?),
            instance: u64::from_le_bytes(*fields.take()?),
            echo: *fields.take()?,
        };
        if rsv != 0 || *fields.take::<4>()? != [0; 4] || !(1..=MAX_LANES).contains(&lanes_max) {
            return Err(DropReason::HandshakePayload);
        }
        Ok(payload)
    }

    /// Reads a decrypted payload and the credential behind it, which is empty where there is none.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_with_credential(plaintext: &[u8]) -> Result<(Self, &[u8]), DropReason> {
        let (payload, credential) = plaintext
            .split_at_checked(INIT_PAYLOAD_LEN)
            .ok_or(DropReason::HandshakePayload)?;
        Ok((Self::parse(payload)?, credential))
    }

    /// The plaintext.
    pub fn emit(&self) -> [u8; INIT_PAYLOAD_LEN] {
        let mut bytes = [0; INIT_PAYLOAD_LEN];
        put(
            &mut bytes,
            &[
                &self.timestamp,
                &[self.suites.bits(), self.speed, self.lanes_max, 0],
                &self.capabilities.to_le_bytes(),
                &self.instance.to_le_bytes(),
                &self.echo,
            ],
        );
        bytes
    }
}

/// What the responder says under encryption.
///
/// ```text
/// 0   1   suite chosen: 1 ChaCha20-Poly1305, 2 AES-256-GCM
/// 1   1   lanes, 1..16                16  16  initiator's address as seen, IPv4 mapped into IPv6
/// 2   2   reserved                    32  2   initiator's port as seen
/// 4   4   capabilities chosen         34  2   shortest heartbeat interval wished for, ms
/// 8   8   instance                    36  1   version chosen, again
///                                     37  3   reserved
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RespPayload {
    /// The AEAD of the session.
    pub suite: Suite,
    /// Lanes of the session, 1..=16.
    pub lanes: u8,
    /// The features of both that are to be used.
    pub capabilities: u32,
    /// Random number of the responder's process.
    pub instance: u64,
    /// The initiator's address as the responder saw it (RFC 8489's reflexive address).
    pub observed_address: [u8; 16],
    /// The port that belongs to it.
    pub observed_port: u16,
    /// The shortest interval between heartbeats that the responder wishes for, in ms.
    pub hb_min_ms: u16,
    /// The wire version chosen: authenticated, unlike [`HsResp::version`].
    pub version: u8,
}

impl RespPayload {
    /// Reads a decrypted payload.
    ///
    /// # Errors
    /// [`DropReason::HandshakePayload`] for another length, a reserved byte, an unknown suite, and for lanes
    /// outside of 1..=16.
    pub fn parse(plaintext: &[u8]) -> Result<Self, DropReason> {
        let mut fields = Fields::payload::<RESP_PAYLOAD_LEN>(plaintext)?;
        let [suite, lanes, rsv0, rsv1] = *fields.take()?;
        let mut payload = Self {
            suite: Suite::from_code(suite).ok_or(DropReason::HandshakePayload)?,
            lanes,
            capabilities: u32::from_le_bytes(*fields.take()?),
            instance: u64::from_le_bytes(*fields.take()?),
            observed_address: *fields.take()?,
            observed_port: u16::from_le_bytes(*fields.take()?),
            hb_min_ms: u16::from_le_bytes(*fields.take()?),
            version: 0,
        };
        let [version, reserved @ ..] = *fields.take::<4>()?;
        payload.version = version;
        if (rsv0, rsv1) != (0, 0) || reserved != [0; 3] || !(1..=MAX_LANES).contains(&lanes) {
            return Err(DropReason::HandshakePayload);
        }
        Ok(payload)
    }

    /// The plaintext.
    pub fn emit(&self) -> [u8; RESP_PAYLOAD_LEN] {
        let mut bytes = [0; RESP_PAYLOAD_LEN];
        put(
            &mut bytes,
            &[
                &[self.suite.code(), self.lanes, 0, 0],
                &self.capabilities.to_le_bytes(),
                &self.instance.to_le_bytes(),
                &self.observed_address,
                &self.observed_port.to_le_bytes(),
                &self.hb_min_ms.to_le_bytes(),
                &[self.version],
            ],
        );
        bytes
    }
}

/// The part of a datagram or payload that has not been read yet.
struct Fields<'a> {
    rest: &'a [u8],
    too_short: DropReason,
}

impl<'a> Fields<'a> {
    /// Of a whole datagram that must be of type `kind`.
    fn of(datagram: &'a [u8], kind: MessageType) -> Result<Self, DropReason> {
        if classify(datagram)? == kind {
            Ok(Self {
                rest: datagram,
                too_short: DropReason::WireLength,
            })
        } else {
            Err(DropReason::WireType)
        }
    }

    /// Of a payload that must have `N` bytes.
    fn payload<const N: usize>(plaintext: &'a [u8]) -> Result<Self, DropReason> {
        let whole = <&[u8; N]>::try_from(plaintext).map_err(|_| DropReason::HandshakePayload)?;
        Ok(Self {
            rest: whole,
            too_short: DropReason::HandshakePayload,
        })
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], DropReason> {
        let (field, rest) = self.rest.split_first_chunk::<N>().ok_or(self.too_short)?;
        self.rest = rest;
        Ok(field)
    }

    /// All that comes before the last `n` bytes.
    fn take_all_but(&mut self, n: usize) -> Result<&'a [u8], DropReason> {
        let length = self.rest.len().checked_sub(n).ok_or(self.too_short)?;
        let (field, rest) = self.rest.split_at_checked(length).ok_or(self.too_short)?;
        self.rest = rest;
        Ok(field)
    }

    fn take_index(&mut self) -> Result<ReceiverIndex, DropReason> {
        Ok(ReceiverIndex(u32::from_le_bytes(*self.take()?)))
    }
}

/// Writes `fields` one after the other to the start of `bytes`; what they do not reach stays as it is.
fn put(bytes: &mut [u8], fields: &[&[u8]]) {
    let source = fields.iter().flat_map(|field| field.iter());
    for (to, from) in bytes.iter_mut().zip(source) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INDEX: ReceiverIndex = ReceiverIndex(0x0403_0201);

    fn init() -> Vec<u8> {
        first(&[0xaa; 64], false)
    }

    fn first(encrypted_payload: &[u8], with_credential: bool) -> Vec<u8> {
        HsInit {
            header: &HsInit::header(1, 2, with_credential),
            version_max: 2,
            version_min: 1,
            sender: INDEX,
            ephemeral: &[0xe1; 32],
            encrypted_static: &[0x51; 48],
            encrypted_payload,
            mac1: &[0x11; 16],
            mac2: &[0x22; 16],
        }
        .emit()
    }

    fn resp() -> [u8; HS_RESP_LEN] {
        HsResp {
            version: 1,
            sender: INDEX,
            receiver: ReceiverIndex(0x0807_0605),
            ephemeral: &[0xe2; 32],
            encrypted_payload: &[0xbb; 56],
            mac1: &[0x11; 16],
        }
        .emit()
    }

    fn reply(kind: MessageType) -> [u8; COOKIE_LEN] {
        SealedReply {
            kind,
            receiver: INDEX,
            nonce: &[0x44; 24],
            sealed: &[0xcc; 32],
        }
        .emit()
    }

    const INIT_PAYLOAD: InitPayload = InitPayload {
        timestamp: *b"twelve bytes",
        suites: SuiteSet::of(Suite::ChaCha20Poly1305).with(Suite::Aes256Gcm),
        speed: 0x21,
        lanes_max: 16,
        capabilities: 0x0403_0201,
        instance: 0x0807_0605_0403_0201,
        echo: [0xee; 16],
    };

    const RESP_PAYLOAD: RespPayload = RespPayload {
        suite: Suite::Aes256Gcm,
        lanes: 1,
        capabilities: 0x0403_0201,
        instance: 0x0807_0605_0403_0201,
        observed_address: [0x0a; 16],
        observed_port: 0x1e14,
        hb_min_ms: 0x03e8,
        version: 1,
    };

    #[test]
    fn fields_are_where_the_table_says() {
        let b = init();
        assert_eq!(b[..8], [1, 2, 1, 0, 1, 2, 3, 4]);
        let runs = [
            (8, 40, 0xe1),
            (40, 88, 0x51),
            (88, 152, 0xaa),
            (152, 168, 0x11),
            (168, 184, 0x22),
        ];
        assert!(
            runs.iter()
                .all(|(from, to, byte)| b[*from..*to].iter().all(|b| b == byte))
        );

        let b = first(&[0xaa; 65 + 300], true);
        assert_eq!(b[..8], [8, 2, 1, 0, 1, 2, 3, 4]);
        let runs = [(88, 453, 0xaa), (453, 469, 0x11), (469, 485, 0x22)];
        assert!(
            b.len() == 485
                && runs
                    .iter()
                    .all(|(from, to, byte)| b[*from..*to].iter().all(|b| b == byte))
        );

        let b = resp();
        assert_eq!(b[..12], [2, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let runs = [(12, 44, 0xe2), (44, 100, 0xbb), (100, 116, 0x11), (116, 132, 0)];
        assert!(
            runs.iter()
                .all(|(from, to, byte)| b[*from..*to].iter().all(|b| b == byte))
        );

        let b = reply(MessageType::Retry);
        assert_eq!(b[..8], [7, 0, 0, 0, 1, 2, 3, 4]);
        assert!(b[8..32].iter().all(|b| *b == 0x44) && b[32..].iter().all(|b| *b == 0xcc));

        let b = INIT_PAYLOAD.emit();
        assert_eq!(b[..12], *b"twelve bytes");
        assert_eq!(b[12..28], [3, 0x21, 16, 0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(b[28..44].iter().all(|b| *b == 0xee) && b[44..] == [0; 4]);

        let b = RESP_PAYLOAD.emit();
        assert_eq!(b[..16], [2, 1, 0, 0, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(b[16..32].iter().all(|b| *b == 0x0a));
        assert_eq!(b[32..], [0x14, 0x1e, 0xe8, 0x03, 1, 0, 0, 0]);
    }

    #[test]
    fn what_was_emitted_is_read_back() {
        let bytes = init();
        let view = HsInit::parse(&bytes).unwrap();
        assert_eq!((view.version_min, view.version_max, view.sender), (1, 2, INDEX));
        assert_eq!(view.emit(), bytes);
        for credential in [1, 512] {
            let bytes = first(&[0xab; 576][..64 + credential], true);
            assert_eq!(bytes.len(), 184 + credential);
            assert_eq!(HsInit::parse(&bytes).unwrap().emit(), bytes);
        }
        for (credential, kind) in [(0, true), (513, true), (1, false)] {
            let bytes = first(&[0xab; 577][..64 + credential], kind);
            assert_eq!(HsInit::parse(&bytes).err(), Some(DropReason::WireLength));
        }
        let bytes = resp();
        let view = HsResp::parse(&bytes).unwrap();
        assert_eq!(
            (view.version, view.sender, view.receiver.0),
            (1, INDEX, 0x0807_0605)
        );
        assert_eq!(view.emit(), bytes);
        for kind in [MessageType::Cookie, MessageType::Retry] {
            assert_eq!(
                SealedReply::parse(&reply(kind), kind).unwrap().emit(),
                reply(kind)
            );
        }
        assert_eq!(InitPayload::parse(&INIT_PAYLOAD.emit()), Ok(INIT_PAYLOAD));
        assert_eq!(RespPayload::parse(&RESP_PAYLOAD.emit()), Ok(RESP_PAYLOAD));
    }

    #[test]
    fn reserved_bytes_of_messages_must_be_zero() {
        fn reserved(bytes: &[u8], at: &[usize], parse: impl Fn(&[u8]) -> Option<DropReason>) {
            assert_eq!(parse(bytes), None);
            for at in at {
                let mut bytes = bytes.to_vec();
                bytes[*at] = 0x80;
                assert_eq!(parse(&bytes), Some(DropReason::WireReserved), "byte {at}");
            }
        }
        reserved(&init(), &[3], |b| HsInit::parse(b).err());
        let of_resp: Vec<usize> = [2, 3].into_iter().chain(116..132).collect();
        reserved(&resp(), &of_resp, |b| HsResp::parse(b).err());
        for kind in [MessageType::Cookie, MessageType::Retry] {
            reserved(&reply(kind), &[1, 2, 3], |b| SealedReply::parse(b, kind).err());
        }
    }

    #[test]
    fn senseless_payloads_are_refused() {
        let refuse = |at: usize, byte: u8| {
            let mut bytes = INIT_PAYLOAD.emit();
            bytes[at] = byte;
            assert_eq!(
                InitPayload::parse(&bytes),
                Err(DropReason::HandshakePayload),
                "byte {at} = {byte}"
            );
        };
        // No suite, an unknown suite; no lane, too many; reserved.
        for (at, byte) in [
            (12, 0),
            (12, 4),
            (12, 0x83),
            (14, 0),
            (14, 17),
            (15, 1),
            (44, 1),
            (47, 1),
        ] {
            refuse(at, byte);
        }
        let refuse = |at: usize, byte: u8| {
            let mut bytes = RESP_PAYLOAD.emit();
            bytes[at] = byte;
            assert_eq!(
                RespPayload::parse(&bytes),
                Err(DropReason::HandshakePayload),
                "byte {at} = {byte}"
            );
        };
        for (at, byte) in [
            (0, 0),
            (0, 3),
            (0, 4),
            (1, 0),
            (1, 17),
            (2, 1),
            (3, 1),
            (37, 1),
            (39, 1),
        ] {
            refuse(at, byte);
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0_u8..10,
                                       len in prop::sample::select(&[0, 1, 63, 64, 65, 131, 132, 133, 183, 184, 185, 696, 697][..]),
                                       exact: bool) {
            if exact {
                bytes.resize(len, 0);
                if let Some(first) = bytes.first_mut() {
                    *first = kind;
                }
            }
            let first = bytes.first().copied();
            let is = |t: u8, n: usize| first == Some(t) && bytes.len() == n;
            let joins = first == Some(8) && (185..=696).contains(&bytes.len());
            prop_assert_eq!(HsInit::parse(&bytes).is_ok(), (is(1, 184) || joins) && bytes[3] == 0);
            prop_assert_eq!(HsResp::parse(&bytes).is_ok(),
                is(2, 132) && bytes[2..4] == [0; 2] && bytes[116..] == [0; 16]);
            for (kind, t) in [(MessageType::Cookie, 3), (MessageType::Retry, 7)] {
                prop_assert_eq!(SealedReply::parse(&bytes, kind).is_ok(), is(t, 64) && bytes[1..4] == [0; 3]);
            }
            // Payloads: whatever is read is emitted again as it was.
            if let Ok(payload) = InitPayload::parse(&bytes) {
                prop_assert_eq!(&payload.emit()[..], &bytes[..]);
            }
            if let Ok(payload) = RespPayload::parse(&bytes) {
                prop_assert_eq!(&payload.emit()[..], &bytes[..]);
            }
        }
    }
}
