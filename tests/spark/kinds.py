"""Every type that a column can have, in a small project of its own: read by Spark, and written by Spark.

Spark writes timestamps in an old 96-bit form unless told otherwise, and decimals in three forms by their precision;
an appended row must mean the same to our refresh as one of our own.
"""

import base64
import json
import os
import time
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

TYPES = {
    "id": "long", "name": "string", "i": "integer", "s": "short", "b": "byte", "f": "float", "d": "double",
    "yes": "boolean", "bytes": "binary", "day": "date", "moment": "timestamp",
    "small": "decimal(9,2)", "medium": "decimal(18,6)", "large": "decimal(38,10)",
}
KEPT = f"select {', '.join(TYPES)} from things where id >= 0"
PER_DAY = """\
select day, count(*) as n, max(moment) as newest, sum(small) as total, min(large) as least, max(f) as most
from things
group by day"""
DERIVED = {
    "kept": (KEPT, TYPES),
    "per_day": (PER_DAY, {
        "day": "date", "n": "long", "newest": "timestamp", "total": "decimal(19,2)", "least": "decimal(38,10)",
        "most": "float",
    }),
}
CHECKPOINT_INTERVAL = 20
TIMESTAMP_FORMS = ("INT96", "TIMESTAMP_MICROS", "TIMESTAMP_MILLIS")


def make(folder):
    """Writes the project and its landing file."""
    table(folder, "landing", "things", TYPES, '[source]\npath = "things/*.json"\nformat = "json"\n')
    for name, (sql, columns) in DERIVED.items():
        table(folder, "trusted", name, columns, "", 'refresh = "incremental"\n')
        Path(folder, "tables", "trusted", f"{name}.sql").write_text(sql + "\n", encoding="utf-8")
    settings = '\n[targets.dev]\nlanding = "landing"\nwarehouse = "warehouse"\n'
    text = f'name = "kinds"\nzones = ["landing", "trusted"]\ndefault_target = "dev"\n{settings}'
    Path(folder, "stedi-delta.toml").write_text(text, encoding="utf-8")
    landing = Path(folder, "landing", "things")
    landing.mkdir(parents=True)
    landing.joinpath("a.json").write_text("".join(json.dumps(r) + "\n" for r in records()), encoding="utf-8")


def table(folder, zone, name, columns, source, keys=""):
    declared = "".join(f'{column} = {{ type = "{kind}" }}\n' for column, kind in columns.items())
    file = Path(folder, "tables", zone, f"{name}.toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'description = "Of every type"\n{keys}{source}[columns]\n{declared}', encoding="utf-8")


def records():
    """The ends of every type, an ordinary value, NULL everywhere, and days before there was the Gregorian calendar."""
    def record(id, sign, day, moment, text):
        return {
            "id": id, "name": text, "i": sign * (2**31 - 1), "s": sign * (2**15 - 1), "b": sign * 127,
            "f": sign * 0.5, "d": sign * 1e308, "yes": sign > 0, "bytes": base64.b64encode(text.encode()).decode(),
            "day": day, "moment": moment, "small": sign * 9999999.25, "medium": sign * 0.5, "large": sign * 10**27,
        }
    return [
        record(0, 1, "9999-12-31", "9999-12-31T23:59:59.999Z", "größe 🐘"),
        record(1, -1, "1500-02-28", "1500-02-28T00:00:00Z", ""),
        record(2, -1, "1969-12-31", "1969-12-31T23:59:59.999Z", 'a "quoted"\nline'),
        record(3, 1, "2024-02-29", "2024-02-29T12:00:00+05:45", "\u0000"),
        {"id": 4},
        {"id": -1, "day": "2024-02-29"},
    ]


def rows(start):
    """Rows as Spark writes them, with what JSON cannot say: microseconds and NaN."""
    first = (
        start, "from Spark", -(2**31), -(2**15), -128, float("inf"), float("nan"), True, b"\x00\xff",
        date(2024, 2, 29), datetime(2024, 2, 29, 1, 2, 3, 456000), Decimal("-0.01"), Decimal("0.000001"),
        Decimal("9999999999999999999999999999.9999999999"),
    )
    second = (start + 1, *[None] * 8, date(1600, 1, 1), datetime(1960, 1, 1, 0, 0, 0, 1000), *[None] * 3)
    return [(*row, "spark/append", i) for i, row in enumerate((first, second))]


def run(lake):
    """Reads; appends in every form of a timestamp; deletes: after each, both derived tables are right."""
    things = lake.by_name["things"]
    schema = lake.frame(things).schema
    for number, form in enumerate(TIMESTAMP_FORMS):
        lake.spark.conf.set("spark.sql.parquet.outputTimestampType", form)
        frame = lake.spark.createDataFrame(rows(100 * (number + 1)), schema)
        frame.write.format("delta").mode("append").save(str(things.folder))
        incremental(lake, f"after an append with {form}")
    lake.spark.conf.unset("spark.sql.parquet.outputTimestampType")
    # JSON has no NaN: without those rows the tool's own answers can be compared again.
    lake.spark.sql(f"delete from {things.delta()} where id in (1, 201) or isnan(d)")
    incremental(lake, "after a delete")
    # The next delete rewrites a data file of Spark's in a table of ours.
    for name in DERIVED:
        lake.spark.sql(f"optimize {lake.by_name[name].delta()}")
    lake.spark.sql(f"delete from {things.delta()} where id = 2")
    incremental(lake, "after OPTIMIZE and a delete")


def incremental(lake, after):
    synced = lake.tool.sync()
    modes = {name: synced[name]["mode"] for name in DERIVED}
    lake.equal(f"refreshed {after}", "expected", dict.fromkeys(DERIVED, "incremental"), "reported", modes)
    lake.derived_are_right(after)


def checkpoints(lake):
    """So many versions that both engines write checkpoints, each of what the other one reads."""
    things = lake.by_name["things"]
    landing = Path(lake.tool.landing, "things")
    while things.newest_version() < CHECKPOINT_INTERVAL:
        number = things.newest_version()
        file = landing / f"b{number}.json"
        file.write_text(json.dumps({"id": 1000 + number, "day": "2024-03-01"}) + "\n", encoding="utf-8")
        # A file of the last two seconds would be waited for.
        os.utime(file, (time.time() - 60,) * 2)
        lake.tool.sync()
    written = [name for name in ("things", *DERIVED) if last_checkpoint(lake, name)]
    lake.equal("checkpoints of ours", "expected", ["things", *DERIVED], "written", written)
    ours = last_checkpoint(lake, "things")
    schema = lake.frame(things).schema
    while things.newest_version() < 2 * CHECKPOINT_INTERVAL:
        row = (2000 + things.newest_version(), *[None] * 8, date(2024, 3, 2), *[None] * 4, "spark/append", 0)
        frame = lake.spark.createDataFrame([row], schema)
        frame.write.format("delta").mode("append").save(str(things.folder))
    theirs = last_checkpoint(lake, "things")
    lake.holds(f"things: a checkpoint of Spark's at v{theirs}", None if theirs > ours else "Spark wrote none")
    incremental(lake, f"after {CHECKPOINT_INTERVAL} appends and a checkpoint")


def last_checkpoint(lake, name):
    """Its version; 0 where there is none."""
    pointer = Path(lake.by_name[name].folder, "_delta_log", "_last_checkpoint")
    return json.loads(pointer.read_text(encoding="utf-8"))["version"] if pointer.exists() else 0
