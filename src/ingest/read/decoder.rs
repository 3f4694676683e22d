//! Raw bytes of a file into the bytes that hold its records.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

/// The first bytes of a gzip member.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Decompresses gzip, recognised by its first two bytes and not by the file's name; other bytes pass unchanged.
/// Any number of gzip members one after the other are one stream.
pub struct Decoder(State);

enum State {
    /// Fewer than two bytes so far.
    Undecided(Vec<u8>),
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Broken(String),
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder for one file.
    #[must_use]
    pub fn new() -> Self {
        Self(State::Undecided(Vec::new()))
    }

    /// Decodes the next bytes of the file and hands the result to `sink` in pieces of bounded size, however well the
    /// bytes were compressed.
    ///
    /// # Errors
    /// Why the stream cannot be read on, for [`RecordReader::break_off`](super::RecordReader::break_off). Everything
    /// before that point was handed over.
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<(), String> {
        if let State::Undecided(first) = &mut self.0 {
            let wanted = (GZIP.len() - first.len()).min(bytes.len());
            let (head, rest) = bytes.split_at(wanted);
            first.extend_from_slice(head);
            bytes = rest;
            if first.len() < GZIP.len() {
                return Ok(());
            }
            let first = std::mem::take(first);
            self.0 = if first == GZIP { State::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))) } else { State::Plain };
            self.decode(&first, sink)?;
        }
        self.decode(bytes, sink)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// As for [`Self::push`]: the stream is cut off or its checksum is wrong.
    pub fn finish(&mut self, sink: &mut impl FnMut(&[u8])) -> Result<(), String> {
        match &mut self.0 {
            State::Undecided(first) => {
                sink(first);
                self.0 = State::Plain;
                Ok(())
            }
            State::Plain => Ok(()),
            State::Gzip(gzip) => {
                let ended = gzip.try_finish();
                drain(gzip.get_mut(), sink);
                ended.map_err(|_| self.broken("gzip stream is cut off or its checksum is wrong".to_owned()))
            }
            State::Broken(reason) => Err(reason.clone()),
        }
    }

    fn decode(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<(), String> {
        match &mut self.0 {
            State::Undecided(_) => Ok(()),
            State::Plain => {
                if !bytes.is_empty() {
                    sink(bytes);
                }
                Ok(())
            }
            State::Gzip(gzip) => {
                while !bytes.is_empty() {
                    let written = gzip.write(bytes);
                    drain(gzip.get_mut(), sink);
                    match written {
                        Ok(0) => return Err(self.broken("gzip stream is corrupt".to_owned())),
                        Ok(n) => bytes = &bytes[n..],
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => {
                            // What was decompressed before the fault may still be inside.
                            let _ = gzip.flush();
                            drain(gzip.get_mut(), sink);
                            return Err(self.broken("gzip stream is corrupt".to_owned()));
                        }
                    }
                }
                Ok(())
            }
            State::Broken(reason) => Err(reason.clone()),
        }
    }

    fn broken(&mut self, reason: String) -> String {
        self.0 = State::Broken(reason.clone());
        reason
    }
}

fn drain(out: &mut Vec<u8>, sink: &mut impl FnMut(&[u8])) {
    if !out.is_empty() {
        sink(out);
        out.clear();
    }
}
