//! The picture: peers up over time, and beside it what hub and swarm used.

use std::fmt::Write;

use knet_tests::canvas::{Axis, BLUE, CUT, Canvas, Font, GRID, INK, MUTED, RED};

use crate::{
    args::Args,
    course::{Course, Sample},
    modes::Findings,
};

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = WIDTH - 30.0;
const TOP: f64 = 90.0;
const PEERS: f64 = 260.0;
const CORES: f64 = 140.0;
const GAP: f64 = 50.0;
const GREY: &str = "#94a3b8";
const LINE: f64 = 18.0;

/// Draws it.
pub(crate) fn draw(course: &Course, args: &Args, findings: &Findings) -> String {
    let mut canvas = Canvas::default();
    let title = format!(
        "{} peers with {} links each, one hub: {}",
        args.peers(),
        args.links,
        args.mode.name()
    );
    canvas.text(LEFT, 36.0, Font::new(20.0, INK).bold(), &title);
    let end = course.samples.last().map_or(1.0, |s| s.at).max(0.1);
    let time = Axis {
        from: 0.0,
        to: end,
        start: LEFT,
        end: RIGHT,
    };
    let cores_top = TOP + PEERS + GAP;
    let bottom = cores_top + CORES;
    for phase in &course.phases {
        if phase.name == "hub is dead" {
            let (x, until) = (time.at(phase.from), time.at(phase.to));
            canvas.rect(x, TOP, until - x, bottom - TOP, CUT, 0.6);
        }
    }
    peers(&mut canvas, course, args, time);
    cores(&mut canvas, course, time, cores_top);
    let step = step(end);
    for number in 0..=(end / step) as u32 {
        let at = f64::from(number) * step;
        let x = time.at(at);
        canvas.line((x, TOP), (x, bottom), GRID, 0.7, "");
        let label = Font::new(11.0, MUTED).anchored("middle");
        canvas.text(x, bottom + 16.0, label, &format!("{at} s"));
    }
    let mut y = bottom + 46.0;
    for line in &findings.lines {
        for part in wrapped(line, 140) {
            canvas.text(LEFT, y, Font::new(12.0, INK), &part);
            y += LINE;
        }
    }
    canvas.finish(WIDTH, y + 10.0)
}

fn peers(canvas: &mut Canvas, course: &Course, args: &Args, time: Axis) {
    let scale = Axis {
        from: 0.0,
        to: f64::from(args.peers()),
        start: TOP + PEERS,
        end: TOP,
    };
    horizontal(canvas, scale, "peers");
    let mut curve = |of: &dyn Fn(&Sample) -> u32, colour, width, label: &str, place: f64| {
        let points = course
            .samples
            .iter()
            .map(|s| (time.at(s.at), scale.at(f64::from(of(s)))));
        canvas.strokes(&path(points), colour, width, 1.0);
        canvas.text(place, 64.0, Font::new(12.0, colour), label);
    };
    curve(&|s| s.counts.joined, GREY, 1.2, "wanted", LEFT);
    curve(&|s| s.counts.sessions, RED, 1.2, "with a session", LEFT + 80.0);
    curve(&|s| s.counts.complete, BLUE, 2.2, "up on all links", LEFT + 200.0);
}

fn cores(canvas: &mut Canvas, course: &Course, time: Axis, top: f64) {
    let scale = Axis {
        from: 0.0,
        to: 2.0,
        start: top + CORES,
        end: top,
    };
    horizontal(canvas, scale, "cores");
    let share = |of: &dyn Fn(&Sample) -> Option<f64>| {
        let mut points = Vec::new();
        // Half a second each: the kernel's own clock is coarse.
        let mut before: Option<(f64, f64)> = None;
        for sample in &course.samples {
            let Some(used) = of(sample) else {
                before = None;
                continue;
            };
            match before {
                Some((at, then)) if sample.at - at >= 0.5 && used >= then => {
                    points.push((time.at(sample.at), scale.at((used - then) / (sample.at - at))));
                    before = Some((sample.at, used));
                }
                Some((_, then)) if used >= then => {}
                _ => before = Some((sample.at, used)),
            }
        }
        path(points.into_iter())
    };
    canvas.strokes(&share(&|s| Some(s.swarm.cpu.as_secs_f64())), GREY, 1.2, 1.0);
    canvas.strokes(&share(&|s| Some(s.hub?.handshakes.as_secs_f64())), RED, 1.2, 1.0);
    canvas.strokes(&share(&|s| Some(s.hub?.cpu.as_secs_f64())), BLUE, 2.2, 1.0);
    for (place, colour, label) in [
        (0.0, GREY, "swarm"),
        (80.0, RED, "the hub's handshakes"),
        (240.0, BLUE, "the hub"),
    ] {
        canvas.text(LEFT + place, top - 10.0, Font::new(12.0, colour), label);
    }
}

fn horizontal(canvas: &mut Canvas, scale: Axis, what: &str) {
    for quarter in 0..=4 {
        let value = scale.to * f64::from(quarter) / 4.0;
        let y = scale.at(value);
        canvas.line((LEFT, y), (RIGHT, y), GRID, 0.7, "");
        let text = if value.fract() == 0.0 {
            format!("{value}")
        } else {
            format!("{value:.1}")
        };
        let label = if quarter == 4 {
            format!("{text} {what}")
        } else {
            text
        };
        canvas.text(
            LEFT - 8.0,
            y + 4.0,
            Font::new(11.0, MUTED).anchored("end"),
            &label,
        );
    }
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in points {
        let command = if path.is_empty() { 'M' } else { 'L' };
        // Writing to a String cannot fail.
        let _ = write!(path, "{command}{x:.1} {y:.1}");
    }
    path
}

/// Seconds between two marks, so that there are at most a dozen.
fn step(end: f64) -> f64 {
    let steps = [
        0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0,
    ];
    steps.into_iter().find(|s| end / s <= 12.0).unwrap_or(3600.0)
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let full = lines
            .last()
            .is_some_and(|l| !l.is_empty() && l.len() + word.len() >= width);
        if full {
            lines.push("    ".into());
        }
        if let Some(line) = lines.last_mut() {
            if !line.trim().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_lines() {
        assert_eq!(step(0.9).to_bits(), 0.1_f64.to_bits());
        assert_eq!(step(31.0).to_bits(), 5.0_f64.to_bits());
        let lines = wrapped("one two three four", 9);
        assert_eq!(lines, ["one two", "    three", "    four"]);
    }
}
