//! The moment of each cut, enlarged: every answer a point, silence red, and what the links thought of it.

use std::fmt::Write;

use knet_tests::{
    canvas::{Axis, BLUE, Canvas, Font, GRID, INK, MUTED, RED},
    lab::time::UnixMicros,
};

use crate::{
    link_states::{colour, stretches},
    picture::{MARGIN, WIDTH, thousands},
    run::{PairResult, PolicyRun, SceneResult, pair_name, target},
    scene::PAIRS,
};

const CELLS_IN_A_ROW: usize = 3;
const PLOT: f64 = 120.0;
const LANE: f64 = 8.0;
const BEFORE: UnixMicros = 40_000;
const AFTER: UnixMicros = 160_000;

fn cell_height(run: &PolicyRun) -> f64 {
    PLOT + run.links as f64 * LANE + 82.0
}

/// Height of all cells.
pub(crate) fn height(run: &PolicyRun) -> f64 {
    cell_height(run) * run.scenes.len().div_ceil(CELLS_IN_A_ROW) as f64
}

/// Draws a cell for each cut of the run.
pub(crate) fn draw(canvas: &mut Canvas, run: &PolicyRun, top: f64) {
    let width = (WIDTH - 2.0 * MARGIN) / CELLS_IN_A_ROW as f64;
    for (number, scene) in run.scenes.iter().enumerate() {
        let left = MARGIN + (number % CELLS_IN_A_ROW) as f64 * width;
        let y = top + (number / CELLS_IN_A_ROW) as f64 * cell_height(run);
        cell(canvas, run, number, scene, (left, y, width - 18.0));
    }
}

fn cell(
    canvas: &mut Canvas,
    run: &PolicyRun,
    number: usize,
    scene: &SceneResult,
    (left, top, width): (f64, f64, f64),
) {
    let (pair, worst) = scene.worst_gap_pair();
    canvas.badge(left + 10.0, top + 6.0, number + 1, "#b45309");
    canvas.text(
        left + 26.0,
        top + 10.0,
        Font::new(13.0, INK).bold(),
        &scene.scene.title(),
    );
    let noticed = scene.noticed.map_or_else(
        || "not noticed".into(),
        |us| format!("noticed after {} ms", us / 1000),
    );
    let facts = format!(
        "{noticed} · longest gap {:.1} ms · {} sent, {} lost, {} dup",
        worst.wire.longest_gap.millis(),
        thousands(scene.sum(|p| p.ping.sent)),
        thousands(scene.sum(PairResult::lost)),
        thousands(scene.sum(|p| p.ping.duplicates)),
    );
    canvas.text(left + 26.0, top + 27.0, Font::new(11.5, MUTED), &facts);

    let (from, to) = window(scene, worst);
    let time = Axis {
        from: (from - scene.cut) as f64 / 1000.0,
        to: (to - scene.cut) as f64 / 1000.0,
        start: left + 34.0,
        end: left + width,
    };
    let plot_top = top + 40.0;
    let scale = Axis {
        from: -1.4,
        to: 3.0,
        start: plot_top + PLOT,
        end: plot_top,
    };
    canvas.rect(time.start, plot_top, time.end - time.start, PLOT, "#f8fafc", 1.0);
    for (value, label) in [(0.1, "0.1"), (1.0, "1"), (10.0, "10"), (100.0, "100 ms")] {
        let y = scale.at_log(value);
        canvas.line((time.start, y), (time.end, y), GRID, 0.7, "");
        canvas.text(
            time.start - 4.0,
            y + 3.5,
            Font::new(9.0, MUTED).anchored("end"),
            label,
        );
    }
    answers(canvas, run, scene, pair, (from, to), time, scale);
    silence(canvas, scene, worst, time, scale);
    marks(canvas, scene, time, scale);
    let lanes_bottom = lanes(canvas, run, scene, pair, (from, to), time, plot_top + PLOT + 4.0);
    axis(canvas, time, lanes_bottom + 11.0);
}

/// What is shown: the cut and, where there is one, the whole silence.
fn window(scene: &SceneResult, worst: &PairResult) -> (UnixMicros, UnixMicros) {
    let gap = worst.wire.longest_gap;
    let near = gap.millis() > 5.0 && gap.to > scene.cut - BEFORE && gap.from < scene.restored;
    let end = if near {
        gap.to.max(scene.cut + AFTER)
    } else {
        scene.cut + AFTER
    };
    let tail = (end - scene.cut) / 5;
    let begin = scene.cut - BEFORE.max(tail);
    if gap.to <= scene.cut + AFTER || !near {
        (begin, scene.cut + AFTER)
    } else {
        (begin, end + tail)
    }
}

