//! Links that cost money rest while a cheaper one does the work.

use super::Peer;
use crate::{
    ids::LinkId,
    link::{Link, PingDue, sent_log::DataSeq},
    shard::env::Env,
    status::LinkState,
};

impl Peer {
    /// Links were chosen: some may rest now, and one that has rested and is needed says at once what it is worth.
    pub(super) fn let_rest(&mut self, env: &mut Env) {
        let set = self.set;
        let works = |l: &&Link| set.contains(l.id) && l.state() == LinkState::Up && !l.is_poor();
        let cheapest = self.links().filter(works).map(|l| l.config.cost).min();
        for id in LinkId::all() {
            let Some(link) = self.link_mut(id) else { continue };
            if link.chosen(env.now, cheapest.filter(|_| !set.contains(id))) {
                self.send_ping(env, id, PingDue::DOUBT, None);
            }
        }
    }

    /// A link that rests and brings data does not rest for the peer.
    pub(super) fn note_data(&mut self, env: &Env, id: LinkId) {
        let Some(session) = &self.current else { return };
        let Some(counter) = session.newest(id) else {
            return;
        };
        let newest = DataSeq {
            session: session.serial,
            counter,
        };
        if let Some(link) = self.link_mut(id) {
            link.data_came(env.now, newest);
        }
    }
}
