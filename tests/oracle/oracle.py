#!/usr/bin/env python3
"""The second opinion: what every table of a project should hold, computed without a line of stedi-delta.

    oracle.py expect  --landing ROOT --tables DIR [--out FILE]                   from the landing files
    oracle.py lake    --warehouse ROOT --tables DIR [--out FILE]                 from the Delta tables
    oracle.py compare --landing ROOT --warehouse ROOT --tables DIR [--out FILE]  both, row by row

A root is a folder or `s3://bucket/prefix`, read as AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, AWS_REGION and
AWS_ACCESS_KEY_ID with its secret say.

`expect` parses the landing files with Python's JSON decoder and runs the project's queries in DuckDB. `lake` reads
each Delta table with DuckDB's `delta` extension. Both write, per table:

    {"tables": {"customer_trusted": {"rows": 482, "digest": "...", "columns": ["email VARCHAR", ...]}}}

with `null` for a table that does not exist. The digest adds up one hash per row: two tables have the same one when
they hold the same rows the same number of times, in any order. A landing table also has `rejected`: how many records
cannot land (a broken stretch with brackets of its own may count as more than one). No value of any row is printed.

Exit codes: 0 done and equal, 1 different, 2 the project or a file cannot be used, 77 DuckDB or one of its extensions
`delta` and `httpfs` is not installed (a reason to skip, not to fail).
"""

import argparse
import codecs
import gzip
import importlib.util
import json
import os
import re
import sys
import tempfile
import tomllib
import zlib
from decimal import Decimal
from pathlib import Path

try:
    import duckdb
except ImportError:
    print("oracle: the Python package `duckdb` is not installed; run scripts/test", file=sys.stderr)
    sys.exit(77)

SKIP = 77
TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT", "bigint": "BIGINT",
    "integer": "INTEGER", "int": "INTEGER",
    "short": "SMALLINT", "smallint": "SMALLINT",
    "byte": "TINYINT", "tinyint": "TINYINT",
    "double": "DOUBLE",
    "float": "FLOAT",
    "boolean": "BOOLEAN",
}
BITS = {"BIGINT": 64, "INTEGER": 32, "SMALLINT": 16, "TINYINT": 8}
SOURCE_COLUMNS = [("source_file", "VARCHAR", True), ("source_offset", "BIGINT", True)]
AFTER_VALUE = ("", " ", "\t", "\r", "\n", ",", "]")
BLANK = re.compile(r"[ \t\r\n]*")
NEXT_RECORD = re.compile(r"\n[ \t]*(?=\{)")


class Unusable(Exception):
    """The project or a file cannot be used; the message says why."""


# --- The project -----------------------------------------------------------------------------------------------------


class Table:
    """One table definition: its zone, its columns or its query, and the tables that the query names."""

    def __init__(self, toml_file):
        self.name = toml_file.stem
        self.zone = toml_file.parent.name
        self.definition = tomllib.loads(toml_file.read_text(encoding="utf-8"))
        sql_file = toml_file.with_suffix(".sql")
        self.sql = sql_file.read_text(encoding="utf-8") if sql_file.exists() else None
        if (self.sql is None) == ("source" not in self.definition):
            raise Unusable(f"{toml_file}: needs either [source] or a query beside it")
        self.columns = []
        if self.sql is None:
            for name, column in self.definition.get("columns", {}).items():
                if column["type"] not in TYPES:
                    raise Unusable(f"{toml_file}: the oracle knows no type {column['type']}")
                self.columns.append((name, TYPES[column["type"]], column.get("nullable", True)))

    def reads(self, names):
        """The tables among `names` that stand after FROM, JOIN or a comma; comments are not read."""
        text = re.sub(r"--[^\n]*|/\*.*?\*/", " ", self.sql or "", flags=re.S).lower()
        return {n for n in re.findall(r"(?:\bfrom|\bjoin|,)\s+(\w+)", text) if n in names and n != self.name}

    def quarantined_unless(self):
        """Conditions that a row must meet to be in the table."""
        expectations = self.definition.get("expectations", [])
        return [e["check"] for e in expectations if e.get("action") == "quarantine"]


def load_tables(folder):
    """All tables, each after the tables that it reads."""
    tables = {}
    for toml_file in sorted(Path(folder).glob("*/*.toml")):
        table = Table(toml_file)
        tables[table.name] = table
    if not tables:
        raise Unusable(f"{folder}: no tables/<zone>/<table>.toml in it")
    ordered, waiting = [], dict(tables)
    while waiting:
        ready = [t for t in waiting.values() if not t.reads(waiting.keys())]
        if not ready:
            raise Unusable(f"these tables read each other: {', '.join(sorted(waiting))}")
        for table in ready:
            ordered.append(table)
            del waiting[table.name]
    return ordered


