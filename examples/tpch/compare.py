#!/usr/bin/env python3
"""The second opinion: the 22 queries, run by DuckDB over the landing files, against the tables of the warehouse.

    compare.py LANDING WAREHOUSE

Exit codes: 0 equal, 1 different, 77 DuckDB or its extension `delta` is not installed. Numbers may differ by a
millionth: DuckDB averages decimals as floating point numbers.
"""

import datetime
import decimal
import importlib.util
import sys
import tomllib
from pathlib import Path

try:
    import duckdb
except ImportError:
    print("compare: the Python package `duckdb` is not installed", file=sys.stderr)
    sys.exit(77)

TABLES = Path(__file__).parent / "tables"
TYPES = {"long": "BIGINT", "integer": "INTEGER", "string": "VARCHAR", "date": "DATE"}


def normal(value):
    """A value as one that can be sorted and compared."""
    if isinstance(value, (int, float, decimal.Decimal)):
        return float(value)
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


def key(row):
    return tuple((v is None, "" if v is None else f"{v:.4e}" if isinstance(v, float) else v) for v in row)


def rows(connection, sql):
    return sorted((tuple(normal(v) for v in row) for row in connection.execute(sql).fetchall()), key=key)


def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-6 * max(1.0, abs(a), abs(b))
    return a == b


def land(connection, landing):
    for file in sorted((TABLES / "landing").glob("*.toml")):
        columns = tomllib.loads(file.read_text())["columns"]
        types = ", ".join(f"{name}: '{TYPES.get(c['type'], c['type'])}'" for name, c in columns.items())
        connection.execute(
            f"create table {file.stem} as select * from read_json('{landing}/{file.stem}/*.json', "
            f"format = 'newline_delimited', columns = {{{types}}})"
        )


def with_delta():
    """A connection that reads Delta tables, if the Python package of the extension is installed."""
    package = importlib.util.find_spec("duckdb_extension_delta")
    for folder in package.submodule_search_locations if package else ():
        for binary in Path(folder).glob(f"extensions/v{duckdb.__version__}/delta.duckdb_extension"):
            connection = duckdb.connect()
            connection.execute(f"load '{binary}'")
            return connection
    return None


def main(landing, warehouse):
    connection = with_delta()
    if connection is None:
        print("compare: DuckDB's extension `delta` is not installed", file=sys.stderr)
        return 77
    land(connection, landing)
    different, total = [], 0
    for file in sorted((TABLES / "queries").glob("*.sql")):
        expected = rows(connection, file.read_text())
        stored = rows(connection, f"select * from delta_scan('{warehouse}/queries/{file.stem}')")
        total += len(stored)
        equal = len(expected) == len(stored) and all(
            len(e) == len(s) and all(map(same, e, s)) for e, s in zip(expected, stored)
        )
        if not equal:
            different.append(f"{file.stem}: {len(stored)} rows stored, {len(expected)} by DuckDB")
    for line in different:
        print(line)
    print(f"22 queries, {total} rows, {len(different)} different")
    return 1 if different else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        sys.exit(64)
    sys.exit(main(*sys.argv[1:]))
