//! Prometheus' text exposition format, version 0.0.4: families of samples, each family in one place.

use std::fmt::{Display, Write};

/// The media type.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a number does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, until somebody clears it.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A page.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a family. Names and help are our own; a test reads them all.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &'static str) -> Family<'_> {
        Family {
            text: &mut self.text,
            kind,
            name,
            help,
            begun: false,
        }
    }

    /// The whole page.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Samples of one name. Without any, it is not mentioned.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    kind: Kind,
    name: &'static str,
    help: &'static str,
    begun: bool,
}

impl Family<'_> {
    /// One of them. Labels without a value are left out: they would mean the same.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        if !std::mem::replace(&mut self.begun, true) {
            self.text.push_str("# HELP ");
            self.text.push_str(self.name);
            self.text.push(' ');
            escape(self.text, self.help, false);
            self.text.push_str("\n# TYPE ");
            self.text.push_str(self.name);
            self.text.push(' ');
            self.text.push_str(kind);
            self.text.push('\n');
        }
        self.text.push_str(self.name);
        let mut before = '{';
        for (label, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
            self.text.push(before);
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(self.text, value, true);
            self.text.push('"');
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        // A string takes everything.
        let _ = writeln!(self.text, " {value}");
    }
}

/// `\` and line feed are written by two characters, in the value of a label the quotation mark as well.
fn escape(into: &mut String, text: &str, in_label: bool) {
    for character in text.chars() {
        match character {
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '"' if in_label => into.push_str("\\\""),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_help_are_escaped() {
        let mut page = Exposition::default();
        let mut family = page.family(Kind::Gauge, "knet_test", "a \\ and \"b\"\nnext");
        family.sample(&[("interface", "a\"b\\c\nd"), ("empty", ""), ("state", "up")], 7);
        family.sample(&[], 0.25);
        assert_eq!(
            page.into_text(),
            "# HELP knet_test a \\\\ and \"b\"\\nnext\n# TYPE knet_test gauge\n\
             knet_test{interface=\"a\\\"b\\\\c\\nd\",state=\"up\"} 7\nknet_test 0.25\n"
        );
    }

    #[test]
    fn a_family_without_samples_is_not_mentioned() {
        let mut page = Exposition::default();
        page.family(Kind::Counter, "knet_nothing_total", "Nothing");
        assert_eq!(page.into_text(), "");
    }
}
