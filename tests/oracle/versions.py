#!/usr/bin/env python3
"""The second opinion on the history of a lake: what each version of its tables held, without a line of stedi-delta.

Reads the JSON files of each table's log by itself, which no Delta reader does for it, and the data files that a version
lists with DuckDB. From standard input it takes one JSON document, and writes one to standard output:

    {"tables": {"cheap": {"folder": "...", "sql": "...", "key": ["id"], "subject": "user", "names": "email"}},
     "grants": {"table": "customer_landing", "subjects": [...], "granted": "...", "latest": [...]},
     "renames": [["table", "old", "new"]],
     "questions": [{"ask": "rows", "table": "cheap", "version": 3}, ...]}

    [answer, ...]      in the order of the questions

`sql`, `key`, `subject` and `names` are there if the definition has them. Every commit must still be in the log. A version
is `gone` if one of its data files is. Exit code 77: DuckDB is not installed.
"""

import json
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote

try:
    import duckdb
except ImportError:
    print("oracle: the Python package `duckdb` is not installed; run scripts/test", file=sys.stderr)
    sys.exit(77)

HEAD, DEFINITION, SOURCE = "stedi-delta/head", "stedi-delta/definition", "stedi-delta/source/"


def quote(name):
    return '"' + name.replace('"', '""') + '"'


class Version:
    """One version of a table, as the commits up to it leave it."""

    def __init__(self, number, before, actions):
        self.number = number
        self.files = set(before.files) if before else set()
        self.columns = before.columns if before else []
        self.txns = dict(before.txns) if before else {}
        self.table_id = before.table_id if before else None
        self.info, own = {}, {}
        self.added, self.removed = 0, 0
        for action in actions:
            if "add" in action:
                self.files.add(unquote(action["add"]["path"]))
                self.added += 1
            elif "remove" in action:
                self.files.discard(unquote(action["remove"]["path"]))
                self.removed += 1
            elif "metaData" in action:
                self.table_id = action["metaData"]["id"]
                self.columns = [f["name"] for f in json.loads(action["metaData"]["schemaString"])["fields"]]
            elif "txn" in action:
                own[action["txn"]["appId"]] = action["txn"]["version"]
            elif "commitInfo" in action:
                self.info = action["commitInfo"]
        self.txns |= own
        self.ours = own.get(HEAD) == number
        time = self.info.get("inCommitTimestamp", self.info.get("timestamp"))
        self.ms = max(time, before.ms + 1) if before else time


class Table:
    """All versions of a table, and its data files as one table of DuckDB."""

    def __init__(self, connection, name, about):
        self.connection, self.name, self.about = connection, name, about
        self.folder = Path(about["folder"])
        self.versions = []
        for file in sorted(self.folder.glob("_delta_log/*.json")):
            if not re.fullmatch(r"\d{20}", file.stem):
                continue
            before = self.versions[-1] if self.versions else None
            actions = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
            assert int(file.stem) == len(self.versions), f"{name}: the log has gaps"
            self.versions.append(Version(len(self.versions), before, actions))
        listed = set().union(*(version.files for version in self.versions))
        self.there = {file for file in listed if Path(self.folder, file).exists()}
        self.data = f"data_{name}"
        paths = [str(Path(self.folder, file)) for file in sorted(self.there)]
        files = "read_parquet(?, union_by_name = true, filename = true)" if paths else "(select null as filename where ?)"
        connection.execute(f"create table {self.data} as select * from {files}", [paths or False])
        known = {row[0] for row in connection.execute(f"describe {self.data}").fetchall()}
        # A column that no file has is NULL.
        for column in {column for version in self.versions for column in version.columns} - known:
            connection.execute(f"alter table {self.data} add column {quote(column)} varchar")

    def is_gone(self, version):
        return not self.versions[version].files <= self.there

    def select(self, version, columns=None):
        """The rows of a version as SQL; columns are those of the version, or expressions over them."""
        at = self.versions[version]
        columns = ", ".join(columns or [quote(column) for column in at.columns])
        files = ", ".join("'" + str(Path(self.folder, file)).replace("'", "''") + "'" for file in sorted(at.files))
        where = f"filename in ({files})" if files else "false"
        return f"(select {columns} from {self.data} where {where})"

    def rows(self, version):
        return self.connection.execute(f"select * from {self.select(version)} as t").fetchall()


