//! The rows of TPC-H's generator as JSON lines, in files.

use std::io;

use tpchgen::generators::{
    CustomerGenerator, LineItem, LineItemGenerator, NationGenerator, Order, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};

use super::record::Record;
use super::{Options, write};

/// Number of orders at a scale.
pub(crate) fn orders_at(scale: f64) -> u64 {
    u64::try_from(OrderGenerator::calculate_row_count(scale, 1, 1)).unwrap_or(0)
}

/// Writes all tables.
pub(crate) fn write_all(options: &Options) -> io::Result<String> {
    let scale = options.scale;
    let region = |r: tpchgen::generators::Region<'_>| {
        let record = Record::new().number("r_regionkey", r.r_regionkey);
        record.text("r_name", r.r_name).text("r_comment", r.r_comment).line()
    };
    spread(options, "region", 1, 5, RegionGenerator::default().into_iter().map(region))?;
    let nation = |n: tpchgen::generators::Nation<'_>| {
        let record = Record::new().number("n_nationkey", n.n_nationkey).text("n_name", n.n_name);
        record.number("n_regionkey", n.n_regionkey).text("n_comment", n.n_comment).line()
    };
    spread(options, "nation", 1, 25, NationGenerator::default().into_iter().map(nation))?;
    let supplier = |s: tpchgen::generators::Supplier| {
        let record = Record::new().number("s_suppkey", s.s_suppkey).text("s_name", s.s_name);
        let record = record.text("s_address", s.s_address).number("s_nationkey", s.s_nationkey);
        record.text("s_phone", s.s_phone).number("s_acctbal", s.s_acctbal).text("s_comment", s.s_comment).line()
    };
    let count = SupplierGenerator::calculate_row_count(scale, 1, 1);
    spread(options, "supplier", 1, count, SupplierGenerator::new(scale, 1, 1).iter().map(supplier))?;
    let customer = |c: tpchgen::generators::Customer<'_>| {
        let record = Record::new().number("c_custkey", c.c_custkey).text("c_name", c.c_name);
        let record = record.text("c_address", c.c_address).number("c_nationkey", c.c_nationkey);
        let record = record.text("c_phone", c.c_phone).number("c_acctbal", c.c_acctbal);
        record.text("c_mktsegment", c.c_mktsegment).text("c_comment", c.c_comment).line()
    };
    let count = CustomerGenerator::calculate_row_count(scale, 1, 1);
    let customers = CustomerGenerator::new(scale, 1, 1);
    spread(options, "customer", options.files, count, customers.iter().map(customer))?;
    let part = |p: tpchgen::generators::Part<'_>| {
        let record = Record::new().number("p_partkey", p.p_partkey).text("p_name", p.p_name);
        let record = record.text("p_mfgr", p.p_mfgr).text("p_brand", p.p_brand).text("p_type", p.p_type);
        let record = record.number("p_size", p.p_size).text("p_container", p.p_container);
        record.number("p_retailprice", p.p_retailprice).text("p_comment", p.p_comment).line()
    };
    let count = PartGenerator::calculate_row_count(scale, 1, 1);
    spread(options, "part", options.files, count, PartGenerator::new(scale, 1, 1).iter().map(part))?;
    let partsupp = |p: tpchgen::generators::PartSupp<'_>| {
        let record = Record::new().number("ps_partkey", p.ps_partkey).number("ps_suppkey", p.ps_suppkey);
        let record = record.number("ps_availqty", p.ps_availqty).number("ps_supplycost", p.ps_supplycost);
        record.text("ps_comment", p.ps_comment).line()
    };
    // Four suppliers of each part.
    let count = 4 * PartGenerator::calculate_row_count(scale, 1, 1);
    let stock = PartSuppGenerator::new(scale, 1, 1);
    spread(options, "partsupp", options.files, count, stock.iter().map(partsupp))?;
    let count = OrderGenerator::calculate_row_count(scale, 1, 1);
    let orders = OrderGenerator::new(scale, 1, 1);
    spread(options, "orders", options.files, count, orders.iter().map(|o| order(&o)))?;
    let items = write_items(options, u64::try_from(count).unwrap_or(0))?;
    Ok(format!("{count} orders with {items} items"))
}

