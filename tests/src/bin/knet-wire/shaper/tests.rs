use super::*;

const MS: Nanos = 1_000_000;

fn shaper(settings: &str) -> Shaper {
    let mut shaper = Shaper::new(7);
    change(&mut shaper, settings);
    shaper
}

fn change(shaper: &mut Shaper, settings: &str) {
    let mut new = shaper.settings().clone();
    new.apply(settings.split_whitespace()).expect("settings");
    shaper.set(new);
}

/// A frame of `length` bytes that carries its number.
fn frame(number: u32, length: usize) -> Vec<u8> {
    let mut frame = vec![0; length.max(18)];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14..18].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes(frame[14..18].try_into().expect("four bytes"))
}

/// Offers `count` frames of `length` bytes, one every `step`; returns when which number arrived.
fn run(shaper: &mut Shaper, count: u32, length: usize, step: Nanos) -> Vec<(Nanos, u32)> {
    let mut arrived = Vec::new();
    let mut drain = |shaper: &mut Shaper, until: Nanos| {
        while let Some(at) = shaper.next_due().filter(|at| *at <= until) {
            let frame = shaper.due(at).expect("it is due");
            arrived.push((at, number(&frame)));
        }
    };
    let mut at_once = Vec::new();
    for n in 0..count {
        let now = u64::from(n) * step;
        drain(shaper, now);
        if shaper.offer(now, &mut frame(n, length)) == Fate::Arrived {
            at_once.push((now, n));
        }
    }
    drain(shaper, Nanos::MAX);
    arrived.extend(at_once);
    arrived.sort_by_key(|(at, _)| *at);
    arrived
}

