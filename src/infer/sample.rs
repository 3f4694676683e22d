//! The beginning of landing files, read as a sync reads them, within a limit.

use futures::StreamExt as _;

use super::place::is_end;
use crate::error::Result;
use crate::ingest::format::{Counts, Decoder, FileFormat, FileReader, Options, Piece, Ready, RecordShape};
use crate::storage::{Location, ObjectMeta};

/// Every file gets at least so many bytes, or all that it has, and fewer files are read instead.
const LEAST: u64 = 1 << 20;
/// Files that are read at most, unless the limit gives each of them [`LEAST`].
const MOST_FILES: u64 = 500;
/// How much larger a file is when it is decompressed.
const PACKED: u64 = 8;
/// Bytes that a reader gets at once.
const STEP: usize = 1 << 20;

/// The files of a sample and their decompressed beginnings.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub files: Vec<Sample>,
    /// Files that match, and those that were left out or read in part.
    pub matching: u64,
    pub partly: u64,
}

/// The beginning of a file.
#[derive(Debug)]
pub(super) struct Sample {
    pub path: String,
    parts: Vec<Part>,
    /// Why there is no more although the file has not ended.
    broken: Option<String>,
    /// Whether the file goes on.
    pub is_cut: bool,
    pub bytes: u64,
}

#[derive(Debug)]
enum Part {
    Bytes(Vec<u8>),
    Gap(String),
}

impl Samples {
    /// Reads at most `limit` decompressed bytes of these files: from each about as much, and if they are many, from some that
    /// are spread evenly.
    pub(super) async fn read(root: &Location, files: &[(String, ObjectMeta)], limit: u64) -> Result<Self> {
        let count = files.len() as u64;
        let size = |(path, meta): &(String, ObjectMeta)| match path.rsplit('.').next().is_some_and(is_end) {
            true => meta.size,
            false => meta.size.saturating_mul(PACKED),
        };
        let usual = files.iter().map(|file| size(file).min(LEAST)).sum::<u64>() / count.max(1);
        let taken = count.min((limit / usual.clamp(1, LEAST)).min(MOST_FILES.max(limit / LEAST))).max(1);
        let mut samples = Self { matching: count, ..Self::default() };
        let mut left = limit;
        for at in 0..taken.min(count) {
            // The first and the last are among them: fields come and go with time.
            let place = if taken > 1 { at * (count - 1) / (taken - 1) } else { 0 };
            let Some((path, meta)) = files.get(usize::try_from(place).unwrap_or_default()) else { continue };
            let sample = Sample::read(root, path, meta, left / (taken - at)).await?;
            left = left.saturating_sub(sample.bytes);
            samples.partly += u64::from(sample.is_cut);
            samples.files.push(sample);
        }
        samples.partly += count - samples.files.len() as u64;
        Ok(samples)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl Sample {
    async fn read(root: &Location, path: &str, meta: &ObjectMeta, limit: u64) -> Result<Self> {
        let mut decoder = Decoder::new();
        let mut sample = Self { path: path.to_owned(), parts: Vec::new(), broken: None, is_cut: false, bytes: 0 };
        let mut chunks = root.chunks(meta);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            let mut rest = chunk.as_ref();
            loop {
                if sample.bytes >= limit {
                    sample.cut(limit);
                    return Ok(sample);
                }
                let step = decoder.step(&mut rest, &mut |piece| sample.take(&piece));
                match step {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(reason) => {
                        sample.broken = Some(reason);
                        return Ok(sample);
                    }
                }
            }
        }
        loop {
            let step = decoder.end(&mut |piece| sample.take(&piece));
            match step {
                Ok(true) if sample.bytes <= limit => {}
                Ok(_) => break,
                Err(reason) => {
                    sample.broken = Some(reason);
                    break;
                }
            }
        }
        if sample.bytes > limit {
            sample.cut(limit);
        }
        Ok(sample)
    }

    /// The content of a whole file.
    #[cfg(test)]
    pub(super) fn of(path: &str, bytes: &[u8]) -> Self {
        let parts = vec![Part::Bytes(bytes.to_vec())];
        Self { path: path.to_owned(), parts, broken: None, is_cut: false, bytes: bytes.len() as u64 }
    }

    fn take(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Bytes(bytes) => {
                self.bytes += bytes.len() as u64;
                match self.parts.last_mut() {
                    Some(Part::Bytes(last)) => last.extend_from_slice(bytes),
                    _ => self.parts.push(Part::Bytes(bytes.to_vec())),
                }
            }
            Piece::Gap(reason) => self.parts.push(Part::Gap(reason.clone())),
        }
    }

    /// Ends the sample here: what is beyond the limit is dropped from its last part.
    pub(super) fn cut(&mut self, limit: u64) {
        let beyond = usize::try_from(self.bytes.saturating_sub(limit)).unwrap_or_default();
        if let Some(Part::Bytes(last)) = self.parts.last_mut() {
            let beyond = beyond.min(last.len());
            last.truncate(last.len() - beyond);
            self.bytes -= beyond as u64;
        }
        self.is_cut = true;
    }

    /// Reads the records into rows of a shape and passes each batch on; the counts are those of the whole records.
    ///
    /// # Errors
    /// Only faults of our own.
    pub(super) fn replay(
        &self,
        format: &'static dyn FileFormat,
        shape: &RecordShape,
        options: Options,
        mut take: impl FnMut(Ready),
    ) -> Result<Counts> {
        let mut reader = format.reader(shape, &self.path, options);
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => {
                    for step in bytes.chunks(STEP) {
                        reader.push(step);
                        drain(reader.as_mut(), &mut take)?;
                    }
                }
                Part::Gap(reason) => {
                    reader.interrupt(reason.clone());
                    drain(reader.as_mut(), &mut take)?;
                }
            }
        }
        // What was cut off is no fault of the file.
        let whole = self.is_cut.then(|| reader.counts());
        match &self.broken {
            Some(reason) => reader.break_off(reason.clone()),
            None => reader.finish(),
        }
        drain(reader.as_mut(), &mut take)?;
        Ok(whole.unwrap_or_else(|| reader.counts()))
    }
}

fn drain(reader: &mut dyn FileReader, take: &mut impl FnMut(Ready)) -> Result<()> {
    while let Some(ready) = reader.next_batch()? {
        take(ready);
    }
    Ok(())
}
