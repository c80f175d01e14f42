//! A peer as one of several hubs: how it stands, what it is told, and what was on its way to it when it is left.

use alloc::{boxed::Box, vec::Vec};

use super::Peer;
use crate::{
    hub_group::Standing,
    ids::{LinkId, LinkSet},
    link::{Link, PingDue},
    offload::{Frame, checksum::Checksum},
    reassembly::Reassembler,
    shard::env::Env,
    status::LinkState,
    time::Time,
    wire::{
        control_record::{Attachment, Record},
        fragment_header::{FragmentHeader, FragmentKind},
        header::MessageType,
        virtio_net_header::VirtioNetHeader,
    },
};

/// Bytes that are sent again to another hub at once, the newest: what TCP has under way is in the order of that, and late is
/// worse than lost.
const MOST_RESENT: usize = 1 << 20;

/// What the two sides say of whether the one is the other's hub in use; and whether this one answers when it is asked.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    /// What we tell it, as long as it is in a group.
    ours: Option<Attachment>,
    /// What it tells us.
    theirs: Option<Attachment>,
    /// What it has told us is new.
    news: bool,
    /// The question that it has not answered yet, and when it was put.
    asked: Option<(u32, Time)>,
    /// The last that it has.
    answered: u32,
}

impl Attachments {
    pub(super) const fn ours(&self) -> Option<Attachment> {
        self.ours
    }

    /// It says so. Heartbeats on several links may overtake each other.
    pub(super) fn heard(&mut self, attachment: Attachment) {
        if self.theirs.is_none_or(|known| attachment.is_after(known)) {
            self.news |= self.theirs.map(|a| a.attached) != Some(attachment.attached);
            self.theirs = Some(attachment);
        }
    }

    /// It is another process, which counts anew.
    pub(super) const fn forget_theirs(&mut self) {
        self.theirs = None;
        self.news = false;
    }
}

impl Peer {
    /// How frames can be sent to it.
    pub fn standing(&self) -> Standing {
        if !self.is_up() {
            return Standing::Down;
        }
        match self.links().map(Link::state).max() {
            Some(LinkState::Up) => Standing::Up,
            Some(LinkState::Suspect) => Standing::Doubtful,
            _ => Standing::Down,
        }
    }

    /// The last question of [`Self::prove`] that it has answered.
    pub fn proof(&mut self) -> u32 {
        let asked = self.attachments.get().and_then(|a| a.asked);
        let proven = |at| {
            self.links()
                .any(|l| l.state() == LinkState::Up && l.proven_since(at))
        };
        if let Some((question, _)) = asked.filter(|(_, at)| proven(*at)) {
            let attachments = self.attachments.make();
            attachments.answered = question;
            attachments.asked = None;
        }
        self.attachments.get().map_or(0, |a| a.answered)
    }

    /// Both, where it is in a group.
    pub fn as_hub(&mut self) -> Option<(Standing, u32)> {
        self.config.hub.is_some().then(|| (self.standing(), self.proof()))
    }

    /// When anything authentic came from it, on any link, in judged time.
    pub const fn heard(&self) -> Time {
        self.heard
    }

    /// Asks it at once whether it is there. If the answer is lost, its links ask again by themselves.
    pub fn prove(&mut self, env: &mut Env, question: u32) {
        self.attachments.make().asked = Some((question, env.now));
        let up = self.links().filter(|l| l.state() == LinkState::Up);
        let up: LinkSet = up.map(|l| l.id).collect();
        for link in up.iter() {
            self.send_ping(env, link, PingDue::DOUBT, None);
        }
    }

    /// Something hints at that it is gone: asks over every link that has not been asked for a while.
    pub fn ask(&mut self, env: &mut Env) {
        for id in LinkId::all() {
            let Some(link) = self.link_mut(id) else { continue };
            if link.may_ask(env.now) {
                self.send_ping(env, id, PingDue::DOUBT, None);
            }
        }
    }

    /// Tells it, now and with each heartbeat, whether it is the hub in use; `None`: it is in no group any more.
    pub fn attach(&mut self, env: &mut Env, attachment: Option<Attachment>) {
        let before = self.attachments.get().and_then(Attachments::ours);
        let left_group = attachment.is_none() && before.is_some_and(|a| !a.attached);
        let said = if left_group {
            // It is a hub like any other from now on.
            before.map(|a| Attachment {
                changes: a.changes.wrapping_add(1),
                attached: true,
            })
        } else {
            attachment
        };
        if before != attachment {
            self.attachments.make().ours = attachment;
        }
        let Some(said) = said.filter(|_| self.is_up()) else {
            return;
        };
        let usable = |l: &&Link| l.can_send() && l.state() >= LinkState::Probing;
        let links: LinkSet = self.links().filter(usable).map(|l| l.id).collect();
        for link in links.iter() {
            self.send_ctrl(env, link, |records| {
                records.push(&Record::Attachment(said));
            });
        }
    }

    /// Whether it uses us: `None`, where it has not said that it has several hubs.
    pub fn is_attached(&self) -> Option<bool> {
        self.attachments.get()?.theirs.map(|a| a.attached)
    }

    /// The same, once, when it has changed.
    pub fn take_attachment(&mut self) -> Option<bool> {
        core::mem::take(&mut self.attachments.get_mut()?.news)
            .then(|| self.is_attached())
            .flatten()
    }

    /// Takes back the frames that may not have come to it, in order: what it has not reported, and what waits for a session
    /// or a link.
    pub fn take_back(&mut self, env: &mut Env) -> Vec<(VirtioNetHeader, Box<[u8]>)> {
        let mut frames = self.unseal_unreported(env);
        while let Some(w) = self.take_waiting(env) {
            frames.push((w.header, w.frame));
        }
        frames
    }

    /// The session ends: what it has not reported waits for the next, or for another hub.
    pub(super) fn keep_for_other_hub(&mut self, env: &mut Env) {
        if self.config.hub.is_none() {
            return;
        }
        for (header, frame) in self.unseal_unreported(env) {
            self.keep_waiting(env, Frame::new(header, &frame));
        }
    }

    fn unseal_unreported(&mut self, env: &mut Env) -> Vec<(VirtioNetHeader, Box<[u8]>)> {
        let max_age = self.replay_max_age();
        let Some(ring) = self.ring.get_mut() else {
            return Vec::new();
        };
        let sealed = ring.take_unreported(env.real, max_age, MOST_RESENT, &mut env.outbox.arena);
        let mut pieces = Reassembler::default();
        let mut frames = Vec::new();
        for (seq, mut datagram) in sealed {
            let session = [self.current.as_deref(), self.previous.as_deref()]
                .into_iter()
                .flatten()
                .find(|s| s.serial == seq.session);
            let Some((header, text)) = session.and_then(|s| s.unseal_own(&mut datagram)) else {
                continue;
            };
            if header.kind == MessageType::Data {
                if let Ok(left_to_do) = Checksum::of(header.partial).header_of(text) {
                    frames.push((left_to_do, Box::from(&*text)));
                }
            } else if let Ok((piece, bytes)) = FragmentHeader::parse(text, env.max_frame)
                && piece.kind == FragmentKind::Frame
                && let Some(frame) = pieces.insert(
                    env.now,
                    seq.session,
                    &piece,
                    bytes,
                    &mut env.reassembly,
                    &mut env.status.drops,
                )
            {
                frames.push((VirtioNetHeader::default(), frame.into_boxed_slice()));
            }
        }
        pieces.clear(&mut env.reassembly);
        frames
    }
}
