//! Makes STEDI landing files of any size. The same options always give the same bytes.
//!
//! ```text
//! cargo run --release --example generate -- --out /tmp/landing --readings 10000000 --people 5000 --clean
//! ```
//!
//! The people are invented. They give, withdraw and renew consent over several records, some of equal age or of
//! unknown age; some hand their device on, so that two people claim it. Unless `--clean` is given, the files also show
//! what arrives in practice: newline-delimited, concatenated, one array, gzip, CRLF with a byte order mark, broken
//! lines, wrong types, unknown fields, spellings of another case.

#![allow(clippy::disallowed_macros)]

mod landing_file;
mod people;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use landing_file::{Format, Sink};
use people::{Person, Random, people, replaced, serial};

const USAGE: &str = "usage: generate --out DIR [options]
  --readings N          accelerometer readings; about 0.35 N step-trainer readings go with them [8000]
  --people N            customers [60]
  --customer-updates N  records per customer after the first, on average [2]
  --files N             files per sensor [5]
  --seed N              another seed, other people and readings [1]
  --day N               0 writes every customer; a later day adds files: that day's readings, and new
                        records of about one customer in a hundred [0]
  --clean               newline-delimited files without a single bad record";

/// 2022-06-18 00:00 UTC: the first day.
const FIRST_DAY_MS: u64 = 1_655_510_400_000;
const DAY_MS: u64 = 86_400_000;

fn main() -> ExitCode {
    run(std::env::args().skip(1))
}

/// Generates the files.
pub(crate) fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("{reason}\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    let people = people(&options);
    match customers(&options, &people).and_then(|n| readings(&options, &people).map(|(a, s)| (n, a, s))) {
        Ok((customers, accelerometer, step_trainer)) => {
            println!("{customers} customer, {accelerometer} accelerometer, {step_trainer} step trainer records");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", options.out.display());
            ExitCode::FAILURE
        }
    }
}

struct Options {
    out: PathBuf,
    readings: u64,
    people: u64,
    customer_updates: u64,
    files: u64,
    seed: u64,
    day: u64,
    clean: bool,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            out: PathBuf::new(),
            readings: 8_000,
            people: 60,
            customer_updates: 2,
            files: 5,
            seed: 1,
            day: 0,
            clean: false,
        };
        while let Some(name) = args.next() {
            if name == "--clean" {
                options.clean = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("`{name}` needs a value"))?;
            if name == "--out" {
                options.out = PathBuf::from(value);
                continue;
            }
            let number = value.replace('_', "").parse().map_err(|_| format!("`{value}` is not a number"))?;
            match name.as_str() {
                "--readings" => options.readings = number,
                "--people" => options.people = number,
                "--customer-updates" => options.customer_updates = number,
                "--files" => options.files = number,
                "--seed" => options.seed = number,
                "--day" => options.day = number,
                _ => return Err(format!("there is no option `{name}`")),
            }
        }
        if options.out.as_os_str().is_empty() || options.people == 0 || options.files == 0 {
            return Err("--out is needed; --people and --files begin at 1".into());
        }
        Ok(options)
    }

    fn random(&self, purpose: u64, item: u64) -> Random {
        Random(self.seed ^ purpose.rotate_left(56) ^ (item + 1).wrapping_mul(0x9E6C_63D0_876A_3F6B))
    }

    fn folder(&self, kind: &str) -> PathBuf {
        self.out.join(kind).join("landing")
    }

    fn create(&self, kind: &str, number: u64, format: Format) -> io::Result<Sink> {
        let stamp = 1_691_348_231_425 + self.day * DAY_MS + number * 53;
        let format = if self.clean { Format::Lines } else { format };
        Sink::create(&self.folder(kind), &format!("{kind}-{stamp}.json"), format)
    }
}

/// One customer record; `updated` is `None` if its age is unknown.
struct CustomerRecord<'a> {
    person: &'a Person,
    serial: &'a str,
    updated: Option<u64>,
    research: Option<u64>,
}

