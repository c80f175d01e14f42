//! Addresses for the other side's TAP: what we give the peer, and what it gives us, if that is taken.
//!
//! Whoever takes addresses asks for them with its first heartbeat of a session (`ADDRESSES_ACK` without a number). They are
//! said with a heartbeat, at first and when they change, and then with the 2nd, the 4th, the 8th and so on until the other
//! side has acknowledged them: one that does not know the record costs next to nothing.

use core::num::NonZeroU32;

use super::Peer;
use crate::{
    drop_reason::DropReason,
    event::Event,
    ids::LinkSet,
    shard::env::Env,
    token_bucket::{Rate, TokenBucket},
    wire::{address_list::AddressList, control_record::Record},
};

/// So many changes a second, and at once, are told of one peer. Others wait until it repeats them.
const CHANGES: Rate = Rate::new(1, 8);

/// Something that is said until it has been heard, ever more rarely.
#[derive(Clone, Copy, Debug, Default)]
struct Repeated(Option<u32>);

impl Repeated {
    /// From now on.
    const fn begin(&mut self) {
        self.0 = Some(0);
    }

    /// It was heard.
    const fn end(&mut self) {
        self.0 = None;
    }

    const fn is_open(self) -> bool {
        self.0.is_some()
    }

    /// A heartbeat leaves: whether it is said in that.
    const fn is_due(&mut self) -> bool {
        let Some(count) = &mut self.0 else { return false };
        *count = count.saturating_add(1);
        count.is_power_of_two()
    }
}

/// What has become of addresses that one side gives the other.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// The number of what it was told last.
    told: Option<NonZeroU32>,
    telling: Repeated,
    /// What it has told us, with its number.
    heard: Option<(NonZeroU32, AddressList)>,
    asking: Repeated,
    /// Changes that were told.
    changes: TokenBucket,
    /// It does not know yet that it was heard.
    owes_ack: bool,
}

impl Addresses {
    /// They are others: these are the ones to be told from now on.
    fn tell(&mut self, changed: bool) {
        self.told = match self.told {
            Some(told) if !changed => Some(told),
            told => Some(next(told)),
        };
        self.telling.begin();
    }
}

/// The number that follows; 0 is none.
fn next(told: Option<NonZeroU32>) -> NonZeroU32 {
    let next = told.map_or(1, |told| told.get().wrapping_add(1));
    NonZeroU32::new(next).unwrap_or(NonZeroU32::MIN)
}

impl Peer {
    /// It has nothing of ours, nor we of it: a first session, or one with another process.
    pub(super) fn addresses_begin(&mut self) {
        if !self.config.gives.is_empty() || self.addresses.get().is_some_and(|a| a.told.is_some()) {
            self.addresses.make().tell(false);
        }
        if self.config.takes {
            let addresses = self.addresses.make();
            addresses.heard = None;
            addresses.owes_ack = false;
            addresses.asking.begin();
        }
    }

    /// What is given or taken is not as it was.
    pub(super) fn addresses_configured(&mut self, env: &mut Env, given: &AddressList, took: bool) {
        let gives = *given != self.config.gives;
        let takes = took != self.config.takes;
        if gives {
            self.addresses.make().tell(true);
        }
        if takes {
            let addresses = self.addresses.make();
            addresses.heard = None;
            addresses.owes_ack = false;
            addresses.asking.end();
            if self.config.takes {
                addresses.asking.begin();
            }
        }
        if !(gives || takes) || !self.is_up() {
            return;
        }
        let Some(link) = self.best_link(LinkSet::EMPTY) else {
            return;
        };
        let records = self.address_records();
        if records.iter().any(Option::is_some) {
            self.send_ctrl(env, link, |out| {
                for record in records.iter().flatten() {
                    out.push(record);
                }
            });
        }
    }

    /// What a heartbeat has to say of them.
    pub(super) fn address_records(&mut self) -> [Option<Record>; 2] {
        let Some(addresses) = self.addresses.get_mut() else {
            return [None, None];
        };
        let tells = addresses.told.filter(|_| addresses.telling.is_due());
        let given = tells.map(|changes| Record::Addresses {
            changes,
            addresses: self.config.gives.clone(),
        });
        let says = core::mem::take(&mut addresses.owes_ack) || addresses.asking.is_due();
        let ack = says.then(|| Record::AddressesAck(addresses.heard.as_ref().map(|(changes, _)| *changes)));
        [given, ack]
    }

    /// It gives us these.
    pub(super) fn addresses_heard(&mut self, env: &mut Env, changes: NonZeroU32, list: AddressList) {
        if !self.config.takes {
            return;
        }
        let peer = self.id;
        let addresses = self.addresses.make();
        let later = |known: NonZeroU32| (changes.get().wrapping_sub(known.get()) as i32) > 0;
        let is_news = match &addresses.heard {
            None => true,
            Some((known, _)) if *known == changes => false,
            Some((known, _)) if later(*known) => true,
            // Heartbeats on several links may overtake each other.
            Some(_) => return,
        };
        if is_news && !addresses.changes.take(CHANGES, env.now, 1) {
            return env.drop(DropReason::RecordRate);
        }
        addresses.owes_ack = true;
        addresses.asking.end();
        if is_news {
            addresses.heard = Some((changes, list.clone()));
            env.event(Event::Addresses {
                peer,
                addresses: list,
            });
        }
    }

    /// It has heard what has this number, or asks what there is.
    pub(super) fn addresses_acknowledged(&mut self, changes: Option<NonZeroU32>) {
        let addresses = self.addresses.make();
        if changes.is_some() && changes == addresses.told {
            addresses.telling.end();
        } else {
            addresses.tell(false);
        }
    }

    /// Whether it has acknowledged what it is given; `None` where that is nothing.
    pub(super) fn has_taken_addresses(&self) -> Option<bool> {
        let is_open = self.addresses.get().is_none_or(|a| a.telling.is_open());
        (!self.config.gives.is_empty()).then_some(!is_open)
    }

    /// What it gives us, as far as it has said so in the session.
    pub(super) fn addresses_given_to_us(&self) -> Option<&AddressList> {
        self.addresses.get()?.heard.as_ref().map(|(_, list)| list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_ever_more_rarely_and_not_any_more_when_it_was_heard() {
        let mut repeated = Repeated::default();
        assert!(!repeated.is_due() && !repeated.is_open());
        repeated.begin();
        let due = (1..=64).filter(|_| repeated.is_due()).count();
        assert_eq!(due, 7, "with the 1st, 2nd, 4th, ..., 64th");
        repeated.begin();
        assert!(repeated.is_due());
        repeated.end();
        assert!(!repeated.is_due());
    }

    #[test]
    fn numbers_go_around_without_none() {
        assert_eq!(next(None).get(), 1);
        assert_eq!(next(NonZeroU32::new(1)).get(), 2);
        assert_eq!(next(NonZeroU32::new(u32::MAX)).get(), 1);
    }
}
