//! The last values of something as a row of blocks.

use std::collections::VecDeque;

/// Values that are kept.
const VALUES: usize = 20;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// For terminals without blocks.
const MARKS: [char; 8] = ['_', '.', ',', '-', '=', '+', '*', '#'];

/// The last values; `None` where there was none.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph(VecDeque<Option<f64>>);

impl Graph {
    pub(super) fn add(&mut self, value: Option<f64>) {
        if self.0.len() == VALUES {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// From nothing to the largest of the values, the latest on the right.
    pub(super) fn draw(&self, blocks: bool) -> String {
        let marks = if blocks { BLOCKS } else { MARKS };
        let largest = self
            .0
            .iter()
            .flatten()
            .fold(0.0_f64, |most, value| most.max(*value));
        let mark = |value: &Option<f64>| match value {
            None => ' ',
            Some(_) if largest <= 0.0 => marks[0],
            Some(value) => marks[((value / largest * 8.0).ceil() as usize).clamp(1, 8) - 1],
        };
        self.0.iter().map(mark).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_in_relation_to_the_largest() {
        let mut graph = Graph::default();
        assert_eq!(graph.draw(true), "");
        for value in [Some(0.0), None, Some(4.0), Some(8.0)] {
            graph.add(value);
        }
        assert_eq!(graph.draw(true), "▁ ▄█");
        assert_eq!(graph.draw(false), "_ -#");
        for _ in 0..VALUES {
            graph.add(Some(0.0));
        }
        assert_eq!(graph.draw(false), "_".repeat(VALUES));
    }
}