impl CustomerRecord<'_> {
    fn text(&self, random: &mut Random) -> String {
        let Person { name, email, phone, birthday, registered_ms, .. } = self.person;
        let mut text = format!(
            "{{\"customerName\": \"{name}\", \"email\": \"{email}\", \"phone\": \"{phone}\", \
             \"birthDay\": \"{birthday}\", \"serialNumber\": \"{}\", \"registrationDate\": {registered_ms}",
            self.serial
        );
        match self.updated {
            Some(ms) => text += &format!(", \"lastUpdateDate\": {ms}"),
            None if random.once_in(2) => text += ", \"lastUpdateDate\": null",
            None => {}
        }
        if let Some(ms) = self.research {
            text += &format!(", \"shareWithResearchAsOfDate\": {ms}");
        }
        for other in ["shareWithPublicAsOfDate", "shareWithFriendsAsOfDate"] {
            if random.once_in(2) {
                text += &format!(", \"{other}\": {registered_ms}");
            }
        }
        text + "}"
    }
}

/// Writes the customer files of the day and returns how many records they hold.
fn customers(options: &Options, people: &[Person]) -> io::Result<u64> {
    let mut first = options.create("customer", 0, Format::Lines)?;
    // Later records come in a file of their own, so that a person's history is spread over files.
    let mut later = None;
    if !options.clean {
        first.blank_line()?;
    }
    for (i, person) in (0..).zip(people) {
        let mut random = options.random(3 + (options.day << 8), i);
        let mut research = random.once_in(2).then_some(person.registered_ms);
        let mut updated = person.registered_ms;
        let serial_now = if replaced(i) { serial(options.random(4, i)) } else { person.serial.clone() };
        if options.day == 0 {
            let record = CustomerRecord { person, serial: &person.serial, updated: Some(updated), research };
            first.record(&record.text(&mut random))?;
        } else if !random.once_in(100) {
            continue;
        }
        let updates = match options.day {
            0 => random.below(2 * options.customer_updates + 1).max(u64::from(replaced(i))),
            _ => 1,
        };
        updated += options.day * DAY_MS;
        for _ in 0..updates {
            let same_age = options.day == 0 && random.once_in(10);
            updated += if same_age { 0 } else { 1 + random.below(DAY_MS / 4 / (options.customer_updates + 1)) };
            if same_age || random.once_in(2) {
                research = research.is_none().then_some(updated);
            }
            let age_known = options.day > 0 || replaced(i) || !random.once_in(20);
            let updated = age_known.then_some(updated);
            let record = CustomerRecord { person, serial: &serial_now, updated, research };
            let file = match &mut later {
                Some(file) => file,
                None => later.insert(options.create("customer", 1, Format::Concatenated)?),
            };
            file.record(&record.text(&mut random))?;
        }
    }
    if !options.clean && options.day == 0 {
        first.record(
            "{\"customerName\": \"No Address\", \"phone\": \"5550000000\", \"lastUpdateDate\": 1655564376361}",
        )?;
        first.record("{\"customerName\": \"Wrong Type\", \"email\": 7, \"lastUpdateDate\": 1655564376361}")?;
        first.record("{\"customerName\": \"Cut Off\", \"email\": \"cut.off@exam")?;
    }
    Ok(first.finish()? + later.map_or(Ok(0), Sink::finish)?)
}

const AXIS: [&str; 3] = ["-1.0", "0.0", "1.0"];

