//! Replays the fuzzer's corpus, and damaged copies of it, without the fuzzer.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
};

use knet_tests::fuzz_targets::{TARGETS, Target};

/// Longest file of a corpus, in bytes; and so the bound of this test's time.
const MAX_FILE: usize = 4_096;
/// How many cuts, and how many flipped bits, are tried of a file; spread evenly over a longer one.
const MAX_DAMAGES: usize = 256;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// Names the input that was running, if it made the target panic.
struct Running<'a> {
    file: &'a Path,
    damage: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the input was {}, {}", self.file.display(), self.damage);
        }
    }
}

fn replay(target: Target, file: &Path) {
    let whole = fs::read(file).expect("a file of the corpus");
    assert!(
        whole.len() <= MAX_FILE,
        "{} is longer than {MAX_FILE} bytes",
        file.display()
    );
    let run = |damage: String, bytes: &[u8]| {
        let _named = Running { file, damage };
        target(bytes);
    };
    run("as it is".into(), &whole);
    for len in spread(whole.len()) {
        run(format!("cut to {len} bytes"), &whole[..len]);
    }
    let mut damaged = whole;
    for bit in spread(damaged.len() * 8) {
        damaged[bit / 8] ^= 1 << (bit % 8);
        run(format!("bit {bit} flipped"), &damaged);
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    for byte in [0, 0x80, 0xff] {
        damaged.push(byte);
        run(format!("longer, up to a byte {byte:#x}"), &damaged);
    }
}

/// Numbers below `end`, all of them or at most [`MAX_DAMAGES`].
fn spread(end: usize) -> impl Iterator<Item = usize> {
    (0..end).step_by(end.div_ceil(MAX_DAMAGES).max(1))
}

#[test]
fn the_corpus_and_damaged_copies_of_it_pass() {
    thread::scope(|scope| {
        for (name, target) in TARGETS {
            scope.spawn(move || {
                let directory = root().join("corpus").join(name);
                let files: Vec<PathBuf> = fs::read_dir(&directory)
                    .unwrap_or_else(|e| panic!("target {name} has no corpus at {}: {e}", directory.display()))
                    .map(|entry| entry.expect("an entry of the corpus").path())
                    .collect();
                assert!(!files.is_empty(), "{} is empty", directory.display());
                for file in &files {
                    replay(*target, file);
                }
            });
        }
    });
}

#[test]
fn every_corpus_and_every_fuzz_program_has_its_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len(), "two targets of one name");
    for directory in [root().join("corpus"), root().join("../fuzz/fuzz_targets")] {
        let found: BTreeSet<String> = fs::read_dir(&directory)
            .expect("the directory is part of the repository")
            .map(|entry| entry.expect("readable").path().with_extension(""))
            .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
            .collect();
        assert_eq!(found, names, "in {}", directory.display());
    }
}
