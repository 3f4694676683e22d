//! Sizes and durations in readable units.

use std::time::Duration;

/// Bytes of `512 MB`, `2 GiB`, `64 KB`, `100`: powers of 1024, in either spelling of the unit.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "kb" | "kib" => 10,
        "mb" | "mib" => 20,
        "gb" | "gib" => 30,
        "tb" | "tib" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// The duration of `500ms`, `2s`, `5m`, `1h`, `1d`, `30 days`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let ms = match unit {
        "ms" => 1,
        "s" | "second" | "seconds" => 1_000,
        "m" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(ms).map(Duration::from_millis)
}

/// The millionths of `5 %`, `0.5%`: at most four decimal places, at most 100 %.
pub(super) fn share(text: &str) -> Option<u64> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let millionths = whole.parse::<u64>().ok()? * 10_000 + format!("{fraction:0<4}").parse::<u64>().ok()?;
    (millionths <= 1_000_000).then_some(millionths)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024_either_way() {
        assert_eq!(bytes("2 GB"), Some(2 << 30));
        assert_eq!(bytes("64MiB"), Some(64 << 20));
        assert_eq!(bytes("100"), Some(100));
        for bad in ["", "GB", "-1 MB", "1.5 GB", "2 parsecs", "99999999999 TB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn shares_are_percent() {
        assert_eq!(share("5 %"), Some(50_000));
        assert_eq!(share("0.25%"), Some(2_500));
        assert_eq!(share("100 %"), Some(1_000_000));
        for bad in ["", "%", "5", "101 %", "-1 %", "0.00001 %", "5 percent", ".5 %"] {
            assert_eq!(share(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_name_their_unit() {
        assert_eq!(duration("2s"), Some(Duration::from_secs(2)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        assert_eq!(duration("30 days"), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(duration("1 hour"), Some(Duration::from_secs(3_600)));
        for bad in ["", "2", "s", "2 weeks"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
