//! The records of each landing table, and the historical load: two years of them.

use std::fmt::Write;

use super::random::{Random, day, time};
use super::{Files, Options};

/// The first day of the historical load, 2020-01-01, and its days.
pub(crate) const FIRST: u64 = 18_262;
pub(crate) const DAYS: u64 = 730;
/// Files of the trades of the historical load.
pub(crate) const TRADE_FILES: u64 = 12;

const NAMES: [&str; 10] = ["Ada", "Grace", "Edgar", "Barbara", "Jim", "Donald", "Frances", "Ken", "Mary", "Tony"];
const CITIES: [&str; 6] = ["Athens", "Berlin", "Cairo", "Delhi", "Essen", "Florence"];

/// How many there are of each, by the number of trades.
pub(crate) struct Counts {
    pub(crate) customers: u64,
    pub(crate) accounts: u64,
    pub(crate) companies: u64,
    pub(crate) securities: u64,
    pub(crate) brokers: u64,
    pub(crate) prospects: u64,
}

impl Counts {
    pub(crate) fn of(options: &Options) -> Self {
        let trades = options.trades;
        let customers = (trades / 40).max(20);
        let securities = (trades / 500).max(10);
        Self {
            customers,
            accounts: customers * 2,
            companies: (securities / 2).max(5),
            securities,
            brokers: (trades / 200).max(10),
            prospects: (trades / 4).max(50),
        }
    }
}

/// Appends a record.
macro_rules! record {
    ($out:expr, $($text:tt)*) => {
        // Writing to a text cannot fail.
        let _ = writeln!($out, $($text)*);
    };
}

/// The historical load.
pub(crate) fn history(options: &Options) -> Files {
    let counts = Counts::of(options);
    let mut files = Files::new();
    let mut put = |table: &str, name: &str, text: String| files.insert(format!("{table}/{name}.json"), text);
    put("trade_type", "all", trade_types());
    put("industry", "all", industries());
    let (mut companies, mut securities) = (String::new(), String::new());
    (0..counts.companies).for_each(|id| company(&mut companies, id, FIRST, 0));
    (0..counts.securities).for_each(|id| security(&mut securities, &counts, id, FIRST, 0));
    let (mut customers, mut accounts) = (String::new(), String::new());
    (0..counts.customers).for_each(|id| customer(&mut customers, id, FIRST, 0));
    (0..counts.accounts).for_each(|id| account(&mut accounts, &counts, id, FIRST, 0));
    // A third of everything has changed since.
    for change in 1..=2 {
        let at = FIRST + change * 200;
        (0..counts.companies).filter(|id| id % 6 == change).for_each(|id| company(&mut companies, id, at, change));
        let some = (0..counts.securities).filter(|id| id % 6 == change);
        some.for_each(|id| security(&mut securities, &counts, id, at, change));
        (0..counts.customers).filter(|id| id % 6 == change).for_each(|id| customer(&mut customers, id, at, change));
        let some = (0..counts.accounts).filter(|id| id % 6 == change);
        some.for_each(|id| account(&mut accounts, &counts, id, at, change));
    }
    put("company", "history", companies);
    put("security", "history", securities);
    put("customer", "history", customers);
    put("account", "history", accounts);
    put("broker", "all", brokers(&counts, 0));
    put("prospect", "all", prospects(&counts, 0));
    let per_file = options.trades.div_ceil(TRADE_FILES);
    for file in 0..TRADE_FILES {
        let mut text = String::new();
        for id in (file * per_file..(file + 1) * per_file).filter(|id| *id < options.trades) {
            trade(&mut text, &counts, id, FIRST + id * DAYS / options.trades, 0);
        }
        put("trade", &format!("history-{file:02}"), text);
    }
    let of_day = |each: &dyn Fn(&mut String, u64)| {
        let mut text = String::new();
        (FIRST..FIRST + DAYS).for_each(|day| each(&mut text, day));
        text
    };
    put("daily_market", "history", of_day(&|text, day| market(text, &counts, day)));
    let per_day = options.trades.div_ceil(DAYS);
    put("cash_transaction", "history", of_day(&|text, day| cash(text, &counts, day, per_day / 2 + 1)));
    put("watch", "history", of_day(&|text, day| watches(text, &counts, day, per_day / 2 + 1)));
    files
}

