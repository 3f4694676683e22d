#!/usr/bin/env python3
"""The tables of examples/shop, computed by DuckDB from the files and compared with ours as CSV.

    shop.py DATA FOLDER     prints one line per table; exit 1 if one differs
"""

import csv
import sys
from decimal import Decimal

import duckdb

data, folder = sys.argv[1:3]
db = duckdb.connect()
db.execute(f"""
create table orders_landing as select * from read_json('{data}/orders/*.json', format='auto', columns={{
    order_id: 'JSON', customer_id: 'VARCHAR', placed_at: 'TIMESTAMP', updated_at: 'TIMESTAMP', status: 'VARCHAR',
    currency: 'VARCHAR', ship_to: 'STRUCT(city VARCHAR, country VARCHAR)',
    items: 'STRUCT(sku VARCHAR, quantity BIGINT, unit_price DECIMAL(18,2))[]', total: 'JSON'}})
    where try_cast(order_id as bigint) is not null;
create table orders as select order_id::bigint as order_id, customer_id, placed_at, updated_at, status, currency,
    ship_to.country as country, items, total::varchar::decimal(18,2) as total
    from orders_landing qualify row_number() over (partition by order_id order by updated_at desc) = 1;
create table order_lines as select order_id, customer_id, placed_at, country, i.sku, i.quantity, i.unit_price,
    (i.quantity * i.unit_price)::decimal(38,2) as amount
    from (select *, unnest(items) as i from orders where status <> 'cancelled');
create table products_landing as select * from read_json('{data}/products/*.json', columns={{
    snapshot_date: 'DATE', sku: 'VARCHAR', name: 'VARCHAR', category: 'VARCHAR', 'list-price': 'DECIMAL(18,2)', stock: 'BIGINT'}});
create table products as select sku, name, category, "list-price" as list_price, stock, snapshot_date
    from products_landing qualify row_number() over (partition by sku order by snapshot_date desc) = 1;
create table refunds as select order_id, sku, sum(amount) as amount from read_json('{data}/refunds/*.json', columns={{
    order_id: 'BIGINT', sku: 'VARCHAR', amount: 'DECIMAL(18,2)'}}) group by all;
create table revenue_by_day as select placed_at::date as day, category, count(*) as lines, sum(l.amount) as sold,
    sum(coalesce(r.amount, 0)) as refunded
    from order_lines l join products p using (sku) left join refunds r on r.order_id = l.order_id and r.sku = l.sku
    group by all;
create table customers as select * from read_json('{data}/customers/*.json', columns={{
    customer_id: 'VARCHAR', name: 'VARCHAR', email: 'VARCHAR', newsletter_since: 'BIGINT', updated_at: 'TIMESTAMP'}})
    qualify row_number() over (partition by email order by updated_at desc) = 1;
create table newsletter as select email, name,
    (select count(*) from orders o where o.customer_id = c.customer_id and status <> 'cancelled') as orders
    from customers c where newsletter_since is not null;
""")


def plain(value):
    """A value in one spelling: numbers by value, times as DuckDB prints them."""
    if value is None or value == "":
        return None
    text = str(value).replace("T", " ").removesuffix("Z") if not isinstance(value, Decimal) else str(value)
    try:
        return str(Decimal(text).normalize())
    except ArithmeticError:
        return text


bad = 0
for table in ["order_lines", "orders", "products", "revenue_by_day", "newsletter"]:
    with open(f"{folder}/{table}.csv", newline="") as file:
        ours = list(csv.DictReader(file))
    # Arrays are compared by the lines that are made of them.
    columns = [c for c in ours[0] if c != "items"]
    rows = db.execute(f"select {', '.join(columns)} from {table}").fetchall()
    expected = sorted([plain(v) or "" for v in row] for row in rows)
    found = sorted([plain(row[c]) or "" for c in columns] for row in ours)
    if expected != found:
        bad += 1
        print(f"{table} differs: {[r for r in expected if r not in found][:3]} and {[r for r in found if r not in expected][:3]}")
    else:
        print(f"{table} {len(found)}")
sys.exit(1 if bad else 0)
