//! Which worker's socket a datagram comes to: that of the owner of the peer, whose number the last bits of our receiver
//! index are. The kernel runs this for each datagram, or for a run of them that it has merged.

use knet_io::udp::Instruction;
use knet_proto::{
    ids::Workers,
    wire::header::{HS_INIT_LEN, MessageType},
};

/// Where a message has the receiver index, little endian: its last bits are in the first byte.
const RECEIVER: u32 = 4;
/// There an `HS_RESP` has it; where others have it, it has the index of who sends.
const RECEIVER_OF_RESP: u32 = 8;

/// The program for so many workers.
///
/// An `HS_INIT` has no receiver index yet. The kernel spreads these by their senders' addresses, and each worker hands
/// them to the same handshake thread. Merged with something behind it, that decides: the handshake is taken by
/// whichever worker, the rest has an order to keep. (With a second `HS_INIT` in between it may come to a wrong worker,
/// who passes it on.) An `HS_JOIN` is spread as well, whatever is behind it: one of any length comes once in a while.
pub(crate) fn program(workers: Workers) -> [Instruction; 16] {
    use Instruction::{And, LoadByte, LoadLength, ReturnNone, ReturnTaken, SkipIfEqual, SkipUnlessGreater};
    let mask = workers.mask();
    [
        LoadByte(0),
        SkipIfEqual {
            value: MessageType::HsInit as u32,
            skip: 8,
        },
        SkipIfEqual {
            value: MessageType::HsResp as u32,
            skip: 4,
        },
        SkipIfEqual {
            value: MessageType::HsJoin as u32,
            skip: 11,
        },
        LoadByte(RECEIVER),
        And(mask),
        ReturnTaken,
        // HS_RESP:
        LoadByte(RECEIVER_OF_RESP),
        And(mask),
        ReturnTaken,
        // HS_INIT:
        LoadLength,
        SkipUnlessGreater {
            value: HS_INIT_LEN as u32,
            skip: 3,
        },
        LoadByte(HS_INIT_LEN as u32 + RECEIVER),
        And(mask),
        ReturnTaken,
        // Alone, or HS_JOIN:
        ReturnNone,
    ]
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        num::NonZeroU8,
        time::{Duration, Instant},
    };

    use knet_io::udp::{Group, MERGED, RecvBatch, SendBatch, SendItem, UdpOptions, UdpSocket};
    use knet_proto::{
        ids::{ReceiverIndex, WorkerId},
        wire::{
            handshake_message::{HsInit, HsResp, SealedReply},
            header::TransportHeader,
        },
    };

    use super::*;

    struct Sockets {
        sockets: Vec<UdpSocket>,
        sender: UdpSocket,
        batch: RecvBatch,
    }

    impl Sockets {
        fn new(count: u8) -> Self {
            let (Some(workers), Some(count)) = (Workers::new(count), NonZeroU8::new(count)) else {
                panic!("{count}");
            };
            let address = ([127, 0, 0, 1], 0).into();
            let group = Group {
                count,
                program: &program(workers),
                replaces: false,
            };
            let options = UdpOptions::default();
            Self {
                sockets: UdpSocket::bind_group(address, &options, &group).unwrap_or_else(|e| panic!("{e}")),
                sender: UdpSocket::bind(address, &options).unwrap_or_else(|e| panic!("{e}")),
                batch: RecvBatch::new(32, MERGED),
            }
        }

        /// Who got these, sent in one go.
        fn home(&mut self, datagrams: &[Vec<u8>]) -> BTreeSet<usize> {
            let Some(to) = self.sockets.first().map(UdpSocket::local_addr) else {
                panic!()
            };
            let item = |i: usize| SendItem {
                remote: to,
                local: None,
                dscp: None,
                confirms: false,
                begins: false,
                bytes: &datagrams[i],
            };
            let sent = self
                .sender
                .send(&mut SendBatch::new(), datagrams.len(), item, &mut Vec::new());
            assert_eq!(sent.done, datagrams.len());
            let (mut got, mut homes) = (0, BTreeSet::new());
            let until = Instant::now() + Duration::from_secs(5);
            while got < datagrams.len() {
                assert!(Instant::now() < until, "{got} of {}", datagrams.len());
                for (place, socket) in self.sockets.iter().enumerate() {
                    let taken = socket.receive(&mut self.batch).unwrap_or_else(|e| panic!("{e}"));
                    if taken.received > 0 {
                        homes.insert(place);
                    }
                    got += self
                        .batch
                        .iter_mut()
                        .map(|(bytes, meta)| bytes.len().div_ceil(meta.piece.max(1)).max(1))
                        .sum::<usize>();
                }
            }
            homes
        }
    }

    fn init() -> Vec<u8> {
        first_message(&[1; 64], false)
    }

    fn first_message(encrypted_payload: &[u8], joins: bool) -> Vec<u8> {
        let init = HsInit {
            header: &HsInit::header(1, 1, joins),
            version_max: 1,
            version_min: 1,
            // Theirs: it says nothing about us.
            sender: ReceiverIndex(0x0a0b_0c01),
            ephemeral: &[1; 32],
            encrypted_static: &[1; 48],
            encrypted_payload,
            mac1: &[1; 16],
            mac2: &[1; 16],
        };
        init.emit()
    }

    fn transport(kind: MessageType, receiver: ReceiverIndex, length: usize) -> Vec<u8> {
        let header = TransportHeader {
            kind,
            space: 3,
            partial: false,
            receiver,
            counter: 0x0102_0304,
        };
        let mut bytes = header.emit().to_vec();
        bytes.resize(length, 0xff);
        bytes
    }

    /// Each message that names one of our sessions comes to the worker in the last bits of our index, alone and merged.
    #[test]
    fn each_message_comes_to_the_owner_of_its_index() {
        let Some(four) = Workers::new(4) else { panic!() };
        let mut workers = Sockets::new(4);
        for worker in 0..4_u8 {
            let ours = four.mark(0xabcd_ef4f, WorkerId(worker));
            let theirs = ReceiverIndex(0x1234_5678 + u32::from(!worker));
            let resp = HsResp {
                version: 1,
                sender: theirs,
                receiver: ours,
                ephemeral: &[1; 32],
                encrypted_payload: &[1; 56],
                mac1: &[1; 16],
            };
            let reply = |kind| SealedReply {
                kind,
                receiver: ours,
                nonce: &[1; 24],
                sealed: &[1; 32],
            };
            let (data, ctrl, frag) = (MessageType::Data, MessageType::Ctrl, MessageType::Frag);
            let messages = [
                resp.emit().to_vec(),
                reply(MessageType::Cookie).emit().to_vec(),
                reply(MessageType::Retry).emit().to_vec(),
                transport(data, ours, 1400),
                transport(ctrl, ours, 60),
                transport(frag, ours, 900),
            ];
            for message in messages {
                let kind = message[0];
                for times in [1, 20] {
                    let homes = workers.home(&vec![message.clone(); times]);
                    assert_eq!(
                        homes,
                        BTreeSet::from([usize::from(worker)]),
                        "type {kind}, {times} times"
                    );
                }
            }
            // The kernel would choose by addresses, and so the same for all four.
            for behind in [transport(data, ours, 42), transport(data, ours, HS_INIT_LEN)] {
                let homes = workers.home(&[init(), behind]);
                assert_eq!(homes, BTreeSet::from([usize::from(worker)]));
            }
        }
    }

    /// Whatever else comes is somebody's: handshakes of strangers, and numbers of workers that do not exist.
    #[test]
    fn what_names_no_worker_is_spread_by_address() {
        let (mut inits, mut joins, mut beyond) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for _ in 0..40 {
            let mut workers = Sockets::new(3);
            inits.extend(workers.home(&[init()]));
            joins.extend(workers.home(&[first_message(&[1; 300], true)]));
            beyond.extend(workers.home(&[transport(MessageType::Data, ReceiverIndex(7), 60)]));
            let empty = workers.home(&[vec![], vec![4], vec![2, 0, 0, 0, 1]]);
            assert!(empty.is_subset(&BTreeSet::from([0])), "{empty:?}");
        }
        assert_eq!(inits, BTreeSet::from([0, 1, 2]));
        assert_eq!(joins, BTreeSet::from([0, 1, 2]));
        assert_eq!(beyond, BTreeSet::from([0, 1, 2]));
    }
}
