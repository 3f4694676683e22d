//! A round of changes: new files, and files written anew with fewer or other records.

use std::collections::BTreeSet;
use std::{fs, io};

use super::record::{decimal, hundredths, number, set};
use super::rows::{copies, orders_at};
use super::{Options, write};

/// Carries out the round.
pub(crate) fn change(options: &Options) -> io::Result<String> {
    let orders = orders_at(options.scale);
    let kinds = if options.append { 1.0 } else { 3.0 };
    // At least one; at most what the free keys of a round allow.
    let each = ((orders as f64 * options.changed / 100.0 / kinds).round() as u64).clamp(1, orders);
    let before = (options.round - 1) * each;
    // Rounds with new orders only take other keys, so that both kinds may follow one another.
    let (start, key) = (before % orders, 8 * (1 + (before / orders + u64::from(options.append)) % 3));
    let (new_orders, items) = copies(options.scale, start, each, i64::try_from(key).unwrap_or(8));
    let name = |table: &str| options.out.join(table).join(format!("round-{:03}.json", options.round));
    write(&name("orders"), &new_orders)?;
    write(&name("lineitem"), &items)?;
    let new = new_orders.lines().count();
    if options.append {
        return Ok(format!("round {}: {new} new orders", options.round));
    }
    let gone = some_orders(options, each, 0, &mut |_, _| false)?;
    let other = some_orders(options, each, options.files / 2, &mut |table, line| {
        update(options.round, table, line);
        true
    })?;
    if !options.facts {
        dimensions(options)?;
    }
    Ok(format!("round {}: {new} new orders, {gone} gone, {other} with other values", options.round))
}

/// Passes `count` orders and their items to `each`, which may change a record or let it go. Files are taken in turn,
/// from one that depends on the round, and at most half of the orders of a file.
fn some_orders(
    options: &Options,
    count: u64,
    offset: u64,
    each: &mut dyn FnMut(&str, &mut String) -> bool,
) -> io::Result<u64> {
    let mut left = count;
    for i in 0..options.files {
        let file = (options.round - 1 + offset + i) % options.files;
        let path = options.file("orders", file);
        if left == 0 || !path.exists() {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let half = text.lines().count().div_ceil(2) as u64;
        let taken: BTreeSet<i64> =
            text.lines().take(usize::try_from(left.min(half)).unwrap_or(0)).map(|l| number(l, "o_orderkey")).collect();
        left -= taken.len() as u64;
        for (table, key) in [("orders", "o_orderkey"), ("lineitem", "l_orderkey")] {
            rewrite(options, table, file, &mut |line| !taken.contains(&number(line, key)) || each(table, line))?;
        }
    }
    Ok(count - left)
}

/// Writes a file anew with the records that `keep` keeps, as it leaves them.
fn rewrite(options: &Options, table: &str, file: u64, keep: &mut dyn FnMut(&mut String) -> bool) -> io::Result<()> {
    let path = options.file(table, file);
    let text = fs::read_to_string(&path)?;
    let mut new = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut line = line.to_owned();
        if keep(&mut line) {
            new.push_str(&line);
        }
    }
    write(&path, &new)
}

/// Other values for an order or an item.
fn update(round: u64, table: &str, line: &mut String) {
    let round = i64::try_from(round).unwrap_or(0);
    if table == "orders" {
        let priorities = ["1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW"];
        let at = (number(line, "o_orderkey") + round).rem_euclid(5) as usize;
        set(line, "o_orderpriority", &format!("\"{}\"", priorities[at]));
        let total = decimal(line, "o_totalprice") + 100 * round;
        set(line, "o_totalprice", &hundredths(total));
        return;
    }
    let old = number(line, "l_quantity").max(1);
    let new = (old * 7 + round) % 50 + 1;
    let price = decimal(line, "l_extendedprice") / old * new;
    let discount = (decimal(line, "l_discount") + round) % 11;
    set(line, "l_quantity", &new.to_string());
    set(line, "l_extendedprice", &hundredths(price));
    set(line, "l_discount", &hundredths(discount));
    if new % 3 == 0 {
        set(line, "l_receiptdate", "\"1994-06-30\"");
        set(line, "l_returnflag", "\"R\"");
    }
    if new < 24 {
        set(line, "l_shipmode", "\"AIR\"");
        set(line, "l_shipinstruct", "\"DELIVER IN PERSON\"");
    }
}

/// Other values for a few customers, parts, suppliers, and their stock: often such as the queries ask for.
fn dimensions(options: &Options) -> io::Result<()> {
    let round = i64::try_from(options.round).unwrap_or(0);
    let every = (100.0 / options.changed).clamp(2.0, 50.0) as i64;
    for table in ["customer", "part", "partsupp", "supplier"] {
        let files = if table == "supplier" { 1 } else { options.files };
        // A quarter of the files: another one in the next round.
        for file in (0..files).filter(|file| files == 1 || (file + options.round).is_multiple_of(4)) {
            if !options.file(table, file).exists() {
                continue;
            }
            let mut at = 0_i64;
            rewrite(options, table, file, &mut |line| {
                at += 1;
                if (at + round) % every == 0 {
                    of_dimension(table, at + round, line);
                }
                true
            })?;
        }
    }
    Ok(())
}

fn of_dimension(table: &str, n: i64, line: &mut String) {
    match table {
        "customer" => {
            let segments = ["AUTOMOBILE", "BUILDING", "FURNITURE", "MACHINERY", "HOUSEHOLD"];
            set(line, "c_mktsegment", &format!("\"{}\"", segments[n.rem_euclid(5) as usize]));
            let balance = decimal(line, "c_acctbal") + 12_345;
            set(line, "c_acctbal", &hundredths(balance));
        }
        "part" => match n % 4 {
            0 => {
                set(line, "p_brand", "\"Brand#23\"");
                set(line, "p_container", "\"MED BOX\"");
                set(line, "p_size", &(n.rem_euclid(10) + 1).to_string());
            }
            1 => set(line, "p_type", "\"ECONOMY ANODIZED STEEL\""),
            2 => {
                set(line, "p_type", "\"LARGE PLATED BRASS\"");
                set(line, "p_size", "15");
            }
            _ => set(line, "p_name", "\"forest green blue red snow\""),
        },
        "partsupp" => {
            set(line, "ps_availqty", &(n * 37).rem_euclid(10_000).to_string());
            let cost = decimal(line, "ps_supplycost") * 2 / 3 + 1;
            set(line, "ps_supplycost", &hundredths(cost));
        }
        _ => {
            if n % 2 == 0 {
                set(line, "s_comment", "\"blithely Customer quick Complaints sleep\"");
            }
            // Brazil, Canada, France, Germany, Saudi Arabia.
            set(line, "s_nationkey", &[2, 3, 6, 7, 20][n.rem_euclid(5) as usize].to_string());
        }
    }
}
