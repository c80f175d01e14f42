//! Which of several hubs a client uses: the members of a hub group are one port of its bridge, and one of them is active.
//!
//! A group sees how its members stand, and never a frame or a link. It leaves the active one when that is in doubt or down,
//! and only for one that has answered since: where our own uplink is dead nobody answers, and nobody is taken over. It goes
//! back to one that is preferred when that has been up for a while, longer each time that it failed.

use alloc::{sync::Arc, vec::Vec};

use crate::{
    ids::PeerId,
    time::{Span, Time},
};

/// A member in doubt is left so long after another one has answered: one that is no worse, but was asked a little later,
/// answers within it.
const PATIENCE: Span = Span::from_millis(15);
/// One that has failed must have been up for so long before it is gone back to for its preference; twice as long each time
/// that it fails again, up to the most. At the bridges of others a station may move five times in three minutes (RFC 7432).
const FIRST_HOLD: Span = Span::from_secs(10);
const MOST_HOLD: Span = Span::from_secs(300);
/// A failure so long ago counts no more.
const FORGIVEN: Span = Span::from_secs(600);

/// How frames can be sent to a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Not at all: there is no session, or no link answers.
    #[default]
    Down,
    /// Every link that could is in doubt.
    Doubtful,
    /// By one link at least.
    Up,
}

/// Why a member is the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOverReason {
    /// There was none before it, or the one before is no member any more.
    First,
    /// All links of the one before were in doubt.
    InDoubt,
    /// The one before was down.
    Down,
    /// It has the higher preference, and has been up for long enough.
    Preferred,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// All members are to be asked now, and what answers is to be told with this number ([`HubGroup::heard`]).
    Prove(u32),
    /// The active one is to be asked once more, for the last time.
    Ask(PeerId),
    /// This one is to be active ([`HubGroup::take_over`]).
    TakeOver(PeerId, TakeOverReason),
}

/// One hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub peer: PeerId,
    /// The highest wins, then the lowest peer.
    pub preference: u8,
    /// How frames can be sent to it.
    pub standing: Standing,
    /// The last question that it has answered.
    proof: u32,
    up_since: Time,
    failed: Option<Time>,
    hold: Span,
}

impl Member {
    /// When it may be gone back to for its preference, if it stays up.
    fn settles(&self) -> Time {
        self.up_since + self.hold
    }

    /// It was up and is not, or was left because it was in doubt. Once for each time that it is up.
    fn fail(&mut self, now: Time) {
        if self.failed.is_some_and(|at| at >= self.up_since) {
            return;
        }
        let again = self.failed.is_some_and(|at| now.since(at) < FORGIVEN);
        self.hold = if again {
            self.hold.times(2).min(MOST_HOLD)
        } else {
            FIRST_HOLD
        };
        self.failed = Some(now);
    }
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    question: u32,
    /// When another one has answered first.
    answered: Option<Time>,
}

/// The hubs of one group.
#[derive(Debug)]
pub struct HubGroup {
    /// What the operator calls it.
    pub name: Arc<str>,
    /// In ascending order of peers; never empty.
    members: Vec<Member>,
    active: Option<PeerId>,
    since: Time,
    reason: TakeOverReason,
    take_overs: u32,
    doubt: Option<Doubt>,
    questions: u32,
}

impl HubGroup {
    /// A group of one member.
    pub fn new(now: Time, name: Arc<str>, peer: PeerId, preference: u8) -> Self {
        let mut group = Self {
            name,
            members: Vec::new(),
            active: None,
            since: now,
            reason: TakeOverReason::First,
            take_overs: 0,
            doubt: None,
            questions: 0,
        };
        group.join(peer, preference);
        group
    }

    /// Adds a member, or changes its preference.
    pub fn join(&mut self, peer: PeerId, preference: u8) {
        match self.members.binary_search_by_key(&peer, |m| m.peer) {
            Ok(at) => self.members[at].preference = preference,
            Err(at) => self.members.insert(
                at,
                Member {
                    peer,
                    preference,
                    standing: Standing::Down,
                    proof: 0,
                    up_since: Time::ZERO,
                    failed: None,
                    hold: Span::ZERO,
                },
            ),
        }
    }

    /// Removes a member. Returns whether any is left.
    pub fn leave(&mut self, peer: PeerId) -> bool {
        self.members.retain(|m| m.peer != peer);
        if self.active == Some(peer) {
            self.active = None;
            self.doubt = None;
        }
        !self.members.is_empty()
    }

