"""A pinned version and Spark's VACUUM: with the default retention it stays whole, with none it is reported as gone."""

import json
from pathlib import Path
from urllib.parse import unquote, urlparse

NAME = "spark_pin"
CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"


def run(lake):
    """Pins the oldest version of the training table, whose files were replaced since, and lets Spark vacuum the table."""
    table = lake.by_name["machine_learning_curated"]
    expected = lake.rows(table, 0)
    lake.tool.run("pin", f"{table.name}@v0", "--name", NAME, "--catalog")
    files = listed(lake)
    lake.equal(f"{NAME}: Spark reads the files of the manifest", "v0", expected, "files", lake.rows_of_files(table, files))
    lake.spark.sql(f"vacuum {table.delta()}")
    lake.equal(f"{NAME}: VACUUM with the default retention leaves it whole", "expected", 0, "gone", gone(lake, 0))
    lake.equal(f"{NAME}: as before", "v0", expected, "files", lake.rows_of_files(table, files))
    lake.spark.conf.set(CHECK, "false")
    lake.spark.sql(f"vacuum {table.delta()} retain 0 hours")
    lake.spark.conf.unset(CHECK)
    left = sum(Path(file).exists() for file in files)
    lake.holds(f"{NAME}: VACUUM without retention removes files", None if left < len(files) else "every file is there")
    lake.equal(f"{NAME}: `pins` says so", "gone from the folder", len(files) - left, "reported", gone(lake, 3))
    lake.tool.run("unpin", NAME)
    lake.derived_are_right("after VACUUM")


def listed(lake):
    """The data files that the manifest lists, as paths."""
    manifest = Path(lake.tool.warehouse, "_pins", NAME, "manifest")
    return [unquote(urlparse(line).path) for line in manifest.read_text(encoding="utf-8").splitlines()]


def gone(lake, code):
    """How many files of the pin `pins` says are gone; it exits with this code."""
    pins = json.loads(lake.tool.run("pins", "--format", "json", codes=(code,)))["pins"]
    return next(pin["files_gone"] for pin in pins if pin["name"] == NAME)
