//! Batches of changes: files that are added, and files that replace others.

use super::random::Random;
use super::rows::{
    Counts, DAYS, FIRST, TRADE_FILES, account, brokers, cash, company, customer, market, prospects, security, trade,
    watches,
};
use super::{Files, Kind, Options};

/// Days for which a batch has room.
const ROOM: u64 = 30;

/// The files of a batch.
pub(crate) fn changes(options: &Options) -> Files {
    let counts = Counts::of(options);
    let batch = options.batch;
    let first = FIRST + DAYS + (batch - 1) * ROOM;
    let mut files = Files::new();
    let mut put = |table: &str, name: &str, text: String| files.insert(format!("{table}/{name}.json"), text);
    let own = format!("batch-{batch:03}");
    match options.kind {
        Kind::Day | Kind::Month => {
            let days = first..first + if options.kind == Kind::Day { 1 } else { 20 };
            let per_day = options.trades.div_ceil(DAYS);
            let mut texts = [String::new(), String::new(), String::new(), String::new()];
            let [trades, prices, money, watched] = &mut texts;
            for day in days {
                let start = options.trades + (day - FIRST) * per_day;
                (start..start + per_day).for_each(|id| trade(trades, &counts, id, day, 0));
                market(prices, &counts, day);
                cash(money, &counts, day, per_day / 2 + 1);
                watches(watched, &counts, day, per_day / 2 + 1);
            }
            for (table, text) in ["trade", "daily_market", "cash_transaction", "watch"].into_iter().zip(texts) {
                put(table, &own, text);
            }
        }
        Kind::Customers => {
            let mut random = Random::of("batch", batch);
            let (mut customers, mut accounts) = (String::new(), String::new());
            for _ in 0..(counts.customers / 100).max(1) {
                let id = random.below(counts.customers);
                customer(&mut customers, id, first, 10 + batch);
                account(&mut accounts, &counts, id, first, 10 + batch);
            }
            put("customer", &own, once(&customers));
            put("account", &own, once(&accounts));
        }
        Kind::Prospects => {
            put("prospect", "all", prospects(&counts, batch));
        }
        Kind::Corrections => {
            let file = batch % TRADE_FILES;
            let per_file = options.trades.div_ceil(TRADE_FILES);
            let mut text = String::new();
            for id in (file * per_file..(file + 1) * per_file).filter(|id| *id < options.trades) {
                trade(&mut text, &counts, id, FIRST + id * DAYS / options.trades, batch);
            }
            put("trade", &format!("history-{file:02}"), text);
        }
        Kind::Brokers => {
            put("broker", "all", brokers(&counts, batch));
            let (mut companies, mut securities) = (String::new(), String::new());
            company(&mut companies, batch % counts.companies, first, 10 + batch);
            security(&mut securities, &counts, batch % counts.securities, first, 10 + batch);
            put("company", &own, companies);
            put("security", &own, securities);
        }
    }
    files
}

/// Each line once.
fn once(text: &str) -> String {
    let lines: std::collections::BTreeSet<&str> = text.lines().collect();
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}