    /// The members, in ascending order of peers.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The peer by which the bridge knows the port that the group is.
    pub fn port(&self) -> Option<PeerId> {
        self.members.first().map(|m| m.peer)
    }

    /// The one that frames go to.
    pub const fn active(&self) -> Option<PeerId> {
        self.active
    }

    /// Since when, why, and how many there have been before it.
    pub const fn history(&self) -> (Time, TakeOverReason, u32) {
        (self.since, self.reason, self.take_overs)
    }

    /// Whether the active one is anything but up.
    pub fn is_in_doubt(&self) -> bool {
        self.active_member().is_none_or(|m| m.standing != Standing::Up)
    }

    /// Whether every member has been up for so long. One that stands still does not answer, and when it goes on it brings
    /// what came to it before.
    pub fn is_whole_for(&self, now: Time, span: Span) -> bool {
        let whole = |m: &Member| m.standing == Standing::Up && now.since(m.up_since) >= span;
        self.members.iter().all(whole)
    }

    /// How `peer` stands now, and the last question that it has answered.
    pub fn heard(&mut self, now: Time, peer: PeerId, standing: Standing, proof: u32) {
        let Some(member) = self.members.iter_mut().find(|m| m.peer == peer) else {
            return;
        };
        member.proof = proof;
        if member.standing == standing {
            return;
        }
        match (member.standing, standing) {
            (_, Standing::Up) => member.up_since = now,
            (Standing::Up | Standing::Doubtful, Standing::Down) => member.fail(now),
            _ => {}
        }
        member.standing = standing;
    }

    /// What is to be done now. To be asked again when a member has been [heard](Self::heard) of, and at the
    /// [deadline](Self::deadline).
    pub fn judge(&mut self, now: Time) -> Option<Act> {
        let up = |m: &Member| m.standing == Standing::Up;
        let Some(active) = self.active_member().copied() else {
            return Some(Act::TakeOver(self.best(up)?, TakeOverReason::First));
        };
        if up(&active) {
            self.doubt = None;
            let better = |m: &Member| up(m) && m.preference > active.preference && m.settles() <= now;
            return Some(Act::TakeOver(self.best(better)?, TakeOverReason::Preferred));
        }
        let Some(doubt) = self.doubt else {
            self.questions = self.questions.wrapping_add(1).max(1);
            self.doubt = Some(Doubt {
                question: self.questions,
                answered: None,
            });
            return Some(Act::Prove(self.questions));
        };
        let to = self.best(|m| up(m) && m.proof == doubt.question)?;
        if active.standing == Standing::Down {
            return Some(Act::TakeOver(to, TakeOverReason::Down));
        }
        let Some(answered) = doubt.answered else {
            self.doubt = Some(Doubt {
                answered: Some(now),
                ..doubt
            });
            return Some(Act::Ask(active.peer));
        };
        (now >= answered + PATIENCE).then_some(Act::TakeOver(to, TakeOverReason::InDoubt))
    }

    /// When [`Self::judge`] may have something to say though nothing is heard.
    pub fn deadline(&self, now: Time) -> Option<Time> {
        let active = self.active_member()?;
        match active.standing {
            Standing::Up => {
                let waits = |m: &&Member| m.standing == Standing::Up && m.preference > active.preference;
                self.members.iter().filter(waits).map(Member::settles).min()
            }
            Standing::Doubtful => self
                .doubt
                .and_then(|d| d.answered)
                .map(|answered| answered + PATIENCE)
                .filter(|patience| *patience > now),
            Standing::Down => None,
        }
    }

    /// `to` is the active one from now on. Returns the one before it.
    pub fn take_over(&mut self, now: Time, to: PeerId, reason: TakeOverReason) -> Option<PeerId> {
        let before = self.active.replace(to);
        let failed = matches!(reason, TakeOverReason::InDoubt | TakeOverReason::Down);
        if let Some(member) = self.members.iter_mut().find(|m| Some(m.peer) == before && failed) {
            member.fail(now);
        }
        self.since = now;
        self.reason = reason;
        self.take_overs = self.take_overs.saturating_add(u32::from(before.is_some()));
        self.doubt = None;
        before
    }

    fn active_member(&self) -> Option<&Member> {
        let active = self.active?;
        self.members.iter().find(|m| m.peer == active)
    }

    /// The best of the members that are like this.
    fn best(&self, like: impl Fn(&Member) -> bool) -> Option<PeerId> {
        let members = self.members.iter().filter(|m| like(m));
        let best = members.max_by_key(|m| (m.preference, core::cmp::Reverse(m.peer)));
        best.map(|m| m.peer)
    }
}

#[cfg(test)]
mod tests;
