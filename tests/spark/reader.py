#!/usr/bin/env python3
"""Spark as a second reader of every table, and as a foreign writer. `scripts/spark` runs it; docs/engines.md tells it.

    reader.py --binary target/release/stedi-delta --jars target/spark-jars

Works in a temporary folder: syncs the project twice, so that tables have an older version; reads every table with
Spark at both and compares columns and rows with what the tool itself says; lets Spark run the project's queries over
the landing tables and compares the derived ones; nets their change feed; then appends, deletes and optimizes as a
foreign writer does, and looks at what the next sync makes of it; vacuums a table of which a version is pinned; and looks
at the row groups that it need not read. One line per check. Exit code 1 at the first table that differs: what it held
is printed, so point this at invented people only.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

# Collected timestamps are local times.
os.environ["TZ"] = "UTC"
time.tzset()

from pyspark.sql import SparkSession

import foreign
import kinds
import pins
import skipping
from lake import Tool, tables
from rows import difference, from_ndjson, from_spark


class Different(Exception):
    """A table is not what it should be; the message says which and how."""


class Lake:
    """The warehouse, as both engines see it, and the tally of what was checked."""

    def __init__(self, spark, tool):
        self.spark = spark
        self.tool = tool
        self.checks = 0
        self.groups = tables(tool.project, tool.warehouse)
        self.all = [table for group in self.groups.values() for table in group]
        self.by_name = {table.name: table for table in self.all}

    def holds(self, what, wrong=None):
        """One line for a check that holds; `wrong` = how it does not."""
        if wrong:
            raise Different(f"{what}\n{wrong}")
        self.checks += 1
        print(f"ok  {what}", flush=True)

    def equal(self, what, left_name, left, right_name, right):
        """Compares two values, or two multisets of rows."""
        if isinstance(left, Counter):
            return self.holds(what, difference(left_name, left, right_name, right))
        return self.holds(what, None if left == right else f"{left_name}: {left}\n{right_name}: {right}")

    def frame(self, table, version=None):
        """A table by its path, as Spark reads it."""
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(str(table.folder))

    def rows(self, table, version=None):
        return collected(self.frame(table, version))

    def rows_of_files(self, table, files):
        """The rows of data files, as Spark reads Parquet that it knows nothing else of."""
        names = [name for name, _ in table.columns]
        return collected(self.spark.read.parquet(*files).select(*names))

    def recomputed(self):
        """The derived tables as Spark's own run of the project's queries gives them, by name."""
        for table in self.groups["landing"]:
            self.frame(table).createOrReplaceTempView(table.name)
        waiting = {table.name: table for table in self.groups["derived"]}
        frames = {}
        while waiting:
            ready = [t for t in waiting.values() if not any(name in t.sql for name in waiting if name != t.name)]
            for table in ready:
                frames[table.name] = self.spark.sql(table.sql)
                frames[table.name].createOrReplaceTempView(table.name)
                del waiting[table.name]
        return {name: collected(frame) for name, frame in frames.items()}

    def derived_are_right(self, after):
        """Every derived table holds what Spark computes from the landing tables."""
        for name, expected in self.recomputed().items():
            found = self.rows(self.by_name[name])
            what = f"{name}: Spark runs its query {after}, {found.total():,} rows"
            self.equal(what, "Spark's result", expected, "the table", found)


def collected(frame):
    return from_spark(frame.collect(), frame.schema.fields)


def session(jars, folder):
    """One small local session. Delta comes from jars on disk: nothing is downloaded here."""
    settings = {
        "spark.jars": ",".join(str(jar) for jar in sorted(jars.glob("*.jar"))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.warehouse.dir": str(Path(folder, "spark-warehouse")),
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}",
    }
    # Ahead of the machine's own name and of /tmp.
    os.environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(Path(folder, "spark-local"))}
    builder = SparkSession.builder.appName("stedi-delta-reader").master("local[2]")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def two_syncs(tool):
    """Half of the sample, then the rest with a withdrawal: every table has an older version."""
    sample = Path(tool.project, "sample", "landing")
    late = [file for folder in sample.glob("*/landing") for file in sorted(folder.iterdir())[1::2]]
    tool.land(sample, [file for file in sample.rglob("*") if file.is_file() and file not in late])
    tool.sync()
    tool.land(sample, late)
    foreign.withdraw(tool)
    tool.sync()


def reads(lake):
    """Every table by path: columns, and rows at the newest and at the oldest version."""
    for table in lake.all:
        found = [(f.name, f.dataType.simpleString()) for f in lake.frame(table).schema.fields]
        lake.equal(f"{table.name}: {len(found)} columns", "defined", table.columns, "Spark", found)
        for version in sorted({table.newest_version(), 0}, reverse=True):
            same_rows(lake, table, version)


def same_rows(lake, table, version):
    frame = lake.frame(table, version)
    ours = from_ndjson(lake.tool.rows(table, version), frame.schema.fields)
    theirs = collected(frame)
    lake.equal(f"{table.name}@v{version}: {theirs.total():,} rows", "stedi-delta", ours, "Spark", theirs)


def feeds(lake):
    """The change feed of a derived table nets to the difference of its versions."""
    for table in lake.groups["derived"]:
        newest = table.newest_version()
        frame = lake.spark.read.format("delta").option("readChangeFeed", "true")
        frame = frame.option("startingVersion", 1).option("endingVersion", newest).load(str(table.folder))
        names = [name for name, _ in table.columns]
        parts = {
            kind: collected(frame.where(frame["_change_type"].isin(*types)).select(*names))
            for kind, types in (("come", ["insert", "update_postimage"]), ("go", ["delete", "update_preimage"]))
        }
        rebuilt = lake.rows(table, 0) + parts["come"]
        rebuilt.subtract(parts["go"])
        negative = [row for row, times in rebuilt.items() if times < 0]
        lake.holds(
            f"{table.name}: change feed v1..v{newest}, {parts['come'].total():,} come, {parts['go'].total():,} go",
            f"{len(negative)} rows go that were not there, {negative[0]}" if negative else
            difference("v0 and its feed", +rebuilt, f"v{newest}", lake.rows(table, newest)),
        )


def protocols(lake, when):
    """Reader version 1 everywhere; writer version 4 only where the change feed is on."""
    found = {}
    for table in lake.all:
        detail = lake.spark.sql(f"describe detail {table.delta()}").first()
        found[table.name] = (detail["minReaderVersion"], detail["minWriterVersion"])
    expected = {table.name: (1, 4 if table.kind in ("landing", "derived") else 2) for table in lake.all}
    lake.equal(f"protocol 1/2, landing and derived tables 1/4 {when}", "expected", expected, "found", found)


def every_type(spark, binary, folder):
    """The project of `kinds.py`, read and written; returns the number of checks."""
    kinds.make(folder)
    tool = Tool(binary, folder, folder)
    tool.sync()
    lake = Lake(spark, tool)
    # Nothing of it is in quarantine: every value of every type lands.
    lake.groups["quarantine"].clear()
    lake.all = [table for group in lake.groups.values() for table in group]
    reads(lake)
    lake.derived_are_right("over every type")
    kinds.run(lake)
    kinds.checkpoints(lake)
    reads(lake)
    protocols(lake, "in the project of every type")
    return lake.checks


def row_groups(spark, binary, folder):
    """The project of `skipping.py`; returns the number of checks."""
    skipping.make(folder)
    tool = Tool(binary, folder, folder)
    tool.sync()
    lake = Lake(spark, tool)
    skipping.run(lake)
    return lake.checks


def main():
    parser = argparse.ArgumentParser(description="Reads and writes the tables with Spark.")
    parser.add_argument("--binary", required=True, type=Path, help="the program, built")
    parser.add_argument("--jars", required=True, type=Path, help="folder with Delta's jars")
    parser.add_argument("--keep", type=Path, help="work in this empty folder and leave it there")
    arguments = parser.parse_args()
    project = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory(prefix="stedi-spark-") as temporary:
        folder = (arguments.keep or Path(temporary)).resolve()
        tool = Tool(arguments.binary.resolve(), project, folder)
        started = time.monotonic()
        spark = session(arguments.jars.resolve(), temporary)
        try:
            two_syncs(tool)
            lake = Lake(spark, tool)
            reads(lake)
            protocols(lake, "after two syncs")
            lake.derived_are_right("over the landing tables")
            feeds(lake)
            foreign.append(lake)
            foreign.optimize(lake)
            foreign.delete(lake)
            foreign.touch_derived(lake)
            pins.run(lake)
            protocols(lake, "after Spark wrote")
            checks = lake.checks + every_type(spark, tool.binary, Path(folder, "kinds"))
            checks += row_groups(spark, tool.binary, Path(folder, "skipping"))
        except (Different, RuntimeError, ValueError) as error:
            print(f"DIFFERENT  {error}", file=sys.stderr)
            return 1
        finally:
            spark.stop()
    print(f"Spark {spark.version} agrees: {checks} checks in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
