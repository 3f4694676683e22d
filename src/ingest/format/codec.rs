//! Compressed streams, one member at a time.

use std::io::{self, Write as _};

use flate2::write::GzDecoder;
use zstd::stream::raw::{Decoder as ZstdDecoder, Operation as _};

/// Maximum output of one step.
const PIECE: usize = 64 << 10;
/// Bytes that identify every known format.
const MAGIC: usize = 6;

/// The format by the first bytes of a file.
#[derive(Clone, Copy)]
pub(super) enum Format {
    Plain,
    Packed(Packing),
    /// A format that is not supported, by name.
    Other(&'static str),
}

#[derive(Clone, Copy)]
pub(super) enum Packing {
    Gzip,
    Zstd,
    Bzip2,
}

/// The format of a file that begins with `head`; `None` if more bytes are needed. No JSON text begins with any of
/// these.
pub(super) fn recognise(head: &[u8]) -> Option<Format> {
    Some(match head {
        [0x1f, 0x8b, ..] => Format::Packed(Packing::Gzip),
        // A frame, or a skippable one: parallel writers begin with such.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Format::Packed(Packing::Zstd),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Format::Packed(Packing::Bzip2),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Format::Other("compressed with xz"),
        [0x04, 0x22, 0x4d, 0x18, ..] => Format::Other("compressed with lz4"),
        [0xff, 0x06, 0, 0, b's', b'N', ..] => Format::Other("compressed with snappy"),
        [b'P', b'K', 3, 4, ..] => Format::Other("a zip archive"),
        [b'P', b'A', b'R', b'1', ..] => Format::Other("Parquet"),
        [b'O', b'b', b'j', 1, ..] => Format::Other("Avro"),
        [0x1f | 0x28 | 0x50..=0x5f | b'B' | 0xfd | 0x04 | 0xff | b'O', ..] if head.len() < MAGIC => return None,
        [] => return None,
        _ => Format::Plain,
    })
}

/// The result of a step.
pub(super) enum Step {
    /// There may be more output without further input.
    More,
    /// More input is needed.
    Hungry,
    /// The member has ended, and its checksum is right.
    Ended,
    Corrupt,
}

/// The decompressor of one member.
pub(super) enum Codec {
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Zstd(ZstdDecoder<'static>, Vec<u8>),
    Bzip2(bzip2::Decompress, Vec<u8>),
}

impl Codec {
    /// `None` if the library fails to start.
    pub(super) fn new(packing: Packing) -> Option<Self> {
        Some(match packing {
            Packing::Gzip => Self::Gzip(Box::new(GzDecoder::new(Vec::new()))),
            Packing::Zstd => Self::Zstd(ZstdDecoder::new().ok()?, vec![0; PIECE]),
            Packing::Bzip2 => Self::Bzip2(bzip2::Decompress::new(false), vec![0; PIECE]),
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gzip(_) => "gzip",
            Self::Zstd(..) => "zstd",
            Self::Bzip2(..) => "bzip2",
        }
    }

    /// Decompresses the beginning of `bytes`, advances it, and passes on the output, at most a piece.
    pub(super) fn step(&mut self, bytes: &mut &[u8], sink: &mut impl FnMut(&[u8])) -> Step {
        match self {
            Self::Gzip(gzip) => {
                if bytes.is_empty() {
                    return Step::Hungry;
                }
                // One call writes no more than its own buffer holds, 32 KiB.
                let written = gzip.write(bytes);
                let step = match written {
                    // The member ended before these bytes.
                    Ok(0) => return if self.finish(sink) { Step::Ended } else { Step::Corrupt },
                    Ok(n) => {
                        *bytes = &bytes[n..];
                        Step::More
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::More,
                    Err(_) => {
                        // Output from before the fault may still be buffered.
                        let _ = gzip.flush();
                        Step::Corrupt
                    }
                };
                drain(gzip.get_mut(), sink);
                step
            }
            Self::Zstd(zstd, out) => match zstd.run_on_buffers(bytes, out) {
                Ok(status) => {
                    *bytes = &bytes[status.bytes_read..];
                    hand(&out[..status.bytes_written], sink);
                    match status {
                        _ if status.remaining == 0 => Step::Ended,
                        _ if status.bytes_written == out.len() || !bytes.is_empty() => Step::More,
                        _ => Step::Hungry,
                    }
                }
                Err(_) => Step::Corrupt,
            },
            Self::Bzip2(bzip2, out) => {
                let before = (bzip2.total_in(), bzip2.total_out());
                let status = bzip2.decompress(bytes, out);
                *bytes = &bytes[usize::try_from(bzip2.total_in() - before.0).unwrap_or(bytes.len())..];
                let written = usize::try_from(bzip2.total_out() - before.1).unwrap_or_default();
                hand(&out[..written], sink);
                match status {
                    Ok(bzip2::Status::StreamEnd) => Step::Ended,
                    Ok(_) if written == out.len() || !bytes.is_empty() => Step::More,
                    Ok(_) => Step::Hungry,
                    Err(_) => Step::Corrupt,
                }
            }
        }
    }

    /// Whether the member is complete at the end of the file.
    pub(super) fn finish(&mut self, sink: &mut impl FnMut(&[u8])) -> bool {
        match self {
            Self::Gzip(gzip) => {
                let ended = gzip.try_finish();
                drain(gzip.get_mut(), sink);
                ended.is_ok()
            }
            // Their end is detected when it is read.
            Self::Zstd(..) | Self::Bzip2(..) => false,
        }
    }
}

fn hand(piece: &[u8], sink: &mut impl FnMut(&[u8])) {
    if !piece.is_empty() {
        sink(piece);
    }
}

fn drain(out: &mut Vec<u8>, sink: &mut impl FnMut(&[u8])) {
    hand(out, sink);
    out.clear();
}
