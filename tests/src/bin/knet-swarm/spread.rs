//! How values are spread: the median, and how bad the worst are.

use knet_proto::time::Span;
use serde_json::{Value, json};

/// Values in ascending order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread(Vec<Span>);

impl Spread {
    /// Of these.
    pub(crate) fn of(mut values: Vec<Span>) -> Self {
        values.sort_unstable();
        Self(values)
    }

    /// The value that `share` of all do not exceed.
    pub(crate) fn at(&self, share: f64) -> Span {
        let index = (share * self.0.len() as f64).ceil() as usize;
        self.0
            .get(index.saturating_sub(1).min(self.0.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }

    /// In milliseconds, for programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "count": self.0.len(),
            "median_ms": ms(self.at(0.5)),
            "p99_ms": ms(self.at(0.99)),
            "p999_ms": ms(self.at(0.999)),
            "max_ms": ms(self.at(1.0)),
        })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "median {:.2} ms, 99 % {:.2} ms, 99.9 % {:.2} ms, longest {:.2} ms",
            ms(self.at(0.5)),
            ms(self.at(0.99)),
            ms(self.at(0.999)),
            ms(self.at(1.0))
        )
    }
}

fn ms(span: Span) -> f64 {
    span.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let spread = Spread::of((1..=100).rev().map(Span::from_millis).collect());
        assert_eq!(spread.at(0.5), Span::from_millis(50));
        assert_eq!(spread.at(0.99), Span::from_millis(99));
        assert_eq!(spread.at(1.0), Span::from_millis(100));
        assert_eq!(spread.at(0.0), Span::from_millis(1));
        assert_eq!(Spread::default().at(0.5), Span::ZERO);
    }
}
