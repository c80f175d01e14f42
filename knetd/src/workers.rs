//! How many data workers an interface gets whose configuration does not say.

use libknet::proto::ids::{MAX_WORKERS, Workers};

/// With more of them than this in all, an interface that does not say gets one: each is a thread, and the service may have
/// only so many (`TasksMax=`).
const MOST: usize = 64;

/// One for two processors, of which others do the rest: the kernel's part of the work, and the programs that the frames
/// are from or for. `others` is how many workers the other interfaces have.
pub(crate) fn automatic(others: usize) -> Workers {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    share(processors, others)
}

/// The end of the line that tells that an interface was started: nothing where it has one, as usual.
pub(crate) fn text(workers: Workers) -> String {
    match workers.get() {
        1 => String::new(),
        count => format!(", {count} workers"),
    }
}

fn share(processors: usize, others: usize) -> Workers {
    let count = (processors / 2).clamp(1, usize::from(MAX_WORKERS));
    let count = if others + count > MOST { 1 } else { count };
    Workers::new(count as u8).unwrap_or(Workers::ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_processors_but_not_too_many_in_all() {
        for (processors, others, want) in [
            (1, 0, 1),
            (2, 0, 1),
            (3, 0, 1),
            (4, 0, 2),
            (8, 60, 4),
            (8, 61, 1),
            (64, 0, 16),
            (64, 1000, 1),
        ] {
            assert_eq!(share(processors, others).get(), want, "{processors} {others}");
        }
    }
}