fn trade_types() -> String {
    let types =
        [("TMB", "Market Buy", 0), ("TMS", "Market Sell", 1), ("TLB", "Limit Buy", 0), ("TLS", "Limit Sell", 1)];
    let mut out = String::new();
    for (id, name, sells) in types {
        record!(out, r#"{{"tt_id":"{id}","tt_name":"{name}","tt_is_sell":{sells}}}"#);
    }
    out
}

fn industries() -> String {
    let mut out = String::new();
    for id in 0..20 {
        record!(out, r#"{{"in_id":"I{id:02}","in_name":"Industry {id}","in_sector":"S{}"}}"#, id % 4);
    }
    out
}

/// A version of a company, valid from a day.
pub(crate) fn company(out: &mut String, id: u64, from: u64, version: u64) {
    let mut random = Random::of("company", id * 100 + version);
    let rating = random.one_of(&["AAA", "AA", "A", "BBB", "BB", "B"]);
    let (industry, ceo) = (id % 20, random.one_of(&NAMES));
    let from = time(from, 1);
    record!(
        out,
        r#"{{"co_id":{id},"co_name":"Company {id}","co_industry":"I{industry:02}","co_rating":"{rating}","co_ceo":"{ceo}","co_from":"{from}"}}"#
    );
}

/// A version of a security.
pub(crate) fn security(out: &mut String, counts: &Counts, id: u64, from: u64, version: u64) {
    let mut random = Random::of("security", id * 100 + version);
    let (company, shares) = (id % counts.companies, 1_000_000 + random.below(9_000_000));
    let exchange = random.one_of(&["NYSE", "NASDAQ", "AMEX", "PCX"]);
    let from = time(from, 2);
    record!(
        out,
        r#"{{"s_symbol":"S{id:05}","s_company":{company},"s_issue":"COMMON","s_exchange":"{exchange}","s_shares":{shares},"s_from":"{from}"}}"#
    );
}

/// A version of a customer.
pub(crate) fn customer(out: &mut String, id: u64, from: u64, version: u64) {
    let mut random = Random::of("customer", id * 100 + version);
    let (tier, city, name) = (1 + random.below(3), random.one_of(&CITIES), random.one_of(&NAMES));
    let (number, from) = (random.below(100_000), time(from, 3));
    record!(
        out,
        r#"{{"c_id":{id},"c_name":"{name} {id}","c_tier":{tier},"c_city":"{city}","c_street":"{number} Main Street","c_from":"{from}"}}"#
    );
}

/// A version of an account.
pub(crate) fn account(out: &mut String, counts: &Counts, id: u64, from: u64, version: u64) {
    let mut random = Random::of("account", id * 100 + version);
    let (customer, broker) = (id % counts.customers, random.below(counts.brokers));
    let (status, from) = (if version > 1 { "INAC" } else { "ACTV" }, time(from, 4));
    record!(
        out,
        r#"{{"a_id":{id},"a_customer":{customer},"a_broker":{broker},"a_status":"{status}","a_name":"Account {id}","a_from":"{from}"}}"#
    );
}

/// All brokers, as a snapshot.
pub(crate) fn brokers(counts: &Counts, version: u64) -> String {
    let mut out = String::new();
    for id in 0..counts.brokers {
        let mut random = Random::of("broker", id);
        let (branch, phone) = (random.one_of(&CITIES), random.below(10_000) + version);
        record!(out, r#"{{"b_id":{id},"b_name":"Broker {id}","b_branch":"{branch}","b_phone":"{phone}"}}"#);
    }
    out
}

/// All prospects, as a snapshot: each row has the number of the snapshot.
pub(crate) fn prospects(counts: &Counts, version: u64) -> String {
    let mut out = String::new();
    for id in 0..counts.prospects {
        let mut random = Random::of("prospect", id);
        let (name, city, cars) = (random.one_of(&NAMES), random.one_of(&CITIES), random.below(5));
        let (income, credit, age) = (random.below(200_000) + version, 300 + random.below(550), 18 + random.below(70));
        // As customers are called, so that some are found.
        let person = random.below(counts.customers * 4);
        record!(
            out,
            r#"{{"p_id":"P{id:07}","p_name":"{name} {person}","p_city":"{city}","p_income":{income},"p_cars":{cars},"p_credit":{credit},"p_age":{age},"p_batch":{version}}}"#
        );
    }
    out
}

/// A trade of a day.
pub(crate) fn trade(out: &mut String, counts: &Counts, id: u64, on: u64, version: u64) {
    let mut random = Random::of("trade", id);
    let (account, symbol) = (random.below(counts.accounts), random.below(counts.securities));
    let kind = random.one_of(&["TMB", "TMS", "TLB", "TLS"]);
    let (quantity, cents) = (1 + random.below(500), 1_000 + random.below(90_000) + version);
    let (at, status) = (time(on, 30_000 + random.below(30_000)), random.one_of(&["CMPT", "CMPT", "CMPT", "CNCL"]));
    record!(
        out,
        r#"{{"t_id":{id},"t_at":"{at}","t_status":"{status}","t_type":"{kind}","t_symbol":"S{symbol:05}","t_account":{account},"t_quantity":{quantity},"t_price":{}.{:02},"t_fee":{}}}"#,
        cents / 100,
        cents % 100,
        1 + random.below(20)
    );
}

/// The prices of a day.
pub(crate) fn market(out: &mut String, counts: &Counts, on: u64) {
    for id in 0..counts.securities {
        let mut random = Random::of("market", on * 100_000 + id);
        let close = 1_000 + random.below(90_000);
        let (high, low) = (close + random.below(500), close - random.below(500));
        let (volume, on) = (random.below(1_000_000), day(on));
        let money = |cents: u64| format!("{}.{:02}", cents / 100, cents % 100);
        let (close, high, low) = (money(close), money(high), money(low));
        record!(
            out,
            r#"{{"dm_date":"{on}","dm_symbol":"S{id:05}","dm_close":{close},"dm_high":{high},"dm_low":{low},"dm_volume":{volume}}}"#
        );
    }
}

/// Cash that comes and goes on a day.
pub(crate) fn cash(out: &mut String, counts: &Counts, on: u64, many: u64) {
    for number in 0..many {
        let mut random = Random::of("cash", on * 1_000_000 + number);
        let (account, at, euros) =
            (random.below(counts.accounts), time(on, random.below(86_400)), random.below(10_000));
        let sign = if random.below(2) == 0 { "-" } else { "" };
        record!(
            out,
            r#"{{"ct_id":{},"ct_account":{account},"ct_at":"{at}","ct_amount":{sign}{euros}.50}}"#,
            on * 1_000_000 + number
        );
    }
}

/// Securities that customers begin or cease to watch on a day.
pub(crate) fn watches(out: &mut String, counts: &Counts, on: u64, many: u64) {
    for number in 0..many {
        let mut random = Random::of("watch", on * 1_000_000 + number);
        let (customer, symbol) = (random.below(counts.customers), random.below(counts.securities));
        let (at, action) = (time(on, random.below(86_400)), random.one_of(&["ACTV", "ACTV", "CNCL"]));
        record!(out, r#"{{"w_customer":{customer},"w_symbol":"S{symbol:05}","w_at":"{at}","w_action":"{action}"}}"#);
    }
}
