//! A lake of three tables: orders as they arrive, the cheap ones, and how many there are of each item.

use super::Lake;

/// Landing table, replaceable files.
pub(crate) const ORDERS: &str = "description = \"Orders\"\n[source]\npath = \"orders/*.json\"\nformat = \"json\"\n\
     on_overwrite = \"replace\"\n[columns]\nid = { type = \"long\", nullable = false }\nitem = \"string\"\n\
     price = \"double\"\n";
/// A filter.
pub(crate) const CHEAP: &str = "select o.id, o.item, o.price from orders o where o.price < 5";
/// A group by.
pub(crate) const ITEMS: &str = "select o.item, count(*) as n from orders o group by o.item";

/// A derived table's definition.
pub(crate) fn derived(refresh: &str) -> String {
    format!("description = \"Derived\"\nrefresh = \"{refresh}\"\n")
}

/// The lake, with nothing landed.
pub(crate) fn shop(refresh: &str) -> Lake {
    let derived = derived(refresh);
    Lake::project(&[
        ("tables/landing/orders.toml", ORDERS),
        ("tables/trusted/cheap.toml", &derived),
        ("tables/trusted/cheap.sql", CHEAP),
        ("tables/curated/items.toml", &derived),
        ("tables/curated/items.sql", ITEMS),
    ])
}

/// One record per number: id, one of three items, and the number as its price.
pub(crate) fn orders(ids: std::ops::Range<i64>) -> String {
    let item = |id: i64| ["nut", "nail", "bolt"][usize::try_from(id.rem_euclid(3)).unwrap()];
    ids.map(|id| format!("{{\"id\":{id},\"item\":\"{}\",\"price\":{id}.0}}\n", item(id))).collect()
}

impl Lake {
    /// The first files: 10 orders in two files, one broken record.
    pub(crate) fn land_first_orders(&self) {
        self.land("orders/a.json", orders(0..6));
        self.land("orders/b.json", orders(6..10) + "{\"id\":}\n");
    }

    /// A replaced file with fewer and other orders, and a new one.
    pub(crate) fn land_more_orders(&self) {
        self.land("orders/a.json", orders(2..4) + "{\"item\":\"no id\"}\n");
        self.land("orders/c.json", orders(0..2));
    }

    /// Everything that a sync determines: all tables, quarantine, and the ledger's totals.
    pub(crate) async fn everything(&self) -> Vec<(String, Vec<String>)> {
        let mut everything = self.contents().await;
        // How often a file was recorded depends on what died; its counts do not.
        let ledger = "select distinct path, records, landed, quarantined from files where path is not null";
        let quarantine = "select source_file, source_offset, length, reason from orders_quarantine";
        for (name, sql) in [("quarantine", quarantine), ("ledger", ledger)] {
            everything.push((name.to_owned(), self.rows(sql).await));
        }
        everything
    }
}
