//! What this worker and the others hand to each other. Alone, it does none of this.

use knet_proto::{shard::Shard, time::Time};

use super::{Worker, turn::write_frames};
use crate::mail::{Letter, Mail};

/// Parcels per turn, and from one worker before the next one has its turn.
const PARCELS: usize = 16;
const PARCELS_IN_A_ROW: usize = 4;

impl Worker {
    /// Takes in what others tell. To be called after each system call, or parcel, that has brought something, and before
    /// that is looked at: nobody's answer then comes before the news that it follows from.
    pub(super) fn take_news(&mut self, now: Time) {
        while let Some(letter) = self.mail.as_mut().and_then(Mail::next_letter) {
            match letter {
                Letter::News(news) => self.shard.handle_news(now, news),
                Letter::Socket(id, state) => self.hear_of_socket(now, id, state),
                Letter::TapMtu(mtu) => self.shard.set_tap_mtu(now, mtu),
            }
        }
    }

    /// Takes parcels from all the others, unless a socket is full: that is to be felt by those who send them.
    pub(super) fn take_parcels(&mut self, now: Time) -> Result<(), String> {
        let others = self.mail.as_ref().map_or(0, Mail::others);
        let mut taken = 0;
        for _ in 0..others {
            self.next_source = (self.next_source + 1) % others;
            for _ in 0..PARCELS_IN_A_ROW {
                if taken == PARCELS || self.sockets.hold_tap_until(now).is_some() {
                    return Ok(());
                }
                let place = self.next_source;
                let Some(mut parcel) = self.mail.as_mut().and_then(|m| m.take(place)) else {
                    break;
                };
                taken += 1;
                self.take_news(now);
                self.shard.handle_parcel(now, &mut parcel);
                let written =
                    write_frames(&mut self.tap, &mut self.shard, self.mail.as_mut(), parcel.bytes())?;
                written.count(&mut self.shard, &mut self.calls);
                if let Some(mail) = &mut self.mail {
                    mail.give_back(place, parcel);
                }
                self.flush(now);
            }
        }
        Ok(())
    }

    /// Whether parcels wait that can be taken.
    pub(super) fn has_parcels(&self, now: Time) -> bool {
        self.mail.as_ref().is_some_and(Mail::has_parcels) && self.sockets.hold_tap_until(now).is_none()
    }

    /// Sends parcels, behind the news, and wakes those who have something to read.
    pub(super) fn post(&mut self, now: Time) {
        tell_news(&mut self.shard, self.mail.as_mut());
        if let Some(mail) = &mut self.mail {
            mail.post(now, &mut self.shard.outbox().parcels);
            mail.wake();
        }
    }

    /// Until when the TAP should not be read, because a socket is full or another worker does not keep up: a point in
    /// the future, or `None`.
    pub(super) fn hold_tap_until(&self, now: Time) -> Option<Time> {
        let mail = self.mail.as_ref().and_then(|m| m.hold_tap_until(now));
        [self.sockets.hold_tap_until(now), mail]
            .into_iter()
            .flatten()
            .min()
    }
}

/// Tells the others what the core has to tell: before anything is done that could lead to an answer.
pub(super) fn tell_news(shard: &mut Shard, mail: Option<&mut Mail>) {
    let Some(mail) = mail else { return };
    for (to, news) in shard.outbox().news.drain(..) {
        mail.tell(to, &Letter::News(news));
    }
}