# --- Landing files ---------------------------------------------------------------------------------------------------


def glob_pattern(glob):
    """A regular expression for a glob: `*` and `?` stay within a folder, `**/` is any number of folders."""
    out, i = "", 0
    while i < len(glob):
        if glob.startswith("**/", i):
            out, i = out + "(?:[^/]+/)*", i + 3
        elif glob.startswith("**", i):
            out, i = out + ".*", i + 2
        elif glob[i] in "*?":
            out, i = out + ("[^/]*" if glob[i] == "*" else "[^/]"), i + 1
        else:
            out, i = out + re.escape(glob[i]), i + 1
    return re.compile(out)


def landing_files(connection, root, glob):
    """Paths relative to the landing root, with `/`, in order."""
    pattern = glob_pattern(glob)
    return sorted(path for path in all_files(connection, root) if pattern.fullmatch(path))


def all_files(connection, root):
    if is_s3(root):
        keys = connection.execute(f"select file from glob({literal(root + '/**')})").fetchall()
        return [key.removeprefix(root + "/") for (key,) in keys]
    return [Path(folder, name).relative_to(root).as_posix() for folder, _, names in os.walk(root) for name in names]


def read_bytes(connection, root, path):
    file = join(root, path)
    if is_s3(root):
        data = connection.execute(f"select content from read_blob({literal(file)})").fetchone()[0]
    else:
        data = Path(file).read_bytes()
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise Unusable(f"{file}: {error}") from error


def no_constant(name):
    raise ValueError(f"{name} is not JSON")


class Fields(list):
    """An object's fields in order: a field that is there twice must be seen."""


# Decimal keeps numbers as written, so that 1.0 is an integer and 1.1 is not.
DECODER = json.JSONDecoder(parse_constant=no_constant, parse_float=Decimal, object_pairs_hook=Fields)


def records(data):
    """Every record as (byte offset, value); the value is `None` where a record is broken.

    After a broken record the next one begins at the next line that starts with `{`.
    """
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    text = data[start:].decode("utf-8", "surrogateescape")
    ascii_only = text.isascii()
    position = BLANK.match(text, 0).end()
    is_array = text.startswith("[", position)
    position += is_array
    counted, offset = 0, start
    while True:
        position = BLANK.match(text, position).end()
        if is_array and text[position:position + 1] in (",", "]"):
            position += 1
            continue
        if position >= len(text):
            return
        # Offsets are in bytes, positions in characters.
        between = text[counted:position]
        offset += len(between) if ascii_only else len(between.encode("utf-8", "surrogateescape"))
        counted = position
        try:
            value, end = DECODER.raw_decode(text, position)
            is_record = isinstance(value, Fields)
            if not is_record and text[end:end + 1] not in AFTER_VALUE:
                raise ValueError("only records may follow each other without anything between them")
            is_record &= ascii_only or is_utf8(text[position:end])
            position = end
            yield offset, value if is_record else None
        except (ValueError, RecursionError):
            yield offset, None
            resume = NEXT_RECORD.search(text, position)
            if resume is None:
                return
            position = resume.end()


def is_utf8(text):
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


MISFIT = object()


def stored(value, column_type):
    """A JSON value as the column stores it, or `MISFIT` where it cannot be stored without changing it."""
    if value is None:
        return None
    is_number = type(value) in (int, Decimal)
    if column_type in BITS:
        limit = 1 << (BITS[column_type] - 1)
        if not is_number or not -limit <= value < limit or value != int(value):
            return MISFIT
        return int(value)
    if column_type in ("DOUBLE", "FLOAT"):
        if not is_number:
            return MISFIT
        try:
            nearest = float(value)
        except OverflowError:
            return MISFIT
        changed = nearest in (float("inf"), float("-inf")) or (type(value) is int and int(nearest) != value)
        return MISFIT if changed else nearest
    if column_type == "BOOLEAN":
        return value if type(value) is bool else MISFIT
    return value if type(value) is str and is_utf8(value) else MISFIT


def row_of(record, columns):
    """The record as a row, or `None` when it cannot land."""
    if record is None:
        return None
    types = {name: column_type for name, column_type, _ in columns}
    row = {}
    for name, value in record:
        name = name.lower() if name.isascii() else name
        if name not in types:
            continue
        value = stored(value, types[name])
        if name in row or value is MISFIT:
            return None
        row[name] = value
    if any(row.get(name) is None and not nullable for name, _, nullable in columns):
        return None
    return row


