//! Raw bytes of a file -> the bytes that hold its records.

use super::codec::{Codec, Format, Step, recognise};
use super::search::{Member, Search, Window};

/// Decompresses gzip, zstd and bzip2, recognised by the first bytes and not by the file's name; other bytes pass
/// unchanged. Several compressed members in sequence, with or without blanks between them, are one stream. If a member is
/// damaged, the next one that can be decompressed follows after a gap.
pub(crate) struct Decoder {
    state: State,
    /// Bytes that were taken and are not decoded yet, from the place on.
    taken: (Vec<u8>, usize),
    /// Bytes of the file that are decoded.
    decoded: u64,
    /// How the file is compressed, if it is, as far as it was read.
    compression: Option<&'static str>,
}

/// A part of a file's content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'b> {
    /// Its bytes.
    Bytes(&'b [u8]),
    /// Bytes of the file are damaged, for this reason; what comes next does not continue what came before. A gap counts
    /// as one byte of the content, so that offsets before and after it differ.
    Gap(String),
}

enum State {
    /// Too few bytes of a file, or of the next member after one compressed as `after`, to recognise the format.
    Start {
        head: Vec<u8>,
        after: Option<Before>,
    },
    Plain,
    Packed {
        codec: Box<Codec>,
        /// Its place in the file.
        begins: u64,
        window: Window,
    },
    /// A member is damaged.
    Lost(Search),
    /// The member after it was found.
    Found(Box<Member>),
    Broken(String),
}

