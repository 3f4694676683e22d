//! How often `auto` takes the cheaper mode, and what its choices cost against the best of both in every cell.
//!
//! A cell is a refresh of a table after a change. It counts if both modes differ by more than 0.1 s and 20 %. The cost of
//! `auto` is the time of its mode where a table always takes it: both are measured in the same minutes.

/// The cells so far.
#[derive(Default)]
pub(crate) struct Choices {
    counted: u32,
    right: u32,
    best: f64,
    taken: f64,
    incremental: f64,
    full: f64,
}

impl Choices {
    /// Adds a cell, in seconds; the verdict if it counts.
    pub(crate) fn add(&mut self, incremental: f64, full: f64, takes_full: bool) -> &'static str {
        let best = incremental.min(full);
        let taken = if takes_full { full } else { incremental };
        let differs = (incremental - full).abs();
        let counts = differs > 0.1 && differs > best * 0.2;
        let is_right = taken <= best;
        self.counted += u32::from(counts);
        self.right += u32::from(counts && is_right);
        self.best += best;
        self.taken += taken;
        self.incremental += incremental;
        self.full += full;
        match (counts, is_right) {
            (false, _) => "",
            (true, true) => "right",
            (true, false) => "wrong",
        }
    }

    /// Prints the share and the costs.
    pub(crate) fn print(&self) {
        println!("\n`auto` takes the cheaper mode in {} of {} cells that differ", self.right, self.counted);
        println!("auto / best              {:>6.2}", self.taken / self.best);
        println!("always incremental / best{:>6.2}", self.incremental / self.best);
        println!("always full / best       {:>6.2}", self.full / self.best);
    }
}