def load_landing(connection, table, root):
    """Creates the landing table in DuckDB and returns how many records were rejected."""
    rejected = 0
    columns = table.columns + SOURCE_COLUMNS
    connection.execute(f'create table {table.name} ({", ".join(f"{quote(n)} {t}" for n, t, _ in columns)})')
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".ndjson") as rows:
        for path in landing_files(connection, root, table.definition["source"]["path"]):
            for offset, record in records(read_bytes(connection, root, path)):
                row = row_of(record, table.columns)
                if row is None:
                    rejected += 1
                    continue
                row |= {"source_file": path, "source_offset": offset}
                rows.write(json.dumps(row) + "\n")
        rows.flush()
        if rows.tell():
            types = ", ".join(f"{literal(n)}: {literal(t)}" for n, t, _ in columns)
            connection.execute(
                f"insert into {table.name} select * from read_json({literal(rows.name)},"
                f" format = 'newline_delimited', columns = {{{types}}}, maximum_object_size = 268435456)"
            )
    return rejected


def quote(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + str(text).replace("'", "''") + "'"


# --- Where files are -------------------------------------------------------------------------------------------------


def root_of(text):
    """A root as it stands on the command line: text where it is on S3, else a path."""
    return text.rstrip("/") if is_s3(text) else Path(text)


def is_s3(root):
    return str(root).startswith("s3://")


def join(root, path):
    return f"{root}/{path}" if is_s3(root) else Path(root, path)


def is_table(connection, folder):
    if is_s3(folder):
        return bool(connection.execute(f"select * from glob({literal(folder + '/_delta_log/*')}) limit 1").fetchall())
    return Path(folder, "_delta_log").is_dir()


def load_extension(connection, name):
    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    folders = list(package.submodule_search_locations or []) if package else []
    for folder in folders:
        for binary in Path(folder).glob(f"extensions/v{duckdb.__version__}/{name}.duckdb_extension"):
            connection.execute(f"load {literal(binary)}")
            return
    try:
        connection.execute(f"load {name}")
    except duckdb.Error:
        print(f"oracle: DuckDB's `{name}` extension is not installed; run scripts/test", file=sys.stderr)
        sys.exit(SKIP)


def connect_s3(connection):
    """Lets DuckDB read S3 with what the usual variables say; nothing of it is printed."""
    load_extension(connection, "httpfs")
    variables = {
        "KEY_ID": "AWS_ACCESS_KEY_ID",
        "SECRET": "AWS_SECRET_ACCESS_KEY",
        "SESSION_TOKEN": "AWS_SESSION_TOKEN",
        "REGION": "AWS_REGION",
    }
    parts = [f"{name} {literal(os.environ[key])}" for name, key in variables.items() if key in os.environ]
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        scheme, _, host = endpoint.rstrip("/").rpartition("://")
        parts += [f"ENDPOINT {literal(host)}", f"USE_SSL {str(scheme != 'http').lower()}", "URL_STYLE 'path'"]
    connection.execute(f"create secret (type s3, {', '.join(parts)})" if parts else "create secret (type s3)")


# --- Tables and their digests ----------------------------------------------------------------------------------------


def build_expected(connection, tables, landing, schema="expected"):
    """Computes every table into `schema`; returns rejected records by landing table."""
    connection.execute(f"create schema {schema}")
    connection.execute(f"set search_path = {literal(schema)}")
    rejected = {}
    for table in tables:
        if table.sql is None:
            rejected[table.name] = load_landing(connection, table, landing)
        else:
            where = " and ".join(f"({check})" for check in table.quarantined_unless()) or "true"
            query = table.sql.strip().rstrip(";")
            connection.execute(f"create table {table.name} as select * from (\n{query}\n) as q where {where}")
    return rejected


def build_lake(connection, tables, warehouse, schema="lake"):
    """Makes a view over each Delta table in `schema`; returns the names of those that exist."""
    load_extension(connection, "delta")
    connection.execute(f"create schema {schema}")
    present = set()
    for table in tables:
        folder = root_of(str(table.definition.get("location") or join(warehouse, f"{table.zone}/{table.name}")))
        if not is_table(connection, folder):
            continue
        scan = f"delta_scan({literal(folder if is_s3(folder) else folder.resolve())})"
        connection.execute(f"create table {schema}.{table.name} as select * from {scan}")
        present.add(table.name)
    return present


def describe(connection, schema, name):
    """Columns as (name, type), sorted by name: neither order nor nullability is part of a table's content."""
    rows = connection.execute(f"describe select * from {schema}.{name}").fetchall()
    return sorted((row[0], row[1]) for row in rows)


def row_text(columns):
    """An SQL expression that gives equal rows equal text and different rows different text."""
    parts = []
    for name, _ in columns:
        value = f"cast({quote(name)} as varchar)"
        parts.append(f"case when {quote(name)} is null then 'n' else length({value}) || ':' || {value} end")
    return " || ',' || ".join(parts) or "''"


def summarize(connection, schema, name):
    columns = describe(connection, schema, name)
    rows, low, high = connection.execute(
        f"select count(*), coalesce(sum(md5_number_lower(t)), 0), coalesce(sum(md5_number_upper(t)), 0)"
        f" from (select {row_text(columns)} as t from {schema}.{name})"
    ).fetchone()
    mask = (1 << 64) - 1
    digest = f"{int(high) & mask:016x}{int(low) & mask:016x}"
    return {"rows": rows, "digest": digest, "columns": [f"{n} {t}" for n, t in columns]}


def differing_rows(connection, name, limit=3):
    """Hashes of rows that do not occur equally often on both sides: (hash, times expected, times found)."""
    text = row_text(describe(connection, "expected", name))
    return connection.execute(
        f"select h, sum(e), sum(l) from ("
        f" select md5({text}) as h, 1 as e, 0 as l from expected.{name} union all"
        f" select md5({text}) as h, 0 as e, 1 as l from lake.{name}"
        f") group by h having sum(e) <> sum(l) order by h limit {limit}"
    ).fetchall()


# --- Commands --------------------------------------------------------------------------------------------------------


def expect(arguments, connection, tables):
    rejected = build_expected(connection, tables, arguments.landing)
    result = {}
    for table in tables:
        result[table.name] = summarize(connection, "expected", table.name)
        if table.name in rejected:
            result[table.name]["rejected"] = rejected[table.name]
    return result


def lake(arguments, connection, tables):
    present = build_lake(connection, tables, arguments.warehouse)
    return {t.name: summarize(connection, "lake", t.name) if t.name in present else None for t in tables}


def compare(arguments, connection, tables):
    expected = expect(arguments, connection, tables)
    found = lake(arguments, connection, tables)
    result, equal = {}, True
    for table in tables:
        name, want, have = table.name, expected[table.name], found[table.name]
        keys = ("rows", "digest", "columns")
        same = have is not None and all(want[k] == have[k] for k in keys)
        equal &= same
        result[name] = {"equal": same, "expected": want, "lake": have}
        verdict = "equal" if same else "missing" if have is None else "different"
        rows = f"{have['rows']:>12,}" if have else f"{'-':>12}"
        print(f"{name:<28} {verdict:<10} expected {want['rows']:>12,} rows, lake {rows}")
        if same or have is None:
            continue
        if want["columns"] != have["columns"]:
            print(f"    expected columns {', '.join(want['columns'])}")
            print(f"    lake's columns   {', '.join(have['columns'])}")
        else:
            for digest, times_expected, times_found in differing_rows(connection, name):
                print(f"    row {digest}: expected {times_expected} times, found {times_found}")
    return result, equal


def main():
    parser = argparse.ArgumentParser(description="The second opinion on a project's tables.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, needs in (("expect", ["landing"]), ("lake", ["warehouse"]), ("compare", ["landing", "warehouse"])):
        command = commands.add_parser(name)
        for need in needs:
            command.add_argument(f"--{need}", required=True, type=root_of)
        command.add_argument("--tables", required=True, type=Path, help="the project's tables/ folder")
        command.add_argument("--out", type=Path, help="where to write the result as JSON")
    arguments = parser.parse_args()
    connection = duckdb.connect(config={"threads": 2})
    equal = True
    try:
        tables = load_tables(arguments.tables)
        roots = [root for name in ("landing", "warehouse") if (root := getattr(arguments, name, None))]
        if any(map(is_s3, roots)):
            connect_s3(connection)
        for root in roots:
            if not is_s3(root) and not root.is_dir():
                raise Unusable(f"{root}: no such folder")
        if arguments.command == "compare":
            result, equal = compare(arguments, connection, tables)
        else:
            result = {"expect": expect, "lake": lake}[arguments.command](arguments, connection, tables)
    except (Unusable, OSError, tomllib.TOMLDecodeError, duckdb.Error) as error:
        print(f"oracle: {error}", file=sys.stderr)
        return 2
    text = json.dumps({"tables": result}, indent=2) + "\n"
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    elif arguments.command != "compare":
        print(text, end="")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