/// The member before.
struct Before {
    name: &'static str,
    window: Window,
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
        Self {
            state: State::Start { head: Vec::new(), after: None },
            taken: (Vec::new(), 0),
            decoded: 0,
            compression: None,
        }
    }

    /// How the file is compressed, if it is, as far as it was read.
    #[must_use]
    pub(crate) fn compression(&self) -> Option<&'static str> {
        self.compression
    }

    /// Decodes the next bytes of the file and passes the result to `sink`, in pieces as [`Self::step`].
    ///
    /// # Errors
    /// Why the stream is broken, for [`FileReader::break_off`](super::FileReader::break_off). Everything before that
    /// point was passed on.
    pub(crate) fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(Piece<'_>)) -> Result<(), String> {
        while self.step(&mut bytes, sink)? {}
        Ok(())
    }

    /// Ends the file, and passes what is left to `sink`.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub(crate) fn finish(&mut self, sink: &mut impl FnMut(Piece<'_>)) -> Result<(), String> {
        while self.end(sink)? {}
        Ok(())
    }

    /// Decodes the beginning of `bytes`, advances it, and passes at most one piece of bounded size to `sink`, for any
    /// compression ratio. Returns true if there is more output, from the rest of `bytes` or from bytes already taken.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub(crate) fn step(&mut self, bytes: &mut &[u8], sink: &mut impl FnMut(Piece<'_>)) -> Result<bool, String> {
        let (mut taken, at) = std::mem::take(&mut self.taken);
        if at == taken.len() {
            return self.decode(bytes, sink);
        }
        let mut rest = &taken[at..];
        let more = self.decode(&mut rest, sink)?;
        let at = taken.len() - rest.len();
        if self.taken.0.is_empty() {
            self.taken = (taken, at);
        } else {
            // Bytes that were handed back come first.
            self.taken.0.extend(taken.drain(at..));
        }
        Ok(more || self.taken.1 < self.taken.0.len() || !bytes.is_empty())
    }

    /// Ends the file: passes at most one piece to `sink`. Returns true if there is more.
    ///
    /// # Errors
    /// As for [`Self::push`]: the stream is truncated or its checksum is wrong.
    pub(crate) fn end(&mut self, sink: &mut impl FnMut(Piece<'_>)) -> Result<bool, String> {
        if self.taken.1 < self.taken.0.len() || matches!(self.state, State::Found(_)) {
            return self.step(&mut &[][..], sink).map(|_| true);
        }
        match &mut self.state {
            State::Plain => Ok(false),
            State::Start { head, after: None } => {
                sink(Piece::Bytes(head));
                self.state = State::Plain;
                Ok(false)
            }
            State::Start { head, .. } if head.is_empty() => Ok(false),
            State::Start { head, after: Some(before) } => {
                let (head, before) =
                    (std::mem::take(head), Before { name: before.name, window: std::mem::take(&mut before.window) });
                self.lose_after(before, &head);
                Ok(true)
            }
            State::Packed { codec, begins, window } => {
                if codec.finish(&mut |bytes| sink(Piece::Bytes(bytes))) {
                    let before = Before { name: codec.name(), window: std::mem::take(window) };
                    self.state = State::Start { head: Vec::new(), after: Some(before) };
                    return Ok(false);
                }
                let reason =
                    format!("{} stream is cut off or its checksum is wrong, {}", codec.name(), member(*begins));
                self.state = State::Lost(Search::new(reason, std::mem::take(window)));
                Ok(true)
            }
            State::Lost(search) => match search.step(&mut &[][..], true) {
                Some(found) => {
                    self.state = State::Found(Box::new(found));
                    Ok(true)
                }
                None => {
                    let reason = std::mem::take(&mut search.reason);
                    Err(self.broken(reason))
                }
            },
            State::Found(_) => Ok(true),
            State::Broken(reason) => Err(reason.clone()),
        }
    }

    fn decode(&mut self, bytes: &mut &[u8], sink: &mut impl FnMut(Piece<'_>)) -> Result<bool, String> {
        let before = bytes.len();
        match &mut self.state {
            State::Broken(reason) => Err(reason.clone()),
            State::Plain => {
                if !bytes.is_empty() {
                    sink(Piece::Bytes(std::mem::take(bytes)));
                }
                Ok(false)
            }
            State::Start { head, after } => {
                if after.is_some() && head.is_empty() {
                    let blanks = bytes.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0)).count();
                    *bytes = &bytes[blanks..];
                    self.decoded += blanks as u64;
                }
                while let Some((next, rest)) = bytes.split_first() {
                    head.push(*next);
                    *bytes = rest;
                    if let Some(format) = recognise(head) {
                        let (head, after) = (std::mem::take(head), after.take());
                        return self.begin(format, head, after, sink);
                    }
                }
                Ok(false)
            }
            State::Packed { codec, begins, window } => {
                let all = *bytes;
                let step = codec.step(bytes, &mut |bytes| sink(Piece::Bytes(bytes)));
                window.push(&all[..before - bytes.len()]);
                self.decoded += (before - bytes.len()) as u64;
                match step {
                    Step::More => Ok(true),
                    Step::Hungry => Ok(false),
                    Step::Ended => {
                        let before = Before { name: codec.name(), window: std::mem::take(window) };
                        self.state = State::Start { head: Vec::new(), after: Some(before) };
                        Ok(!bytes.is_empty())
                    }
                    Step::Corrupt => {
                        let reason = format!("{} stream is corrupt, {}", codec.name(), member(*begins));
                        self.state = State::Lost(Search::new(reason, std::mem::take(window)));
                        Ok(true)
                    }
                }
            }
            State::Lost(search) => {
                let found = search.step(bytes, false);
                self.decoded += (before - bytes.len()) as u64;
                match found {
                    Some(found) => {
                        self.state = State::Found(Box::new(found));
                        Ok(true)
                    }
                    None => Ok(!bytes.is_empty()),
                }
            }
            State::Found(_) => {
                self.follow(sink);
                Ok(true)
            }
        }
    }

    /// Passes on a gap, then the beginning of the member after it, and continues with the member.
    fn follow(&mut self, sink: &mut impl FnMut(Piece<'_>)) {
        let State::Found(found) = &mut self.state else { return };
        let begins = self.decoded - (found.rest.len() + found.length) as u64;
        if let Some(reason) = found.reason.take() {
            return sink(Piece::Gap(format!("{reason}; reading goes on with the member at byte {begins}")));
        }
        sink(Piece::Bytes(&found.output));
        self.decoded -= found.rest.len() as u64;
        self.taken = (std::mem::take(&mut found.rest), 0);
        let (name, window) = (found.name, std::mem::take(&mut found.window));
        self.state = match found.codec.take() {
            Some(codec) => State::Packed { codec: Box::new(codec), begins, window },
            None => State::Start { head: Vec::new(), after: Some(Before { name, window }) },
        };
    }

    /// Continues with a stream that begins with `head`.
    fn begin(
        &mut self,
        format: Format,
        head: Vec<u8>,
        after: Option<Before>,
        sink: &mut impl FnMut(Piece<'_>),
    ) -> Result<bool, String> {
        match (format, after) {
            (Format::Packed(packing), _) => {
                let Some(codec) = Codec::new(packing) else {
                    return Err(self.broken("the decompressor cannot be started".to_owned()));
                };
                self.compression.get_or_insert(codec.name());
                self.state = State::Packed { codec: Box::new(codec), begins: self.decoded, window: Window::default() };
                self.taken = (head, 0);
                Ok(true)
            }
            (Format::Plain, None) => {
                sink(Piece::Bytes(&head));
                self.state = State::Plain;
                Ok(true)
            }
            (Format::Other(name), None) => Err(self
                .broken(format!("the file is {name}, expected JSON, as text or compressed with gzip, zstd or bzip2"))),
            (Format::Plain | Format::Other(_), Some(before)) => {
                self.lose_after(before, &head);
                Ok(true)
            }
        }
    }

    /// Looks for the next member in bytes that do not begin one, and in those of the one before: it may have taken some of
    /// the next.
    fn lose_after(&mut self, mut before: Before, head: &[u8]) {
        let reason = format!("bytes after the end of the {} stream are not compressed", before.name);
        before.window.push(head);
        self.decoded += head.len() as u64;
        self.state = State::Lost(Search::new(reason, before.window));
    }

    fn broken(&mut self, reason: String) -> String {
        self.state = State::Broken(reason.clone());
        reason
    }
}

fn member(begins: u64) -> String {
    format!("in the member at byte {begins} of the file")
}
