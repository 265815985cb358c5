//! The frame of a body that comes in chunks, byte by byte.
//!
//! The transport takes chunks apart and puts them together anew for the upstream, so that no odd
//! chunk gets through; but it takes for the end of a chunk's line what others don't (a bare line
//! feed behind an extension). A body that two servers could cut differently is refused.

use super::Fault;
use super::raw::{is_control, is_token};

/// The longest line about a chunk, and the most that trailers may take, in bytes.
const MAX_LINE: usize = 4 * 1024;
/// More hex digits than these are no size of anything: 2^60.
const MAX_DIGITS: u8 = 15;

/// How far a body has been read.
#[derive(Debug)]
pub struct Chunks {
    at: At,
    /// Of the chunk: its size while that is read, then what of it is still to come.
    left: u64,
    digits: u8,
    /// Bytes of the line that is being read; of all trailers, at the end.
    line: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size,
    /// Behind a size; old servers fill it up with spaces.
    Blank,
    Extension,
    /// After the CR of a size's line.
    SizeFeed,
    Data,
    DataReturn,
    DataFeed,
    /// At the first byte of a trailer's line, or of the line that ends all.
    TrailerStart,
    TrailerName,
    Trailer,
    TrailerFeed,
    EndFeed,
    End,
}

impl Default for Chunks {
    fn default() -> Self {
        Self {
            at: At::Size,
            left: 0,
            digits: 0,
            line: 0,
        }
    }
}

impl Chunks {
    /// Reads on. What follows the body's end is not its business.
    pub fn read(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while let [byte, rest @ ..] = bytes {
            match self.at {
                At::End => return Ok(()),
                At::Data => {
                    let here = usize::try_from(self.left).unwrap_or(usize::MAX);
                    let here = here.min(bytes.len());
                    self.left -= here as u64;
                    bytes = &bytes[here..];
                    if self.left == 0 {
                        self.at = At::DataReturn;
                    }
                    continue;
                }
                _ => self.step(*byte)?,
            }
            bytes = rest;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        self.line += 1;
        if self.line > MAX_LINE {
            return Err(Fault::Chunk);
        }
        self.at = match (self.at, byte) {
            (At::Size, _) if byte.is_ascii_hexdigit() && self.digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                self.left = self.left << 4 | u64::from(digit);
                self.digits += 1;
                At::Size
            }
            (At::Size, b'\r') if self.digits > 0 => At::SizeFeed,
            (At::Size | At::Blank, b';') if self.digits > 0 => At::Extension,
            (At::Size | At::Blank, b' ' | b'\t') if self.digits > 0 => At::Blank,
            (At::Blank | At::Extension, b'\r') => At::SizeFeed,
            (At::Extension, _) if !is_control(&byte) => At::Extension,
            (At::SizeFeed, b'\n') => {
                (self.line, self.digits) = (0, 0);
                if self.left == 0 {
                    At::TrailerStart
                } else {
                    At::Data
                }
            }
            (At::DataReturn, b'\r') => At::DataFeed,
            (At::DataFeed, b'\n') => {
                self.line = 0;
                At::Size
            }
            (At::TrailerStart, b'\r') => At::EndFeed,
            (At::TrailerStart | At::TrailerName, _) if is_token(byte) => At::TrailerName,
            (At::TrailerName, b':') => At::Trailer,
            (At::Trailer, b'\r') => At::TrailerFeed,
            (At::Trailer, _) if !is_control(&byte) => At::Trailer,
            (At::TrailerFeed, b'\n') => At::TrailerStart,
            (At::EndFeed, b'\n') => At::End,
            _ => return Err(Fault::Chunk),
        };
        Ok(())
    }
}
