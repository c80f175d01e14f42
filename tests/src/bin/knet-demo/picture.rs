//! The picture: for each policy the whole run, and under it a magnifying glass on the moment of each cut.

use std::fmt::Write;

use knet_tests::{
    canvas::{Axis, BLUE, CUT, Canvas, Font, GRID, INK, MUTED, RECOVERING, RED},
    lab::{echo::Echo, time::UnixMicros},
};

use crate::{
    link_states::{STATES, colour, stretches},
    run::{PairResult, PolicyRun, pair_name, target},
    scene::PAIRS,
    zoom,
};

/// Width of the page.
pub(crate) const WIDTH: f64 = 1500.0;
/// White at both sides.
pub(crate) const MARGIN: f64 = 30.0;
const LABELS: f64 = 150.0;
const STRIP: f64 = 62.0;
const LANE: f64 = 11.0;
const COLUMN: f64 = 2.0;
/// Shorter silences are ordinary.
const GAP_WORTH_DRAWING_MS: f64 = 9.0;

/// Draws all runs.
pub(crate) fn draw(runs: &[PolicyRun]) -> String {
    let mut canvas = Canvas::default();
    canvas.text(
        MARGIN,
        46.0,
        Font::new(26.0, INK).bold(),
        "knet: links cut under a ping flood",
    );
    let subtitle = "Four hosts, encrypted overlay, real ping -f between them. Each point is an answer; red is time \
                    without any answer.";
    canvas.text(MARGIN, 70.0, Font::new(14.0, MUTED), subtitle);
    legend(&mut canvas, 96.0);
    let mut y = 120.0;
    for run in runs {
        y = draw_run(&mut canvas, run, y);
    }
    canvas.finish(WIDTH, y)
}

fn legend(canvas: &mut Canvas, y: f64) {
    let mut x = MARGIN;
    let mut entry = |fill: &str, text: &str| {
        canvas.rect(x, y - 9.0, 18.0, 11.0, fill, 1.0);
        canvas.text(x + 24.0, y, Font::new(12.0, MUTED), text);
        x += 44.0 + text.chars().count() as f64 * 6.6;
    };
    entry(BLUE, "round-trip time");
    entry(RED, "no answer");
    entry(CUT, "cut");
    entry(RECOVERING, "restored, until all links are used as before");
    for state in STATES {
        entry(colour(state), &format!("link {state}"));
    }
}

fn draw_run(canvas: &mut Canvas, run: &PolicyRun, top: f64) -> f64 {
    let links = run.links as f64;
    let strips = PAIRS.len() as f64 * STRIP;
    let plot = strips + links * LANE + 30.0;
    let cells = zoom::height(run);
    let height = 50.0 + plot + 30.0 + cells + 16.0;
    canvas.panel(MARGIN - 12.0, top, WIDTH - 2.0 * MARGIN + 24.0, height);

    let sum = |of: &dyn Fn(&PairResult) -> u64| run.scenes.iter().map(|s| s.sum(of)).sum::<u64>();
    canvas.text(
        MARGIN,
        top + 30.0,
        Font::new(19.0, INK).bold(),
        &format!("{} policy", run.policy.name()),
    );
    let totals = format!(
        "{} pings sent, {} lost, {} duplicates",
        thousands(sum(&|p| p.ping.sent)),
        thousands(sum(&PairResult::lost)),
        thousands(sum(&|p| p.ping.duplicates)),
    );
    canvas.text(MARGIN + 200.0, top + 30.0, Font::new(15.0, INK), &totals);

    let time = Axis {
        from: 0.0,
        to: (run.ended - run.began) as f64 / 1e6,
        start: MARGIN + LABELS,
        end: WIDTH - MARGIN - 10.0,
    };
    let plot_top = top + 66.0;
    bands(canvas, run, time, plot_top, strips + links * LANE + 8.0);
    for pair in 0..PAIRS.len() {
        strip(canvas, run, pair, time, plot_top + pair as f64 * STRIP);
    }
    lanes(canvas, run, time, plot_top + strips + 8.0);
    seconds(canvas, time, plot_top + strips + links * LANE + 22.0);
    zoom::draw(canvas, run, plot_top + plot + 14.0);
    top + height + 24.0
}

fn seconds_since(run: &PolicyRun, at: UnixMicros) -> f64 {
    (at - run.began) as f64 / 1e6
}

fn bands(canvas: &mut Canvas, run: &PolicyRun, time: Axis, top: f64, height: f64) {
    for (number, scene) in run.scenes.iter().enumerate() {
        let x = |at| time.at(seconds_since(run, at));
        let (cut, restored, recovered) = (x(scene.cut), x(scene.restored), x(scene.recovered));
        canvas.rect(cut, top, restored - cut, height, CUT, 0.55);
        canvas.rect(restored, top, recovered - restored, height, RECOVERING, 0.9);
        canvas.badge(cut + 1.0, top - 8.0, number + 1, "#b45309");
    }
}

