//! A landing file in one of the forms in which JSON arrives.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Format {
    /// One record per line.
    Lines,
    /// Records without anything between them.
    Concatenated,
    /// One JSON array, one element per line.
    Array,
    /// Lines in a gzip file.
    Gzip,
    /// A byte order mark, and lines that end with CR LF.
    Crlf,
}

/// A landing file being written.
pub(crate) struct Sink {
    pub format: Format,
    out: Output,
    records: u64,
}

impl Sink {
    pub(crate) fn create(folder: &Path, name: &str, format: Format) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let name = if format == Format::Gzip { format!("{name}.gz") } else { name.to_owned() };
        let file = BufWriter::with_capacity(1 << 20, File::create(folder.join(name))?);
        let mut out = if format == Format::Gzip { Output::gzip(file)? } else { Output::Plain(file) };
        if format == Format::Crlf {
            out.write(b"\xEF\xBB\xBF")?;
        }
        Ok(Self { format, out, records: 0 })
    }

    pub(crate) fn blank_line(&mut self) -> io::Result<()> {
        self.out.write(b"\n")
    }

    pub(crate) fn record(&mut self, text: &str) -> io::Result<()> {
        let (before, after) = match self.format {
            Format::Lines | Format::Gzip => ("", "\n"),
            Format::Crlf => ("", "\r\n"),
            Format::Concatenated => ("", ""),
            Format::Array if self.records == 0 => ("[\n", ""),
            Format::Array => (",\n", ""),
        };
        self.records += 1;
        self.out.write(before.as_bytes())?;
        self.out.write(text.as_bytes())?;
        self.out.write(after.as_bytes())
    }

    pub(crate) fn finish(mut self) -> io::Result<u64> {
        if self.format == Format::Array {
            self.out.write(if self.records == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        self.out.finish()?;
        Ok(self.records)
    }
}

/// Longest stored block of a deflate stream.
const BLOCK: usize = 0xFFFF;

enum Output {
    Plain(BufWriter<File>),
    /// Gzip with stored blocks: no compression, so that the bytes do not depend on a library's version.
    Gzip {
        file: BufWriter<File>,
        block: Vec<u8>,
        crc: u32,
        bytes: u32,
    },
}

impl Output {
    fn gzip(mut file: BufWriter<File>) -> io::Result<Self> {
        file.write_all(&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF])?;
        Ok(Self::Gzip { file, block: Vec::with_capacity(BLOCK), crc: !0, bytes: 0 })
    }

    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(data),
            Self::Gzip { file, block, crc, bytes } => {
                for byte in data {
                    *crc = (*crc >> 8) ^ crc_of((*crc ^ u32::from(*byte)) & 0xFF);
                    block.push(*byte);
                    if block.len() == BLOCK {
                        stored_block(file, block, false)?;
                    }
                }
                *bytes = bytes.wrapping_add(data.len() as u32);
                Ok(())
            }
        }
    }

    fn finish(self) -> io::Result<()> {
        let mut file = match self {
            Self::Plain(file) => file,
            Self::Gzip { mut file, mut block, crc, bytes } => {
                stored_block(&mut file, &mut block, true)?;
                file.write_all(&(!crc).to_le_bytes())?;
                file.write_all(&bytes.to_le_bytes())?;
                file
            }
        };
        file.flush()
    }
}

fn stored_block(file: &mut BufWriter<File>, block: &mut Vec<u8>, last: bool) -> io::Result<()> {
    let length = block.len() as u16;
    file.write_all(&[u8::from(last)])?;
    file.write_all(&length.to_le_bytes())?;
    file.write_all(&(!length).to_le_bytes())?;
    file.write_all(block)?;
    block.clear();
    Ok(())
}

/// One step of gzip's CRC-32.
fn crc_of(byte: u32) -> u32 {
    (0..8).fold(byte, |c, _| if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 })
}
