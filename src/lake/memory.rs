//! Memory that ran out in the query engine.

use deltalake::datafusion::common::DataFusionError;

use crate::error::Error;

/// Whether an operator of the engine needed more memory than its limit. Hash joins cannot spill; merge joins can.
#[must_use]
pub(crate) fn out_of_memory(error: &Error) -> bool {
    let engine = error.cause_of::<DataFusionError>();
    engine.is_some_and(|engine| matches!(engine.find_root(), DataFusionError::ResourcesExhausted(_)))
}

/// Whether it was the disk to which operators spill.
fn is_of_disk(error: &Error) -> bool {
    let engine = error.cause_of::<DataFusionError>().map(DataFusionError::find_root);
    matches!(engine, Some(DataFusionError::ResourcesExhausted(text)) if text.contains("disk space"))
}

/// An error by lack of memory with our setting, `memory_limit`, in place of the engine's, which a user cannot set, and of
/// other suggestions: they would run out of it again. Any other error is unchanged.
#[must_use]
pub(crate) fn with_memory_limit(error: Error, limit: u64) -> Error {
    if !out_of_memory(&error) || is_of_disk(&error) {
        return error;
    }
    let told = Error::new(error.kind(), error.message()).because("memory ran out").unredacted();
    let told = error.facts().iter().fold(told, |told, (label, value)| told.fact(label.as_str(), value.as_str()));
    told.fact("limit", setting(limit))
        .help(format!("write `{}` under [defaults] of stedi-delta.toml", setting(limit.saturating_mul(2))))
}

/// The line of `stedi-delta.toml`: in GB if it is a whole number of them.
fn setting(bytes: u64) -> String {
    let text = match bytes {
        0 => "0 MB".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{} GB", bytes >> 30),
        _ => format!("{} MB", bytes.div_ceil(1 << 20)),
    };
    format!("memory_limit = \"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exhausted() -> DataFusionError {
        DataFusionError::ResourcesExhausted(
            "Not enough memory to continue external sort. Consider increasing 'datafusion.runtime.memory_limit'".into(),
        )
    }

    #[test]
    fn memory_that_ran_out_is_told_from_what_else_stops() {
        let within = DataFusionError::Context("of a stage".into(), Box::new(exhausted()));
        assert!(out_of_memory(&Error::failed("it stopped").because(exhausted())));
        assert!(out_of_memory(&Error::failed("it failed").because(Error::failed("it stopped").because(within))));
        // The text is no proof: a value may contain the same.
        let quoted = DataFusionError::Execution("cannot cast 'Resources exhausted'".into());
        assert!(!out_of_memory(&Error::failed("it stopped").because(quoted)));
    }

    #[test]
    fn our_setting_is_named_and_no_other_remedy() {
        let below = Error::failed("its query stopped").because(exhausted());
        let error = Error::failed("members cannot be verified").because(below).fact("table", "w/members (v3)");
        let told = with_memory_limit(error.help("stedi-delta sync -s members --full-refresh"), 512 << 20);
        assert_eq!(told.to_string(), "members cannot be verified: memory ran out");
        let facts = [("table", "w/members (v3)"), ("limit", "memory_limit = \"512 MB\"")];
        assert_eq!(told.facts(), facts.map(|(label, value)| (label.to_owned(), value.to_owned())));
        assert_eq!(told.next(), Some("write `memory_limit = \"1 GB\"` under [defaults] of stedi-delta.toml"));
        assert_eq!(setting(2 << 30), "memory_limit = \"2 GB\"");
        assert_eq!(setting((1 << 30) + 1), "memory_limit = \"1025 MB\"");
    }

    #[test]
    fn other_errors_stay() {
        let disk = "The used disk space during the spilling process has exceeded the allowable limit of 100 GB";
        for cause in [DataFusionError::ResourcesExhausted(disk.into()), DataFusionError::Plan("no".into())] {
            let told = with_memory_limit(Error::failed("it stopped").because(cause).help("try again"), 1 << 30);
            assert_eq!(told.next(), Some("try again"));
        }
    }
}