class Lake:
    """Tables by name."""

    def __init__(self, document):
        self.connection = duckdb.connect(config={"threads": 2})
        self.tables = {n: Table(self.connection, n, about) for n, about in document["tables"].items()}
        self.grants = document["grants"]
        self.renames = document["renames"]
        self.differences = {}
        self.ids = {table.versions[0].table_id: name for name, table in self.tables.items()}

    def value(self, sql):
        return self.connection.execute(sql).fetchone()

    # --- What the log says ---

    def sources(self, table, version):
        """Table -> the version of it that a version records."""
        txns = self.tables[table].versions[version].txns
        return {self.ids[i.removeprefix(SOURCE)]: v for i, v in txns.items() if i.startswith(SOURCE)}

    def read_by(self, table):
        """The tables that a query reads."""
        text = re.sub(r"--[^\n]*|/\*.*?\*/", " ", self.tables[table].about.get("sql", ""), flags=re.S).lower()
        return {n for n in re.findall(r"(?:\bfrom|\bjoin|,)\s+(\w+)", text) if n in self.tables and n != table}

    def history(self, table):
        found = []
        for at in self.tables[table].versions:
            time = datetime.fromtimestamp(at.ms // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
            derived = at.ours and "sql" in self.tables[table].about
            entry = {
                "version": at.number,
                "committed_at": f"{time}.{at.ms % 1000:03}Z",
                "operation": at.info.get("operation"),
                "files_added": at.added,
                "files_removed": at.removed,
                "sources": self.sources(table, at.number) if derived else {},
                "came": None,
                "went": None,
            }
            if at.number == 0 and not self.is_gone(table, 0):
                rows = self.value(f"select count(*) from {self.tables[table].select(0)} as t")[0]
                entry |= {"came": rows, "went": 0}
            elif at.number and not self.is_gone(table, at.number, at.number - 1):
                went, came = self.difference(table, at.number - 1, at.number)
                entry |= {"came": sum(came.values()), "went": sum(went.values())}
            found.append(entry)
        return found

    def is_gone(self, table, *versions):
        return any(self.tables[table].is_gone(version) for version in versions)

    def at(self, table, ms):
        """The newest version of a time."""
        return max((v.number for v in self.tables[table].versions if v.ms <= ms), default=None)

    def lineage(self, table, version):
        """Edges as `a@v1 > b@v2`, with `~` where only consent is read, and records by landing file."""
        edges, files, pending, seen = set(), {}, [(table, version)], set()
        while pending:
            name, at = pending.pop()
            if (name, at) in seen:
                continue
            seen.add((name, at))
            if "sql" not in self.tables[name].about:
                counted = f"select source_file, count(*) from {self.tables[name].select(at)} as t group by 1"
                files[f"{name}@v{at}"] = dict(self.connection.execute(counted).fetchall())
                continue
            for source, read in self.sources(name, at).items():
                arrow = ">" if source in self.read_by(name) else "~"
                edges.add(f"{source}@v{read} {arrow} {name}@v{at}")
                pending.append((source, read))
        return {"edges": sorted(edges), "files": files}

    # --- Rows ---

    def rows(self, table, version):
        if self.is_gone(table, version):
            return "gone"
        columns = self.tables[table].versions[version].columns
        return [dict(zip(columns, row)) for row in self.tables[table].rows(version)]

    def query(self, sql, at):
        """The rows of a query over versions of tables."""
        if any(self.is_gone(table, version) for table, version in at.items()):
            return "gone"
        with Views(self, at):
            cursor = self.connection.execute(sql)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    def canonical(self, table, version):
        """Columns of a version -> their names today."""
        today = {old: new for name, old, new in self.renames if name == table}
        return {column: today.get(column, column) for column in self.tables[table].versions[version].columns}

    def columns(self, table, *versions):
        """The columns of versions by their names today."""
        names = [self.canonical(table, version).values() for version in versions if version is not None]
        return list(dict.fromkeys(name for of in names for name in of))

    def counted(self, sql):
        """Row -> how often it is there."""
        counted = {}
        for row in self.connection.execute(sql).fetchall():
            counted[row] = counted.get(row, 0) + 1
        return counted

    def difference(self, table, old, new):
        """Rows that only the one version has, and rows that only the other has, with how often. NULL in a column that a
        version lacks."""
        if (table, old, new) in self.differences:
            return self.differences[table, old, new]
        columns, sides = self.columns(table, old, new), []
        for version in (old, new):
            back = {today: column for column, today in self.canonical(table, version).items()}
            sides.append(self.tables[table].select(version, [quote(back[c]) if c in back else "null" for c in columns]))
        found = [self.counted(f"select * from {a} except all select * from {b}") for a, b in (sides, sides[::-1])]
        self.differences[table, old, new] = found
        return found

    def diff(self, table, old, new):
        """One object per line of `diff --format ndjson`."""
        if self.is_gone(table, old, new):
            return "gone"
        columns = self.columns(table, old, new)
        key = self.tables[table].about.get("key", [])
        went, came = self.difference(table, old, new)
        today = [{t: column for column, t in self.canonical(table, version).items()} for version in (old, new)]

        def part(row, side):
            values = dict(zip(columns, row))
            return {today[side][c]: values[c] for c in columns if c in today[side] and c not in key}

        def key_of(row):
            return tuple(row[columns.index(column)] for column in key)

        by_key = {}
        for side, rows in enumerate((went, came)):
            for row, times in rows.items():
                by_key.setdefault(key_of(row) if key else (side, row), ([], []))[side].extend([row] * times)
        lines = []
        for value, (gone, there) in by_key.items():
            head = {"key": dict(zip(key, value))} if key else {}
            if len(gone) == 1 and len(there) == 1:
                lines.append(head | {"op": "update", "before": part(gone[0], 0), "after": part(there[0], 1)})
                continue
            lines += [head | {"op": "delete", "before": part(row, 0), "after": None} for row in gone]
            lines += [head | {"op": "insert", "before": None, "after": part(row, 1)} for row in there]
        return lines

    def counts(self, table, old, new):
        """How many lines of each kind a difference has."""
        lines = self.diff(table, old, new)
        if lines == "gone":
            return lines
        return {op: sum(line["op"] == op for line in lines) for op in ("insert", "update", "delete")}

    # --- Audits ---

    def consenting(self, version, names):
        """The values of a subject whose person has consented, by a version of the record of consent; as SQL."""
        grants = self.grants
        record = self.tables[grants["table"]].select(version)
        person = grants["subjects"][0]
        latest = ", ".join(f"{column} desc nulls last" for column in grants["latest"])
        refuses = f"case when {grants['granted']} then 1 else 0 end"
        current = (
            f"(select * from (select *, row_number() over (partition by {person} order by {latest}, {refuses},"
            f" source_file, source_offset) as nth from {record} as r) where nth = 1)"
        )
        return f"(select {names} as who from {current} as c group by 1 having count(*) = 1 and bool_and({grants['granted']}))"

    def consent(self, table):
        found = []
        about, grants = self.tables[table].about, self.grants["table"]
        subject = about["subject"]
        for at in self.tables[table].versions:
            cut = self.sources(table, at.number).get(grants)
            entry = {"version": at.number, "grants_version": cut, "verdict": "unknown"}
            entry |= dict.fromkeys(("rows", "subjects", "violations", "violating_subjects"))
            found.append(entry)
            if self.is_gone(table, at.number) or cut is None or self.is_gone(grants, cut):
                continue
            rows = self.tables[table].select(at.number)
            entry["rows"], entry["subjects"] = self.value(f"select count(*), count(distinct {subject}) from {rows} as t")
            bad, people = self.value(
                f"select count(*), count(distinct coalesce({subject}, '')) from {rows} as t where {subject} is null"
                f" or {subject} not in (select who from {self.consenting(cut, about['names'])} as p where who is not null)"
            )
            verdict = "violated" if bad else "holds"
            entry |= {"violations": bad, "violating_subjects": people, "verdict": verdict}
        return found

    def membership(self, table, column, value):
        """Versions in which the rows of a subject changed, newest first."""
        found, rows = [], 0
        for at in self.tables[table].versions:
            if self.is_gone(table, at.number):
                return "gone"
            before = at.number - 1 if at.number else None
            columns = self.columns(table, at.number, before)
            if before is None:
                went, came = {}, self.counted(f"select * from {self.tables[table].select(0)} as t")
            else:
                went, came = self.difference(table, before, at.number)
            place = columns.index(column)
            deleted, inserted = (sum(n for row, n in of.items() if row[place] == value) for of in (went, came))
            rows += inserted - deleted
            if inserted or deleted:
                entry = {"version": at.number, "rows_inserted": inserted, "rows_deleted": deleted, "rows": rows}
                found.insert(0, entry)
        return found

    def verify(self, table, version):
        """A version against the query over the versions that it records."""
        of, about = self.tables[table], self.tables[table].about
        sources = self.sources(table, version)
        unknown = {"verdict": "unknown", "missing": None, "extra": None}
        if of.versions[version].txns.get(DEFINITION) != of.versions[-1].txns.get(DEFINITION):
            return unknown
        if self.is_gone(table, version) or any(self.is_gone(name, at) for name, at in sources.items()):
            return unknown
        stored = of.select(version)
        with Views(self, sources):
            computed = f"({about['sql'].strip().rstrip(';')})"
            self.connection.execute(f"create or replace temp table computed as select * from {computed} as q")
        columns = ", ".join(quote(column) for column in of.versions[version].columns)
        stored, computed = f"(select {columns} from {stored} as s)", f"(select {columns} from computed)"
        missing, extra = (
            self.value(f"select count(*) from (select * from {a} except all select * from {b})")[0]
            for a, b in ((computed, stored), (stored, computed))
        )
        return {"verdict": "different" if missing or extra else "equal", "missing": missing, "extra": extra}


class Views:
    """Versions of tables under the names of the tables, while a query runs."""

    def __init__(self, lake, at):
        self.lake, self.at = lake, at

    def __enter__(self):
        for name, version in self.at.items():
            select = self.lake.tables[name].select(version)
            self.lake.connection.execute(f"create view {name} as select * from {select} as t")

    def __exit__(self, *_):
        for name in self.at:
            self.lake.connection.execute(f"drop view {name}")


def main():
    document = json.load(sys.stdin)
    lake = Lake(document)
    answers = []
    for question in document["questions"]:
        arguments = {key: value for key, value in question.items() if key != "ask"}
        answers.append(getattr(lake, question["ask"])(**arguments))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
