//! What goes between the workers of a host, as the runtime carries it.
//!
//! News can be seen as soon as it is posted, and is taken before anything else is; only its wake-up takes time. Parcels
//! take some, arrive in order, and there are only so many between two workers: what finds none waits with its sender.

use std::collections::{BTreeMap, VecDeque};

use knet_proto::shard::{News, Parcel};

/// Parcels on the way from one worker to another, at most.
const CREDIT: usize = 8;

/// All of it for one host.
#[derive(Default)]
pub(super) struct Mail {
    /// By receiver.
    news: BTreeMap<usize, VecDeque<News>>,
    /// By sender and receiver.
    parcels: BTreeMap<(usize, usize), VecDeque<Parcel>>,
}

impl Mail {
    pub(super) fn post_news(&mut self, to: usize, news: News) {
        self.news.entry(to).or_default().push_back(news);
    }

    pub(super) fn take_news(&mut self, worker: usize) -> Option<News> {
        self.news.get_mut(&worker)?.pop_front()
    }

    /// Puts a parcel on its way, and an empty one in its place, if there is something in it and an empty one is there.
    pub(super) fn post_parcel(&mut self, from: usize, to: usize, parcel: &mut Parcel) -> bool {
        let queue = self.parcels.entry((from, to)).or_default();
        let goes = !parcel.is_empty() && queue.len() < CREDIT;
        if goes {
            queue.push_back(std::mem::take(parcel));
        }
        goes
    }

    pub(super) fn take_parcel(&mut self, from: usize, to: usize) -> Option<Parcel> {
        self.parcels.get_mut(&(from, to))?.pop_front()
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.news.values().all(VecDeque::is_empty) && self.parcels.values().all(VecDeque::is_empty)
    }
}