fn millis(scene: &SceneResult, at: UnixMicros) -> f64 {
    (at - scene.cut) as f64 / 1000.0
}

fn answers(
    canvas: &mut Canvas,
    run: &PolicyRun,
    scene: &SceneResult,
    pair: usize,
    (from, to): (UnixMicros, UnixMicros),
    time: Axis,
    scale: Axis,
) {
    let (mut points, mut lost) = (String::new(), String::new());
    let echoes = run.records[&PAIRS[pair].0].echoes(target(pair));
    // A point for every third of a pixel is enough for the eye.
    let mut drawn = f64::MIN;
    for echo in echoes.iter().filter(|e| e.sent >= from && e.sent < to) {
        match echo.answered {
            Some(answered) if answered < to => {
                let x = time.at(millis(scene, answered));
                let rtt = (answered - echo.sent) as f64 / 1000.0;
                if x - drawn > 0.3 || rtt > 5.0 {
                    let _ = write!(points, "M{x:.1} {:.1}h0", scale.at_log(rtt));
                    drawn = x;
                }
            }
            Some(_) => {}
            None => {
                let _ = write!(
                    lost,
                    "M{:.1} {:.1}v-7",
                    time.at(millis(scene, echo.sent)),
                    scale.start
                );
            }
        }
    }
    canvas.strokes(&points, BLUE, 2.2, 0.7);
    canvas.strokes(&lost, RED, 1.4, 1.0);
    canvas.text(
        time.end - 4.0,
        scale.end + 12.0,
        Font::new(10.0, MUTED).anchored("end"),
        &pair_name(pair),
    );
}

fn silence(canvas: &mut Canvas, scene: &SceneResult, worst: &PairResult, time: Axis, scale: Axis) {
    let gap = worst.wire.longest_gap;
    let (from, to) = (millis(scene, gap.from), millis(scene, gap.to));
    if gap.millis() < 5.0 || to < time.from || from > time.to {
        return;
    }
    let (x, end) = (time.at(from), time.at(to));
    canvas.rect(x, scale.end, end - x, PLOT, RED, 0.12);
    let label = if gap.millis() < 1000.0 {
        format!("{:.0} ms", gap.millis())
    } else {
        format!("{:.2} s", gap.millis() / 1000.0)
    };
    let middle = f64::midpoint(x, end);
    canvas.text(
        middle,
        scale.end + PLOT * 0.5,
        Font::new(12.0, RED).anchored("middle").bold(),
        &label,
    );
}

fn marks(canvas: &mut Canvas, scene: &SceneResult, time: Axis, scale: Axis) {
    let mut mark = |at: f64, text: &str, colour: &'static str, row: f64| {
        let x = time.at(at);
        canvas.line((x, scale.end), (x, scale.start), colour, 1.2, "4 3");
        canvas.text(
            x + 3.0,
            scale.end + 12.0 + row * 12.0,
            Font::new(10.0, colour),
            text,
        );
    };
    mark(0.0, "cut", "#b45309", 0.0);
    if let Some(noticed) = scene
        .noticed
        .map(|us| us as f64 / 1000.0)
        .filter(|ms| *ms <= time.to)
    {
        mark(noticed, "noticed", "#7c3aed", 1.0);
    }
}

fn lanes(
    canvas: &mut Canvas,
    run: &PolicyRun,
    scene: &SceneResult,
    pair: usize,
    window: (UnixMicros, UnixMicros),
    time: Axis,
    top: f64,
) -> f64 {
    for link in 0..run.links {
        let y = top + link as f64 * LANE;
        canvas.text(
            time.start - 4.0,
            y + 6.0,
            Font::new(8.0, MUTED).anchored("end"),
            &format!("link {link}"),
        );
        for stretch in stretches(run, PAIRS[pair], link, window) {
            let (x, end) = (
                time.at(millis(scene, stretch.from)),
                time.at(millis(scene, stretch.to)),
            );
            canvas.rect(x, y, (end - x).max(1.0), LANE - 2.0, colour(&stretch.state), 1.0);
        }
    }
    top + run.links as f64 * LANE
}

fn axis(canvas: &mut Canvas, time: Axis, y: f64) {
    let span = time.to - time.from;
    let step = [20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0]
        .into_iter()
        .find(|step| span / step <= 12.0)
        .unwrap_or(20_000.0);
    let mut at = (time.from / step).ceil() * step;
    while at <= time.to {
        let label = if step >= 1000.0 {
            format!("{:.0} s", at / 1000.0)
        } else {
            format!("{at:.0} ms")
        };
        canvas.text(time.at(at), y, Font::new(9.0, MUTED).anchored("middle"), &label);
        at += step;
    }
}
