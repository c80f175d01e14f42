//! The bar chart: TCP with one stream, there and back.

use knet_tests::canvas::{Axis, BLUE, Canvas, Font, GRID, INK, MUTED};

use crate::{contender::Group, metric::Metric, results::Results};

const WIDTH: f64 = 1000.0;
const MARGIN: f64 = 30.0;
const LABELS: f64 = 260.0;
const TOP: f64 = 92.0;
const ROW: f64 = 34.0;
const BAR: f64 = 20.0;
const GREY: &str = "#94a3b8";
const AMBER: &str = "#f59e0b";

/// One bar for each contender; those of the kernel, which do not encrypt, grey.
pub(crate) fn draw(results: &Results) -> String {
    let mut canvas = Canvas::default();
    canvas.text(
        MARGIN,
        40.0,
        Font::new(20.0, INK).bold(),
        "One TCP stream between two hosts, Gbit/s",
    );
    let about = format!(
        "{}; {}; medians of {} rounds; `{}`",
        results.date, results.machine, results.repetitions, results.command
    );
    canvas.text(MARGIN, 64.0, Font::new(12.0, MUTED), &about);
    let bars: Vec<_> = results
        .contenders
        .iter()
        .filter_map(|c| Some((*c, results.median(c.name, Metric::Tcp)?)))
        .collect();
    // The bare wire with its offloads would make dwarfs of all others: its bar ends at the edge, with its number.
    let tallest = bars
        .iter()
        .filter(|(c, _)| c.group != Group::Kernel)
        .map(|(_, value)| *value)
        .fold(1.0, f64::max);
    let axis = Axis {
        from: 0.0,
        to: tallest * 1.6,
        start: MARGIN + LABELS,
        end: WIDTH - MARGIN - 70.0,
    };
    let mut y = TOP;
    for (contender, value) in &bars {
        let colour = match contender.group {
            Group::Knet | Group::Links => BLUE,
            Group::Kernel => GREY,
            Group::Peers => AMBER,
        };
        let middle = y + ROW / 2.0;
        canvas.text(
            axis.start - 12.0,
            middle + 4.0,
            Font::new(13.0, INK).anchored("end"),
            &contender.title.replace('*', ""),
        );
        let end = axis.at(*value);
        canvas.rect(axis.start, middle - BAR / 2.0, end - axis.start, BAR, colour, 1.0);
        let beyond = if *value > axis.to { " →" } else { "" };
        canvas.text(
            end + 8.0,
            middle + 4.0,
            Font::new(13.0, INK).bold(),
            &format!("{}{beyond}", Metric::Tcp.show(*value)),
        );
        y += ROW;
    }
    canvas.line((axis.start, TOP), (axis.start, y), GRID, 1.0, "");
    canvas.finish(WIDTH, y + MARGIN)
}
