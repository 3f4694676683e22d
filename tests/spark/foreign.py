"""What somebody else may do to the tables, done by Spark, and what the next sync must make of it."""

import json
import os
import time
from pathlib import Path

SECONDS_AGO = 60


def withdraw(tool):
    """Somebody with rows in every derived table withdraws: a newer record without a date of consent."""
    columns = "c.email as email, c.serialnumber as serial, max(c.lastupdatedate) as at"
    joined = "customers_curated c join machine_learning_curated m on m.serialnumber = c.serialnumber"
    query = f"select {columns} from {joined} group by c.email, c.serialnumber order by c.email limit 1"
    person = json.loads(tool.run("query", query, "--format", "ndjson"))
    record = {"email": person["email"], "serialNumber": person["serial"], "lastUpdateDate": 2_000_000_000_000}
    file = Path(tool.landing, "customer", "landing", "withdrawal.json")
    file.write_text(json.dumps(record) + "\n", encoding="utf-8")
    # A file of the last two seconds would be waited for.
    long_ago = time.time() - SECONDS_AGO
    os.utime(file, (long_ago, long_ago))


def append(lake):
    """Rows appended to a landing table are a change like any other."""
    landing, trusted = lake.by_name["accelerometer_landing"], lake.by_name["accelerometer_trusted"]
    curated = lake.by_name["machine_learning_curated"]
    coming = new_readings(lake)
    schema = lake.frame(landing).schema
    nameless = [(*coming[0][:5], None, None)]
    lake.holds("accelerometer_landing: Spark refuses a row without source_file", accepted(lake, nameless, schema))
    before = {table.name: lake.rows(table) for table in (landing, trusted, curated)}
    versions = {table.name: table.newest_version() for table in (landing, trusted, curated)}
    write(lake.spark.createDataFrame(coming, schema), landing)
    synced = lake.tool.sync()
    lake.equal(
        f"accelerometer_landing: Spark appended {len(coming)} rows as v{landing.newest_version()}",
        "rows expected", before[landing.name].total() + len(coming), "found", lake.rows(landing).total(),
    )
    lake.equal(
        "accelerometer_landing: the sync commits nothing to it",
        "expected", ("none", versions[landing.name] + 1), "reported", facts(synced, landing)[:2],
    )
    grown = {t.name: lake.rows(t).total() - before[t.name].total() for t in (trusted, curated)}
    for table in (trusted, curated):
        expected = ("incremental", versions[table.name] + 1, grown[table.name], 0, 0)
        what = f"{table.name}: refreshed incrementally, +{grown[table.name]} rows"
        lake.equal(what, "expected", expected, "reported", facts(synced, table))
    # Three of the rows are of somebody who has not consented.
    ours = sum(1 for row in coming if row[0] == coming[0][0])
    what = "accelerometer_trusted: only the rows of the customer who consents"
    lake.equal(what, "expected", ours, "found", grown[trusted.name])
    lake.holds(
        "machine_learning_curated: readings of the same moment are joined",
        None if grown[curated.name] > 0 else "no row came, although appended readings meet those of the step trainer",
    )
    lake.derived_are_right("after the append")
    full_refresh_changes_nothing(lake)


def full_refresh_changes_nothing(lake):
    before = {table.name: lake.rows(table) for table in lake.groups["derived"]}
    synced = lake.tool.sync("--full-refresh")
    for table in lake.groups["derived"]:
        mode, version, *changed = facts(synced, table)
        lake.equal(
            f"{table.name}: --full-refresh (v{version}) changes no row and no file",
            "expected", ("full", [0, 0, 0], 0, 0),
            "reported", (mode, changed, synced[table.name]["files_added"], synced[table.name]["files_removed"]),
        )
        lake.equal(f"{table.name}: as before", "before", before[table.name], "after", lake.rows(table))


def optimize(lake):
    """Files that were only rewritten are no change of a table or of what reads it."""
    for name in ("machine_learning_curated", "accelerometer_trusted"):
        table = lake.by_name[name]
        before = {t.name: lake.rows(t) for t in lake.groups["derived"]}
        files = lake.spark.sql(f"describe detail {table.delta()}").first()["numFiles"]
        version = table.newest_version()
        metrics = lake.spark.sql(f"optimize {table.delta()}").first()["metrics"]
        lake.equal(
            f"{name}: Spark's OPTIMIZE makes {metrics['numFilesAdded']} of {files} files, v{table.newest_version()}",
            "versions expected", version + 1, "found", table.newest_version(),
        )
        synced = lake.tool.sync()
        lake.equal(
            f"{name}: the next sync compares the files, and records that no row changed",
            "expected", ("incremental", version + 2, 0, 0, 0), "reported", facts(synced, table),
        )
        for other in lake.groups["derived"]:
            mode, at, *changed = facts(synced, other)
            how = f"{mode}, v{at}" + (f": {synced[other.name]['reason']}" if synced[other.name]["reason"] else "")
            lake.equal(f"{other.name}: no row changes ({how})", "expected", [0, 0, 0], "reported", changed)
            lake.equal(f"{other.name}: as before", "before", before[other.name], "after", lake.rows(other))
        nothing_to_do(lake, f"after OPTIMIZE of {name}")


