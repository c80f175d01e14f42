//! As much of SVG as the picture needs.

use std::fmt::{Display, Write};

/// Text that is dark on the page.
pub(crate) const INK: &str = "#1e293b";
/// Text that stands back.
pub(crate) const MUTED: &str = "#64748b";
/// Lines of a grid.
pub(crate) const GRID: &str = "#e2e8f0";
/// Answers.
pub(crate) const BLUE: &str = "#2563eb";
/// Silence and loss.
pub(crate) const RED: &str = "#dc2626";
/// While something is cut.
pub(crate) const CUT: &str = "#fde68a";
/// Until it has recovered.
pub(crate) const RECOVERING: &str = "#e0f2fe";

/// An axis: `from..=to` of the data on `start..=end` of the page.
#[derive(Clone, Copy)]
pub(crate) struct Axis {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) start: f64,
    pub(crate) end: f64,
}

impl Axis {
    /// Where `value` is on the page, at most as far as the axis goes.
    pub(crate) fn at(self, value: f64) -> f64 {
        let share = ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }

    /// Where `value` is on the page if the axis is of logarithms to base 10.
    pub(crate) fn at_log(self, value: f64) -> f64 {
        self.at(value.max(1e-9).log10())
    }
}

/// How a text is set.
#[derive(Clone, Copy)]
pub(crate) struct Font {
    pub(crate) size: f64,
    pub(crate) colour: &'static str,
    pub(crate) anchor: &'static str,
    pub(crate) bold: bool,
}

impl Font {
    /// Left-aligned.
    pub(crate) const fn new(size: f64, colour: &'static str) -> Self {
        Self {
            size,
            colour,
            anchor: "start",
            bold: false,
        }
    }

    /// The same, aligned to the `end` or the `middle`.
    pub(crate) const fn anchored(self, anchor: &'static str) -> Self {
        Self { anchor, ..self }
    }

    /// The same, bold.
    pub(crate) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }
}

/// A page that grows.
#[derive(Default)]
pub(crate) struct Canvas {
    body: String,
}

impl Canvas {
    /// A filled rectangle.
    pub(crate) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str, opacity: f64) {
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{fill}\" \
             fill-opacity=\"{opacity}\"/>",
            width.max(0.0)
        ));
    }

    /// A rounded frame with a ground.
    pub(crate) fn panel(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"6\" fill=\"#ffffff\" \
             stroke=\"{GRID}\"/>"
        ));
    }

    /// A line; `dash` as in SVG, or empty.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64, dash: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" \
             stroke-width=\"{width}\" stroke-dasharray=\"{dash}\"/>"
        ));
    }

    /// Many strokes of one colour: `path` in SVG's words.
    pub(crate) fn strokes(&mut self, path: &str, colour: &str, width: f64, opacity: f64) {
        if !path.is_empty() {
            self.add(format_args!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
                 stroke-opacity=\"{opacity}\" stroke-linecap=\"round\"/>"
            ));
        }
    }

    /// A text whose baseline begins (ends, has its middle) at the point.
    pub(crate) fn text(&mut self, x: f64, y: f64, font: Font, text: &str) {
        let Font {
            size,
            colour,
            anchor,
            bold,
        } = font;
        let weight = if bold { "600" } else { "400" };
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" fill=\"{colour}\" text-anchor=\"{anchor}\" \
             font-weight=\"{weight}\">{text}</text>"
        ));
    }

    /// A number in a disc.
    pub(crate) fn badge(&mut self, x: f64, y: f64, number: usize, colour: &str) {
        self.add(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\" fill=\"{colour}\"/>"
        ));
        self.text(
            x,
            y + 4.0,
            Font::new(12.0, "#ffffff").anchored("middle").bold(),
            &number.to_string(),
        );
    }

    fn add(&mut self, element: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{element}");
    }

    /// The page as a file.
    pub(crate) fn finish(self, width: f64, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"Inter, 'DejaVu Sans', Helvetica, Arial, sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#f8fafc\"/>\n{}</svg>\n",
            self.body
        )
    }
}
