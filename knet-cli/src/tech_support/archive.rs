//! A compressed archive: POSIX.1-1988 ustar (IEEE 1003.1, "pax") in gzip (RFC 1952).

use std::io::{self, Write as _};

use flate2::{Compression, write::GzEncoder};

/// Size of a block, of which everything is a multiple.
const BLOCK: usize = 512;

/// An archive of these files, readable by their owner alone. `time`: seconds since 1970.
pub(super) fn tar_gz(files: &[(&str, &[u8])], time: u64) -> io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    for (name, bytes) in files {
        out.write_all(&header(name, bytes.len(), time)?)?;
        out.write_all(bytes)?;
        let padding = bytes.len().next_multiple_of(BLOCK) - bytes.len();
        out.write_all(&[0; BLOCK][..padding])?;
    }
    // Two empty blocks are the end.
    out.write_all(&[0; 2 * BLOCK])?;
    out.finish()
}

fn header(name: &str, size: usize, time: u64) -> io::Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, room: usize, text: &str| {
        if text.len() > room {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{text} is too long for an archive"),
            ));
        }
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
        Ok(())
    };
    put(0, 100, name)?;
    put(100, 8, "0000600\0")?;
    put(108, 8, "0000000\0")?;
    put(116, 8, "0000000\0")?;
    put(124, 12, &format!("{size:011o}\0"))?;
    put(136, 12, &format!("{time:011o}\0"))?;
    // The sum is made with spaces in its own place.
    put(148, 8, "        ")?;
    put(156, 1, "0")?;
    put(257, 8, "ustar\x0000")?;
    put(265, 32, "root")?;
    put(297, 32, "root")?;
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

#[cfg(test)]
mod tests {
    use std::{
        env, fs,
        process::{self, Command},
    };

    use super::*;

    #[test]
    fn tar_unpacks_it() {
        let directory = env::temp_dir().join(format!("knet-cli-tar-{}", process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let long = vec![b'x'; 100_000];
        let files: [(&str, &[u8]); 3] = [("d/a", b"one\n"), ("d/empty", b""), ("d/long", &long)];
        let bytes = tar_gz(&files, 1_735_689_600).expect("an archive");
        assert!(bytes.len() < 2000, "{} bytes", bytes.len());
        fs::write(directory.join("x.tar.gz"), bytes).expect("written");
        let tar = Command::new("tar")
            .args(["xzf", "x.tar.gz"])
            .current_dir(&directory)
            .output()
            .expect("tar");
        assert!(tar.status.success() && tar.stderr.is_empty(), "{tar:?}");
        for (name, content) in files {
            assert_eq!(fs::read(directory.join(name)).expect(name), content);
        }
        fs::remove_dir_all(&directory).expect("removed");
    }
}
