//! Raw bytes of a file -> the bytes that hold its records.

use super::codec::{Codec, Format, Step, recognise};

/// Decompresses gzip, zstd and bzip2, recognised by the first bytes and not by the file's name; other bytes pass
/// unchanged. Several compressed members in sequence, with or without blanks between them, are one stream.
pub(crate) struct Decoder(State);

enum State {
    /// Too few bytes of a file, or of the next member after one compressed as `after`, to recognise the format.
    Start {
        head: Vec<u8>,
        after: Option<&'static str>,
    },
    Plain,
    Packed(Box<Codec>),
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
    pub(crate) fn new() -> Self {
        Self(State::Start { head: Vec::new(), after: None })
    }

    /// Decodes the next bytes of the file and passes the result to `sink`, in pieces as [`Self::step`].
    ///
    /// # Errors
    /// Why the stream is broken, for [`FileReader::break_off`](super::FileReader::break_off). Everything before that
    /// point was passed on.
    pub(crate) fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<(), String> {
        while self.step(&mut bytes, sink)? {}
        Ok(())
    }

    /// Decodes the beginning of `bytes`, advances it, and passes at most one piece of bounded size to `sink`, for any
    /// compression ratio. Returns true if there is more output, from the rest of `bytes` or from bytes already taken.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub(crate) fn step(&mut self, bytes: &mut &[u8], sink: &mut impl FnMut(&[u8])) -> Result<bool, String> {
        match &mut self.0 {
            State::Broken(reason) => Err(reason.clone()),
            State::Plain => {
                if !bytes.is_empty() {
                    sink(std::mem::take(bytes));
                }
                Ok(false)
            }
            State::Start { head, after } => {
                if after.is_some() && head.is_empty() {
                    let blanks = bytes.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0)).count();
                    *bytes = &bytes[blanks..];
                }
                while let Some((next, rest)) = bytes.split_first() {
                    head.push(*next);
                    *bytes = rest;
                    if let Some(format) = recognise(head) {
                        let (head, after) = (std::mem::take(head), *after);
                        return self.begin(format, &head, after, sink);
                    }
                }
                Ok(false)
            }
            State::Packed(codec) => match codec.step(bytes, sink) {
                Step::More => Ok(true),
                Step::Hungry => Ok(false),
                Step::Ended => {
                    self.0 = State::Start { head: Vec::new(), after: Some(codec.name()) };
                    Ok(!bytes.is_empty())
                }
                Step::Corrupt => {
                    let reason = format!("{} stream is corrupt", codec.name());
                    Err(self.broken(reason))
                }
            },
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// As for [`Self::push`]: the stream is truncated or its checksum is wrong.
    pub(crate) fn finish(&mut self, sink: &mut impl FnMut(&[u8])) -> Result<(), String> {
        match &mut self.0 {
            State::Start { head, after: None } => {
                sink(head);
                self.0 = State::Plain;
                Ok(())
            }
            State::Start { head, after: Some(_) } if head.is_empty() => Ok(()),
            State::Start { after: Some(name), .. } => {
                let reason = behind(name);
                Err(self.broken(reason))
            }
            State::Plain => Ok(()),
            State::Packed(codec) => {
                if codec.finish(sink) {
                    return Ok(());
                }
                let reason = format!("{} stream is cut off or its checksum is wrong", codec.name());
                Err(self.broken(reason))
            }
            State::Broken(reason) => Err(reason.clone()),
        }
    }

    /// Continues with a stream that begins with `head`.
    fn begin(
        &mut self,
        format: Format,
        head: &[u8],
        after: Option<&'static str>,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<bool, String> {
        match (format, after) {
            (Format::Packed(packing), _) => {
                let Some(mut codec) = Codec::new(packing) else {
                    return Err(self.broken("the decompressor cannot be started".to_owned()));
                };
                let mut head = head;
                // A few bytes, fewer than any header has.
                while !head.is_empty() {
                    if !matches!(codec.step(&mut head, sink), Step::More | Step::Hungry) {
                        return Err(self.broken(format!("{} stream is corrupt", codec.name())));
                    }
                }
                self.0 = State::Packed(Box::new(codec));
                Ok(true)
            }
            (Format::Plain, None) => {
                sink(head);
                self.0 = State::Plain;
                Ok(true)
            }
            (Format::Other(name), None) => Err(self
                .broken(format!("the file is {name}, expected JSON, as text or compressed with gzip, zstd or bzip2"))),
            (Format::Plain | Format::Other(_), Some(name)) => Err(self.broken(behind(name))),
        }
    }

    fn broken(&mut self, reason: String) -> String {
        self.0 = State::Broken(reason.clone());
        reason
    }
}

fn behind(name: &str) -> String {
    format!("bytes after the end of the {name} stream are not compressed")
}