fn strip(canvas: &mut Canvas, run: &PolicyRun, pair: usize, time: Axis, top: f64) {
    let bottom = top + STRIP - 6.0;
    let scale = Axis {
        from: -1.3,
        to: 3.7,
        start: bottom,
        end: top,
    };
    let (left, right) = (time.start, time.end);
    canvas.text(MARGIN, top + 24.0, Font::new(13.0, INK).bold(), &pair_name(pair));
    let family = if target(pair).is_ipv6() { "IPv6" } else { "IPv4" };
    canvas.text(MARGIN, top + 40.0, Font::new(11.0, MUTED), family);
    for (value, label) in [
        (0.1, "0.1"),
        (1.0, ""),
        (10.0, "10"),
        (100.0, ""),
        (1000.0, "1000 ms"),
    ] {
        let y = scale.at_log(value);
        canvas.line((left, y), (right, y), GRID, 0.7, "");
        canvas.text(left - 5.0, y + 3.5, Font::new(9.0, MUTED).anchored("end"), label);
    }

    let echoes = run.records[&PAIRS[pair].0].echoes(target(pair));
    let per_second = (right - left) / (time.to - time.from);
    let mut path = String::new();
    for (column, (low, high)) in columns(&echoes, run.began, COLUMN / per_second) {
        let x = left + (column as f64 + 0.5) * COLUMN;
        let _ = write!(
            path,
            "M{x:.0} {:.1}V{:.1}",
            scale.at_log(low),
            scale.at_log(high).min(scale.at_log(low) - 0.5)
        );
    }
    canvas.strokes(&path, BLUE, 2.1, 0.75);
    gaps(canvas, run, &echoes, time, scale);
}

/// For each column of the plot with an answer the shortest and the longest round trip, in milliseconds.
fn columns(
    echoes: &[Echo],
    began: UnixMicros,
    seconds: f64,
) -> std::collections::BTreeMap<usize, (f64, f64)> {
    let mut columns = std::collections::BTreeMap::new();
    for echo in echoes {
        let Some(answered) = echo.answered else { continue };
        let rtt = (answered - echo.sent) as f64 / 1000.0;
        let column = ((answered - began) as f64 / 1e6 / seconds).max(0.0) as usize;
        let (low, high) = columns.entry(column).or_insert((rtt, rtt));
        *low = rtt.min(*low);
        *high = rtt.max(*high);
    }
    columns
}

fn gaps(canvas: &mut Canvas, run: &PolicyRun, echoes: &[Echo], time: Axis, scale: Axis) {
    let mut answers: Vec<UnixMicros> = echoes.iter().filter_map(|e| e.answered).collect();
    answers.sort_unstable();
    for scene in &run.scenes {
        let inside =
            answers.partition_point(|a| *a < scene.began)..answers.partition_point(|a| *a < scene.ended);
        let gaps = answers[inside]
            .windows(2)
            .map(|w| ((w[1] - w[0]) as f64 / 1000.0, w[0], w[1]));
        let mut longest = (0.0, 0.0);
        for (length, from, to) in gaps.filter(|(length, _, _)| *length > GAP_WORTH_DRAWING_MS) {
            let (from, to) = (time.at(seconds_since(run, from)), time.at(seconds_since(run, to)));
            let y = scale.at_log(length);
            canvas.rect(from, y, (to - from).max(1.6), scale.start - y, RED, 0.85);
            if length > longest.0 {
                longest = (length, to + 4.0);
            }
        }
        if longest.0 > 15.0 {
            let label = format!("{:.0} ms", longest.0);
            canvas.text(
                longest.1,
                scale.at_log(longest.0) + 4.0,
                Font::new(11.0, RED).bold(),
                &label,
            );
        }
    }
}

fn lanes(canvas: &mut Canvas, run: &PolicyRun, time: Axis, top: f64) {
    for link in 0..run.links {
        let y = top + link as f64 * LANE;
        let label = format!("{}, link {link}", pair_name(0));
        canvas.text(
            time.start - 5.0,
            y + 8.0,
            Font::new(9.0, MUTED).anchored("end"),
            &label,
        );
        for stretch in stretches(run, PAIRS[0], link, (run.began, run.ended)) {
            let x = time.at(seconds_since(run, stretch.from));
            let width = time.at(seconds_since(run, stretch.to)) - x;
            canvas.rect(x, y, width.max(1.0), LANE - 2.0, colour(&stretch.state), 1.0);
        }
    }
}

fn seconds(canvas: &mut Canvas, time: Axis, y: f64) {
    let step = if time.to > 60.0 { 10.0 } else { 5.0 };
    let mut second = 0.0;
    while second <= time.to {
        canvas.text(
            time.at(second),
            y,
            Font::new(10.0, MUTED).anchored("middle"),
            &format!("{second:.0} s"),
        );
        second += step;
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::Policy, sample::run};

    #[test]
    fn shows_every_cut_and_every_number() {
        let svg = draw(&[run(Policy::Active, 0), run(Policy::Passive, 23)]);
        for words in [
            "active policy",
            "passive policy",
            "carrier lost",
            "knetd killed",
            "23 ms",
            "noticed after",
        ] {
            assert!(svg.contains(words), "{words}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        if let Ok(file) = std::env::var("KNET_SAMPLE_PICTURE") {
            std::fs::write(file, svg).expect("written");
        }
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