def delete(lake):
    """Rows deleted from a landing table leave what was derived from them."""
    landing = lake.by_name["accelerometer_landing"]
    user = lake.frame(lake.by_name["accelerometer_trusted"]).selectExpr("min(user) as user").first()["user"]
    lake.spark.sql(f"delete from {landing.delta()} where user = '{user}'")
    synced = lake.tool.sync()
    gone = facts(synced, lake.by_name["accelerometer_trusted"])
    lake.holds(
        f"accelerometer_trusted: Spark deleted a person from accelerometer_landing, {gone[4]} rows go",
        None if gone[0] == "incremental" and gone[4] > 0 else f"reported: {gone}",
    )
    lake.derived_are_right("after the delete")


def touch_derived(lake):
    """A derived table that somebody else wrote to stops, and says how to put it right."""
    table = lake.by_name["machine_learning_curated"]
    write(lake.frame(table).limit(1), table)
    stopped = lake.tool.sync(codes=(1,))[table.name]["error"]
    said = f"{stopped['message']} -> {stopped['help']}"
    lake.holds(
        f"{table.name}: Spark wrote to it, and the sync stops: {said}",
        None if "--full-refresh" in stopped["help"] else "the help names no --full-refresh",
    )
    synced = lake.tool.sync("-s", table.name, "--full-refresh")
    what = f"{table.name}: --full-refresh takes the row out again"
    lake.equal(what, "expected", (0, 0, 1), "reported", facts(synced, table)[2:])
    lake.derived_are_right("after the repair")
    nothing_to_do(lake, "at the end")


def new_readings(lake):
    """Three readings at moments of the step trainer's, three at moments of their own, three of a stranger."""
    frames = {name: lake.frame(lake.by_name[name]) for name in ("customers_curated", "step_trainer_trusted")}
    for name, frame in frames.items():
        frame.createOrReplaceTempView(name)
    moments = lake.spark.sql(
        "select c.email, s.sensorreadingtime from customers_curated c"
        " join step_trainer_trusted s on s.serialnumber = c.serialnumber order by 1, 2 limit 3"
    ).collect()
    landing = lake.frame(lake.by_name["accelerometer_landing"])
    newest = landing.selectExpr("max(timestamp) as at").first()["at"]
    trusted = lake.frame(lake.by_name["customer_trusted"]).selectExpr("email as user")
    stranger = landing.select("user").where("user is not null").subtract(trusted).orderBy("user").first()["user"]
    email = moments[0]["email"]
    places = [(email, moment["sensorreadingtime"]) for moment in moments]
    places += [(person, newest + i) for person in (email, stranger) for i in (1, 2, 3)]
    return [(who, at, 0.5, -i / 8, float(i), "spark/append", i) for i, (who, at) in enumerate(places)]


def write(frame, table):
    frame.write.format("delta").mode("append").save(str(table.folder))


def accepted(lake, rows, schema):
    """How it went wrong that a NULL was let through; `None` when it was refused."""
    landing = lake.by_name["accelerometer_landing"]
    before = landing.newest_version()
    try:
        write(lake.spark.createDataFrame(rows, schema), landing)
    except Exception as refused:
        return None if "NOT NULL" in str(refused).upper() else f"refused, but not for the NULL: {refused}"
    return f"v{before + 1} was committed"


def facts(synced, table):
    report = synced[table.name]
    if report["error"]:
        raise RuntimeError(f"{table.name}: {report['error']}")
    rows = [report[key] for key in ("rows_inserted", "rows_updated", "rows_deleted")]
    return (report["mode"], report["version_after"], *rows)


def nothing_to_do(lake, when):
    before = {table.name: table.newest_version() for table in lake.all}
    lake.tool.sync()
    after = {table.name: table.newest_version() for table in lake.all}
    lake.equal(f"a second sync commits nothing {when}", "before", before, "after", after)
