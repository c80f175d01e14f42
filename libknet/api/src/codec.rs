//! Frames on the control socket: a little-endian `u32` with the length of the body, then the body in
//! postcard. Works on bytes; sockets are the callers'.

use serde::{Serialize, de::DeserializeOwned};

/// What can be sent in a frame.
pub trait Message: Serialize + DeserializeOwned {}

impl<T: Serialize + DeserializeOwned> Message for T {}

/// Longest body that a client may send, in bytes (limits: row 39).
pub const MAX_REQUEST: usize = 256 * 1024;
/// Longest body that the daemon sends, in bytes.
pub const MAX_RESPONSE: usize = 1024 * 1024;
/// Bytes of the length in front of each body.
pub const HEADER: usize = 4;

/// Why bytes are no frame. Nothing after them can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The announced or the produced body is longer than allowed.
    #[error("a message of {length} bytes, at most {limit} are allowed")]
    TooLong {
        /// Its length.
        length: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// The body is not what was expected.
    #[error("a message that does not decode")]
    Malformed,
}

/// The frame of `message`, at most `limit` bytes of body.
pub fn encode<T: Serialize>(message: &T, limit: usize) -> Result<Vec<u8>, CodecError> {
    // A fixed place for the length first, so that the body is written once.
    let mut frame = postcard::to_extend(message, vec![0; HEADER]).map_err(|_| CodecError::Malformed)?;
    let length = frame.len() - HEADER;
    if length > limit {
        return Err(CodecError::TooLong { length, limit });
    }
    frame[..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(frame)
}

/// The message of one body. Bytes left over are an error.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, CodecError> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        _ => Err(CodecError::Malformed),
    }
}

/// The body's length that a frame announces.
pub fn body_length(header: [u8; HEADER], limit: usize) -> Result<usize, CodecError> {
    let length = u32::from_le_bytes(header) as usize;
    if length > limit {
        Err(CodecError::TooLong { length, limit })
    } else {
        Ok(length)
    }
}

/// Collects what a stream delivers, piece by piece, and hands out whole frames.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    bytes: Vec<u8>,
    /// Bytes at the front that were handed out already.
    taken: usize,
}

impl Decoder {
    /// A decoder that refuses bodies longer than `limit` bytes before it stores them.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: Vec::new(),
            taken: 0,
        }
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next message, if all of it is there. After an error the stream is of no use.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CodecError> {
        let waiting = &self.bytes[self.taken..];
        let Some((header, rest)) = waiting.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = body_length(*header, self.limit)?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        self.taken += HEADER + length;
        decode(body).map(Some)
    }
}