/// The items of an order stand in the file with the number of the order's file.
fn write_items(options: &Options, orders: u64) -> io::Result<u64> {
    let in_file = per_file(orders, options.files);
    let (mut text, mut number, mut in_this, mut last, mut items) = (String::new(), 0, 0, 0, 0);
    for i in LineItemGenerator::new(options.scale, 1, 1).iter() {
        if i.l_orderkey != last {
            if in_this == in_file {
                write(&options.file("lineitem", number), &text)?;
                text.clear();
                (number, in_this) = (number + 1, 0);
            }
            (last, in_this) = (i.l_orderkey, in_this + 1);
        }
        items += 1;
        text.push_str(&item(&i));
    }
    write(&options.file("lineitem", number), &text)?;
    Ok(items)
}

/// New orders with their items, made of those that TPC-H's generator gives from `start` on: other keys, one of those
/// that TPC-H leaves free (it uses the first 8 of every 32). Every eighth is a very large order, as query 18 seeks.
pub(crate) fn copies(scale: f64, start: u64, count: u64, key: i64) -> (String, String) {
    let (from, count) = (usize::try_from(start).unwrap_or(0), usize::try_from(count).unwrap_or(0));
    let (mut orders, mut items) = (String::new(), String::new());
    let mut keys = Vec::with_capacity(count);
    for mut o in OrderGenerator::new(scale, 1, 1).iter().skip(from).take(count) {
        keys.push(o.o_orderkey);
        o.o_orderkey += key;
        orders.push_str(&order(&o));
    }
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return (orders, items) };
    for mut i in LineItemGenerator::new(scale, 1, 1).iter().skip_while(|i| i.l_orderkey < *first) {
        if i.l_orderkey > *last {
            break;
        }
        if i.l_orderkey % 8 == 1 {
            i.l_extendedprice.0 = i.l_extendedprice.0 / i.l_quantity.max(1) * 60;
            i.l_quantity = 60;
        }
        i.l_orderkey += key;
        items.push_str(&item(&i));
    }
    (orders, items)
}

fn order(o: &Order<'_>) -> String {
    let record = Record::new().number("o_orderkey", o.o_orderkey).number("o_custkey", o.o_custkey);
    let record = record.text("o_orderstatus", o.o_orderstatus).number("o_totalprice", o.o_totalprice);
    let record = record.text("o_orderdate", o.o_orderdate).text("o_orderpriority", o.o_orderpriority);
    let record = record.text("o_clerk", o.o_clerk).number("o_shippriority", o.o_shippriority);
    record.text("o_comment", o.o_comment).line()
}

fn item(i: &LineItem<'_>) -> String {
    let record = Record::new().number("l_orderkey", i.l_orderkey).number("l_partkey", i.l_partkey);
    let record = record.number("l_suppkey", i.l_suppkey).number("l_linenumber", i.l_linenumber);
    let record = record.number("l_quantity", i.l_quantity).number("l_extendedprice", i.l_extendedprice);
    let record = record.number("l_discount", i.l_discount).number("l_tax", i.l_tax);
    let record = record.text("l_returnflag", i.l_returnflag).text("l_linestatus", i.l_linestatus);
    let record = record.text("l_shipdate", i.l_shipdate).text("l_commitdate", i.l_commitdate);
    let record = record.text("l_receiptdate", i.l_receiptdate).text("l_shipinstruct", i.l_shipinstruct);
    record.text("l_shipmode", i.l_shipmode).text("l_comment", i.l_comment).line()
}

fn per_file(rows: u64, files: u64) -> u64 {
    rows.div_ceil(files.max(1)).max(1)
}

/// Writes lines into files of equal length.
fn spread(
    options: &Options,
    table: &str,
    files: u64,
    count: i64,
    lines: impl Iterator<Item = String>,
) -> io::Result<()> {
    let in_file = per_file(u64::try_from(count).unwrap_or(0), files);
    let (mut text, mut number, mut in_this) = (String::new(), 0, 0);
    for line in lines {
        if in_this == in_file {
            write(&options.file(table, number), &text)?;
            text.clear();
            (number, in_this) = (number + 1, 0);
        }
        text.push_str(&line);
        in_this += 1;
    }
    write(&options.file(table, number), &text)
}