fn numbers(arrived: &[(Nanos, u32)]) -> Vec<u32> {
    arrived.iter().map(|(_, n)| *n).collect()
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[test]
fn a_cable_passes_everything_at_once() {
    let mut cable = shaper("restore");
    let arrived = run(&mut cable, 1000, 100, MS);
    assert!(arrived.iter().all(|(at, n)| *at == u64::from(*n) * MS));
    assert_eq!((cable.counters.offered, cable.counters.passed), (1000, 1000));
    assert_eq!(
        (cable.counters.offered_bytes, cable.counters.passed_bytes),
        (100_000, 100_000)
    );
}

#[test]
fn delay_is_exact_and_keeps_order() {
    let arrived = run(&mut shaper("delay 20ms"), 1000, 100, MS / 10);
    assert_eq!(numbers(&arrived), (0..1000).collect::<Vec<_>>());
    assert!(
        arrived
            .iter()
            .all(|(at, n)| *at == u64::from(*n) * MS / 10 + 20 * MS)
    );
}

#[test]
fn a_frame_does_not_arrive_before_it_is_due_and_its_lateness_is_counted() {
    let mut line = shaper("delay 20ms");
    line.offer(0, &mut frame(1, 100));
    assert_eq!(line.due(20 * MS - 1), None);
    assert!(line.due(20 * MS + 5).is_some());
    assert_eq!(line.due(20 * MS + 5), None);
    assert_eq!((line.counters.late_nanos, line.counters.latest_nanos), (5, 5));
}

#[test]
fn jitter_is_spread_evenly_and_keeps_order_unless_told() {
    // Far apart, so that order does not matter.
    let arrived = run(&mut shaper("delay 10ms jitter 4ms"), 20_000, 100, 20 * MS);
    let extra: Vec<f64> = arrived
        .iter()
        .map(|(at, n)| (at - u64::from(*n) * 20 * MS - 10 * MS) as f64 / MS as f64)
        .collect();
    let mean = extra.iter().sum::<f64>() / extra.len() as f64;
    assert!((mean - 2.0).abs() < 0.05, "{mean}");
    assert!(extra.iter().all(|e| (0.0..=4.0).contains(e)));
    // Close together.
    let kept = run(&mut shaper("jitter 4ms"), 5000, 100, MS / 10);
    assert!(numbers(&kept).is_sorted());
    let free = run(&mut shaper("jitter 4ms order free"), 5000, 100, MS / 10);
    assert!(!numbers(&free).is_sorted());
    assert_eq!(free.len(), 5000);
}

#[test]
fn loss_is_the_share_asked_for() {
    for percent in [0.1_f64, 1.0, 5.0, 20.0, 100.0] {
        let mut line = shaper(&format!("loss {percent}"));
        run(&mut line, 200_000, 60, MS);
        let lost = share(line.counters.lost_random, line.counters.offered) * 100.0;
        // Four standard deviations.
        let tolerance = 4.0 * (percent * (100.0 - percent) / 200_000.0).sqrt() + 1e-9;
        assert!((lost - percent).abs() <= tolerance, "{percent} %: {lost} %");
        assert_eq!(line.counters.lost_random + line.counters.passed, 200_000);
    }
}

#[test]
fn bursts_have_the_share_and_the_length_asked_for() {
    let mut line = shaper("burst-loss 1,20");
    let arrived = numbers(&run(&mut line, 400_000, 60, MS));
    let lost = share(line.counters.lost_random, line.counters.offered);
    assert!((lost - 1.0 / 21.0).abs() < 0.003, "{lost}");
    let bursts = arrived.windows(2).filter(|w| w[1] - w[0] > 1).count() as u64;
    let mean = share(line.counters.lost_random, bursts);
    // Two bursts may follow each other without a frame between: about one in a hundred.
    assert!((mean - 5.0).abs() < 0.25, "{mean}");
}

#[test]
fn copies_are_made() {
    let mut line = shaper("duplicate 10");
    let arrived = run(&mut line, 50_000, 60, MS);
    assert_eq!(arrived.len() as u64, 50_000 + line.counters.duplicated);
    assert!((share(line.counters.duplicated, 50_000) - 0.1).abs() < 0.006);
    let mut all = numbers(&arrived);
    all.dedup();
    assert_eq!(
        all,
        (0..50_000).collect::<Vec<_>>(),
        "a copy follows its original"
    );
}

#[test]
fn held_back_frames_are_overtaken() {
    let mut line = shaper("delay 5ms reorder 5 reorder-by 2500us");
    let arrived = run(&mut line, 50_000, 60, MS);
    assert!((share(line.counters.reordered, 50_000) - 0.05).abs() < 0.004);
    let late = arrived
        .iter()
        .filter(|(at, n)| at - u64::from(*n) * MS == 5 * MS + 2_500_000)
        .count() as u64;
    assert_eq!(late, line.counters.reordered);
    let punctual = arrived
        .iter()
        .filter(|(at, n)| at - u64::from(*n) * MS == 5 * MS)
        .count() as u64;
    assert_eq!(late + punctual, 50_000);
}

#[test]
fn a_bottleneck_carries_its_rate_and_its_queue_has_its_limit() {
    // 1250 bytes take 1 ms at 10 Mbit/s; twice as many are offered.
    let mut line = shaper("rate 10mbit queue 20ms");
    let arrived = run(&mut line, 4000, 1250, MS / 2);
    let (first, last) = (arrived[0].0, arrived[arrived.len() - 1].0);
    let rate = (arrived.len() - 1) as f64 * 1250.0 * 8e9 / (last - first) as f64;
    assert!((rate - 10e6).abs() < 1e4, "{rate}");
    assert_eq!(line.counters.lost_queue + line.counters.passed, 4000);
    let longest = arrived.iter().map(|(at, n)| at - u64::from(*n) * MS / 2).max();
    // 20 ms of waiting, and at most one frame more on the line.
    assert!(
        (20 * MS..=21 * MS).contains(&longest.expect("frames")),
        "{longest:?}"
    );
    // Under its rate it only takes the time of sending.
    let mut idle = shaper("rate 10mbit queue 20ms delay 3ms");
    let arrived = run(&mut idle, 100, 1250, 2 * MS);
    assert!(
        arrived
            .iter()
            .all(|(at, n)| at - u64::from(*n) * 2 * MS == 4 * MS)
    );
    // A limit in bytes; a frame larger than the whole queue passes an idle line.
    let mut small = shaper("rate 10mbit queue 1000B");
    assert_eq!(small.offer(0, &mut frame(0, 1250)), Fate::UnderWay);
    assert_eq!(small.offer(0, &mut frame(1, 1250)), Fate::Lost);
    assert_eq!(small.counters.lost_queue, 1);
}

#[test]
fn longer_packets_are_lost_and_vlan_tags_do_not_count() {
    let mut line = shaper("mtu 1400");
    assert_eq!(line.offer(0, &mut frame(0, 1414)), Fate::Arrived);
    assert_eq!(line.offer(0, &mut frame(0, 1415)), Fate::Lost);
    let mut tagged = vec![0; 1422];
    tagged[12..14].copy_from_slice(&[0x88, 0xa8]);
    tagged[16..18].copy_from_slice(&[0x81, 0]);
    assert_eq!(line.offer(0, &mut tagged), Fate::Arrived);
    assert_eq!(line.counters.lost_mtu, 1);
    for length in 0..20 {
        line.offer(0, &mut vec![0x81; length]);
    }
}

#[test]
fn a_cut_loses_what_is_under_way_and_what_comes() {
    let mut line = shaper("delay 20ms");
    line.offer(0, &mut frame(0, 100));
    change(&mut line, "cut");
    assert_eq!(line.offer(1, &mut frame(1, 100)), Fate::Lost);
    assert_eq!(line.next_due(), None);
    assert_eq!(line.counters.lost_cut, 2);
    change(&mut line, "restore");
    assert_eq!(line.offer(2, &mut frame(2, 100)), Fate::UnderWay);
    assert_eq!(line.next_due(), Some(20 * MS + 2));
}

#[test]
fn corrupt_frames_arrive_changed() {
    let mut line = shaper("corrupt 100");
    let before: Vec<u8> = (0..200).map(|n| n as u8).collect();
    let mut after = before.clone();
    assert_eq!(line.offer(0, &mut after), Fate::Arrived);
    assert_ne!(after, before);
    assert_eq!(line.counters.corrupted, 1);
}

#[test]
fn a_step_of_the_delay_keeps_the_order() {
    let mut line = shaper("delay 100ms");
    line.offer(0, &mut frame(0, 100));
    change(&mut line, "delay 1ms");
    line.offer(MS, &mut frame(1, 100));
    assert_eq!(line.due(100 * MS).map(|f| number(&f)), Some(0));
    assert_eq!(line.due(100 * MS).map(|f| number(&f)), Some(1));
}

#[test]
fn the_same_seed_gives_the_same_fate() {
    let fate = |seed| {
        let mut line = Shaper::new(seed);
        change(
            &mut line,
            "delay 5ms jitter 3ms order free loss 3 burst-loss 1,10 duplicate 2 corrupt 1",
        );
        run(&mut line, 5000, 100, MS / 4)
    };
    assert_eq!(fate(1), fate(1));
    assert_ne!(fate(1), fate(2));
}

#[test]
fn memory_is_bounded() {
    let mut line = shaper("delay 60s");
    let mut big = vec![0; 65_535];
    let most = MOST_BYTES_UNDER_WAY / big.len();
    for _ in 0..most + 10 {
        line.offer(0, &mut big);
    }
    assert_eq!((line.waiting(), line.counters.lost_queue), (most, 10));
}
