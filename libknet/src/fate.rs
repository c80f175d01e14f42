//! The workers of one interface live and die together: without one of them some of the peers, and some of every flow,
//! would be gone in silence.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use knet_io::eventfd::Waker;

use crate::query::Event;

/// Gets the events of an interface, on any of its workers.
pub(crate) type OnEvent = Arc<dyn Fn(Event) + Send + Sync>;

/// What the workers of one interface have in common.
pub(crate) struct Fate {
    running: AtomicUsize,
    has_failed: AtomicBool,
    /// Of the first that failed.
    message: OnceLock<String>,
    workers: Vec<Waker>,
    on_event: OnEvent,
}

impl Fate {
    /// For workers that are woken like this, all of which are taken to run.
    pub(crate) fn new(workers: Vec<Waker>, on_event: OnEvent) -> Self {
        Self {
            running: AtomicUsize::new(workers.len()),
            has_failed: AtomicBool::new(false),
            message: OnceLock::new(),
            workers,
            on_event,
        }
    }

    /// A worker cannot go on, so that none does.
    pub(crate) fn fail(&self, message: String) {
        // The first one tells the cause, what follows is a consequence.
        let _ = self.message.set(message);
        self.has_failed.store(true, Ordering::Release);
        for worker in &self.workers {
            worker.wake();
        }
    }

    /// Whether a worker has failed: the others end, too.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    /// A worker has ended and given up all that it had. The last one tells if they have failed: by then the TAP is gone.
    pub(crate) fn leave(&self) {
        let is_last = self.running.fetch_sub(1, Ordering::AcqRel) == 1;
        if let Some(message) = self.message.get().filter(|_| is_last) {
            (self.on_event)(Event::Failed {
                message: message.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};

    use super::*;

    /// Whoever fails first and whoever ends last: one event, of the first, after all have ended.
    #[test]
    fn one_failure_ends_all_and_is_told_once() {
        for failing in 0..3 {
            let told = Arc::new(Mutex::new(Vec::new()));
            let ended = Arc::new(AtomicUsize::new(0));
            let events = (Arc::clone(&told), Arc::clone(&ended));
            let on_event: OnEvent = Arc::new(move |event| {
                if let (Event::Failed { message }, Ok(mut told)) = (event, events.0.lock()) {
                    told.push((message, events.1.load(Ordering::SeqCst)));
                }
            });
            let wakers: Vec<Waker> = (0..3).filter_map(|_| Waker::new().ok()).collect();
            let fate = Fate::new(wakers, on_event);
            assert!(!fate.has_failed());
            let start = Barrier::new(3);
            std::thread::scope(|s| {
                for worker in 0..3 {
                    let (fate, start, ended) = (&fate, &start, &ended);
                    s.spawn(move || {
                        start.wait();
                        if worker == failing {
                            fate.fail(format!("worker {worker}"));
                        }
                        while !fate.has_failed() {
                            std::thread::yield_now();
                        }
                        ended.fetch_add(1, Ordering::SeqCst);
                        fate.leave();
                    });
                }
            });
            let want = [(format!("worker {failing}"), 3)];
            assert_eq!(told.lock().ok().as_deref(), Some(&want.to_vec()));
        }
    }

    #[test]
    fn an_end_without_failure_is_not_told() {
        let on_event: OnEvent = Arc::new(|event| panic!("{event:?}"));
        let fate = Fate::new((0..2).filter_map(|_| Waker::new().ok()).collect(), on_event);
        fate.leave();
        fate.leave();
    }
}
