//! As much of SVG as our pictures need.

use std::fmt::{Display, Write};

/// Text that is dark on the page.
pub const INK: &str = "#1e293b";
/// Text that stands back.
pub const MUTED: &str = "#64748b";
/// Lines of a grid.
pub const GRID: &str = "#e2e8f0";
/// Answers.
pub const BLUE: &str = "#2563eb";
/// Silence and loss.
pub const RED: &str = "#dc2626";
/// While something is cut.
pub const CUT: &str = "#fde68a";
/// Until it has recovered.
pub const RECOVERING: &str = "#e0f2fe";

/// An axis: `from..=to` of the data on `start..=end` of the page.
#[derive(Clone, Copy)]
pub struct Axis {
    /// Its least value.
    pub from: f64,
    /// Its greatest value.
    pub to: f64,
    /// Where the least value is on the page.
    pub start: f64,
    /// Where the greatest value is on the page.
    pub end: f64,
}

impl Axis {
    /// Where `value` is on the page, at most as far as the axis goes.
    pub fn at(self, value: f64) -> f64 {
        let share = ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }

    /// Where `value` is on the page if the axis is of logarithms to base 10.
    pub fn at_log(self, value: f64) -> f64 {
        self.at(value.max(1e-9).log10())
    }
}

/// How a text is set.
#[derive(Clone, Copy)]
pub struct Font {
    /// In pixels.
    pub size: f64,
    /// In the words of SVG.
    pub colour: &'static str,
    /// Which part of the text is at its point: `start`, `middle`, `end`.
    pub anchor: &'static str,
    /// Whether it is bold.
    pub bold: bool,
}

impl Font {
    /// Left-aligned.
    pub const fn new(size: f64, colour: &'static str) -> Self {
        Self {
            size,
            colour,
            anchor: "start",
            bold: false,
        }
    }

    /// The same, aligned to the `end` or the `middle`.
    #[must_use]
    pub const fn anchored(self, anchor: &'static str) -> Self {
        Self { anchor, ..self }
    }

    /// The same, bold.
    #[must_use]
    pub const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }
}

/// A page that grows.
#[derive(Default)]
pub struct Canvas {
    body: String,
}

impl Canvas {
    /// A filled rectangle.
    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str, opacity: f64) {
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{fill}\" \
             fill-opacity=\"{opacity}\"/>",
            width.max(0.0)
        ));
    }

    /// A rounded frame with a ground.
    pub fn panel(&mut self, x: f64, y: f64, width: f64, height: f64) {
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"6\" fill=\"#ffffff\" \
             stroke=\"{GRID}\"/>"
        ));
    }

    /// A line; `dash` as in SVG, or empty.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64, dash: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" \
             stroke-width=\"{width}\" stroke-dasharray=\"{dash}\"/>"
        ));
    }

    /// Many strokes of one colour: `path` in SVG's words.
    pub fn strokes(&mut self, path: &str, colour: &str, width: f64, opacity: f64) {
        if !path.is_empty() {
            self.add(format_args!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
                 stroke-opacity=\"{opacity}\" stroke-linecap=\"round\"/>"
            ));
        }
    }

    /// A text whose baseline begins (ends, has its middle) at the point.
    pub fn text(&mut self, x: f64, y: f64, font: Font, text: &str) {
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
    pub fn badge(&mut self, x: f64, y: f64, number: usize, colour: &str) {
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
    pub fn finish(self, width: f64, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"Inter, 'DejaVu Sans', Helvetica, Arial, sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#f8fafc\"/>\n{}</svg>\n",
            self.body
        )
    }
}
