//! The next intact member after a damaged one.
//!
//! A member may begin anywhere after the damage, also in bytes that the decompressor of the damaged one took. Bytes that
//! look like a header count only if what follows them can be decompressed.

use super::codec::{Codec, Packing, Step};

/// The last compressed bytes that are kept to be searched. A block of bzip2 is as long; the others notice damage earlier.
const WINDOW: usize = 1 << 20;
/// Bytes of a header that are compared.
const HEADER: usize = 10;
/// Bytes of output that show that bytes are compressed.
const ENOUGH: usize = 32 << 10;
/// False headers after which a search ends: each may cost the decompression of a window.
const MOST_FALSE: usize = 256;
/// Most bytes that are taken at once.
const PIECE: usize = 64 << 10;

/// The last compressed bytes.
#[derive(Default)]
pub(super) struct Window(Vec<u8>);

impl Window {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&bytes[bytes.len().saturating_sub(WINDOW)..]);
        if self.0.len() > 2 * WINDOW {
            self.0.drain(..self.0.len() - WINDOW);
        }
    }
}

/// A search in progress.
pub(super) struct Search {
    /// Why it was begun.
    pub(super) reason: String,
    /// Bytes of the file; `at` is the next one to examine.
    bytes: Vec<u8>,
    at: usize,
    trial: Option<Trial>,
    /// How many headers were false.
    false_headers: usize,
}

/// A possible member.
struct Trial {
    codec: Codec,
    begins: usize,
    output: Vec<u8>,
}

/// A member that was found.
pub(super) struct Member {
    /// Why the search began; taken when it is reported.
    pub(super) reason: Option<String>,
    /// Its decompressor, unless the member has ended.
    pub(super) codec: Option<Codec>,
    pub(super) name: &'static str,
    /// The beginning of its content.
    pub(super) output: Vec<u8>,
    /// The bytes of the file that come next.
    pub(super) rest: Vec<u8>,
    /// Its bytes before them.
    pub(super) window: Window,
    pub(super) length: usize,
}

impl Search {
    /// Searches the last bytes of a member but for the first, which is its own, and those after it.
    pub(super) fn new(reason: String, window: Window) -> Self {
        let bytes = window.0;
        Self { reason, at: 1.min(bytes.len()), bytes, trial: None, false_headers: 0 }
    }

    /// Takes the beginning of `bytes` and advances them; returns the next member if it was found. `last`: no bytes follow
    /// these.
    pub(super) fn step(&mut self, bytes: &mut &[u8], last: bool) -> Option<Member> {
        let (piece, rest) = bytes.split_at(bytes.len().min(PIECE));
        *bytes = rest;
        let last = last && rest.is_empty();
        self.bytes.extend_from_slice(piece);
        loop {
            if let Some(mut trial) = self.trial.take() {
                let mut rest = self.bytes.get(self.at..).unwrap_or_default();
                let tried = trial.run(&mut rest, last);
                self.at = self.bytes.len() - rest.len();
                match tried {
                    Tried::Open if self.at - trial.begins <= WINDOW => {
                        self.trial = Some(trial);
                        return None;
                    }
                    Tried::Open | Tried::Nothing => {
                        self.false_headers += 1;
                        self.at = trial.begins + 1;
                    }
                    Tried::Begins | Tried::Ends => {
                        let Trial { codec, begins, output } = trial;
                        let (name, has_ended) = (codec.name(), tried == Tried::Ends);
                        let (rest, length) = (self.bytes.split_off(self.at), self.at - begins);
                        let mut window = Window::default();
                        window.push(&self.bytes[begins..]);
                        let reason = Some(std::mem::take(&mut self.reason));
                        let codec = (!has_ended).then_some(codec);
                        return Some(Member { reason, codec, name, output, rest, window, length });
                    }
                }
            }
            let Some(packing) = self.header() else { break };
            let begins = self.at;
            self.trial = Codec::new(packing).map(|codec| Trial { codec, begins, output: Vec::new() });
            // Without a decompressor the search goes on.
            self.at += usize::from(self.trial.is_none());
        }
        self.bytes.drain(..self.at);
        self.at = 0;
        None
    }

    /// Advances to the next bytes that look like a header, or to those that may be the beginning of one.
    fn header(&mut self) -> Option<Packing> {
        if self.false_headers > MOST_FALSE {
            self.at = self.bytes.len();
        }
        while let Some(header) = self.bytes.get(self.at..self.at + HEADER) {
            match packing(header) {
                None => self.at += 1,
                found => return found,
            }
        }
        None
    }
}

/// The packing of a member that begins with these bytes.
fn packing(header: &[u8]) -> Option<Packing> {
    match header {
        // Reserved flags are zero; the compression level and the system have few values.
        [0x1f, 0x8b, 8, 0..=0x1f, _, _, _, _, 0 | 2 | 4, 0..=13 | 0xff] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, descriptor, ..] if descriptor & 8 == 0 => Some(Packing::Zstd),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59] => Some(Packing::Bzip2),
        _ => None,
    }
}

/// The result of decompressing some bytes of a possible member.
#[derive(PartialEq, Eq)]
enum Tried {
    /// It is one.
    Begins,
    /// It is one, and has ended.
    Ends,
    /// More bytes are needed.
    Open,
    /// It is not one.
    Nothing,
}

impl Trial {
    /// Decompresses the beginning of `bytes` and advances them.
    fn run(&mut self, bytes: &mut &[u8], last: bool) -> Tried {
        let Self { codec, output, .. } = self;
        loop {
            if output.len() >= ENOUGH {
                return Tried::Begins;
            }
            match codec.step(bytes, &mut |piece| output.extend_from_slice(piece)) {
                Step::More => {}
                Step::Hungry => break,
                Step::Ended => return Tried::Ends,
                Step::Corrupt => return Tried::Nothing,
            }
        }
        if !last {
            return Tried::Open;
        }
        // A short member is in the decompressor's buffers until it is finished.
        if codec.finish(&mut |piece| output.extend_from_slice(piece)) {
            return Tried::Ends;
        }
        if output.is_empty() { Tried::Nothing } else { Tried::Begins }
    }
}