/// Writes the sensor files of the day and returns how many records the two kinds hold.
fn readings(options: &Options, people: &[Person]) -> io::Result<(u64, u64)> {
    use Format::{Array, Concatenated, Crlf, Gzip, Lines};
    let mut random = options.random(5, options.day);
    let (mut accelerometer, mut step_trainer) = (None, None);
    let (mut file, mut written, mut steps) = (0, 0, 0);
    let (mut who, mut run, mut at) = (0, 0, FIRST_DAY_MS);
    let (mut text, mut counts) = (String::new(), (0, 0));
    while written < options.readings {
        if accelerometer.is_none() || written >= options.readings.saturating_mul(file) / options.files {
            counts.0 += accelerometer.take().map_or(Ok(0), Sink::finish)?;
            counts.1 += step_trainer.take().map_or(Ok(0), Sink::finish)?;
            let formats = [Lines, Concatenated, Array, Gzip, Crlf];
            accelerometer = Some(options.create("accelerometer", file, formats[file as usize % 5])?);
            step_trainer = Some(options.create("step_trainer", file, formats[(file as usize + 2) % 5])?);
            file += 1;
        }
        let (Some(a), Some(s)) = (&mut accelerometer, &mut step_trainer) else { break };
        let now = if run == 0 {
            // Somebody else steps on a device for a while, often in the very millisecond in which the one before
            // stopped: strangers must not be mixed.
            let stopped = at;
            (who, run) = (random.below(options.people) as usize, 4 + random.below(12));
            at = FIRST_DAY_MS + options.day * DAY_MS + DAY_MS / 2 + random.below(DAY_MS / 2 - 600_000);
            if random.once_in(4) { at } else { stopped }
        } else {
            run -= 1;
            at += 1 + random.below(15_000);
            at
        };
        let person = &people[who];

        text.clear();
        text.push_str("{\"sensorReadingTime\":");
        push_number(&mut text, now);
        text.push_str(",\"serialNumber\":\"");
        text.push_str(&person.serial);
        text.push_str("\",\"distanceFromObject\":");
        push_number(&mut text, 201 + random.below(100));
        text.push('}');
        if !options.clean && steps % 700 == 350 {
            spoil(&mut text, s.format, &person.serial, &mut random);
        }
        s.record(&text)?;
        steps += 1;

        let times = if person.has_readings { 1 + random.below(5) } else { 0 };
        for _ in 0..times.min(options.readings - written) {
            text.clear();
            text.push_str("{\"user\":\"");
            text.push_str(&person.email);
            text.push_str("\",\"timestamp\":");
            push_number(&mut text, now);
            for axis in [",\"x\":", ",\"y\":", ",\"z\":"] {
                text.push_str(axis);
                text.push_str(random.pick(&AXIS));
            }
            text.push('}');
            if !options.clean && written % 1_000 == 500 {
                spoil(&mut text, a.format, &person.email, &mut random);
            }
            a.record(&text)?;
            written += 1;
        }
    }
    counts.0 += accelerometer.map_or(Ok(0), Sink::finish)?;
    counts.1 += step_trainer.map_or(Ok(0), Sink::finish)?;
    Ok(counts)
}

/// Turns a reading into one of the irregular records of practice. Text that is not JSON is only written to files with
/// lines: elsewhere the start of the next record would be undefined.
fn spoil(text: &mut String, format: Format, subject: &str, random: &mut Random) {
    let kinds = if format == Format::Concatenated { 4 } else { 6 };
    match random.below(kinds) {
        0 => text.insert_str(text.len() - 1, ",\"firmware\":{\"version\":\"2.1\",\"beta\":[true]}"),
        1 => *text = text.replacen("\"timestamp\":", "\"TIMESTAMP\":", 1).replacen("serialN", "SerialN", 1),
        2 => *text = text.replacen(":16", ":\"16", 1).replacen(",\"x\"", "\",\"x\"", 1).replacen(",\"s", "\",\"s", 1),
        3 => *text = text.replacen(&format!("\"{subject}\""), "null", 1),
        4 => text.truncate(text.len() / 2),
        _ => *text = "ERROR sensor offline".into(),
    }
}

fn push_number(text: &mut String, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend(digits[at..].iter().map(|d| char::from(*d)));
}
