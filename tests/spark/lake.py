"""The project and its tool, as the Spark reader sees them: definitions, landing files, a child process."""

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

# Definitions may use Hive's names.
SPARK_TYPES = {
    "string": "string",
    "long": "bigint", "bigint": "bigint",
    "integer": "int", "int": "int",
    "short": "smallint", "smallint": "smallint",
    "byte": "tinyint", "tinyint": "tinyint",
    "float": "float",
    "double": "double",
    "boolean": "boolean",
    "binary": "binary",
    "date": "date",
    "timestamp": "timestamp",
}
SOURCE = [("source_file", "string"), ("source_offset", "bigint")]
# docs/state.md says what these hold.
QUARANTINE = [*SOURCE, ("length", "bigint"), ("reason", "string"), ("raw", "binary")]
SYSTEM = {
    "files": [
        ("landing_table", "string"), ("table_uuid", "string"), ("batch", "bigint"), ("path", "string"),
        ("size", "bigint"), ("etag", "string"), ("modified_ms", "bigint"), ("content_hash", "string"),
        ("records", "bigint"), ("landed", "bigint"), ("quarantined", "bigint"), ("actions", "string"),
    ],
    "runs": [
        ("run", "string"), ("started_at", "timestamp"), ("ended_at", "timestamp"), ("status", "string"),
        ("versions", "string"), ("ids", "string"), ("digests", "string"),
    ],
}


class Table:
    """One Delta table of the warehouse: what `stedi-delta query` calls it, where it lives, what its columns are."""

    def __init__(self, name, kind, folder, columns, sql=None):
        self.name = name
        self.kind = kind
        self.folder = folder
        self.columns = columns
        self.sql = sql

    def newest_version(self):
        """From the log's file names, so that neither engine is asked."""
        return max(int(f.stem) for f in Path(self.folder, "_delta_log").glob("*.json") if f.stem.isdigit())

    def delta(self):
        """The table in Spark SQL."""
        return f"delta.`{self.folder}`"


def spark_type(name):
    name = name.replace(" ", "")
    return name if name.startswith("decimal(") else SPARK_TYPES[name]


def tables(project, warehouse):
    """Every table that the project and a sync make, landing tables first."""
    found = {"landing": [], "quarantine": [], "derived": [], "system": []}
    for file in sorted(Path(project, "tables").glob("*/*.toml")):
        definition = tomllib.loads(file.read_text(encoding="utf-8"))
        columns = [(name, spark_type(c["type"])) for name, c in definition.get("columns", {}).items()]
        name, folder = file.stem, Path(warehouse, file.parent.name, file.stem)
        if "source" in definition:
            found["landing"].append(Table(name, "landing", folder, columns + SOURCE))
            beside = folder.with_name(f"{name}_quarantine")
            found["quarantine"].append(Table(beside.name, "quarantine", beside, QUARANTINE))
        else:
            sql = file.with_suffix(".sql").read_text(encoding="utf-8")
            found["derived"].append(Table(name, "derived", folder, columns, sql))
    for name, columns in SYSTEM.items():
        found["system"].append(Table(name, "system", Path(warehouse, "system", name), columns))
    return found


class Tool:
    """The program, on a landing root and a warehouse of its own."""

    def __init__(self, binary, project, folder):
        self.binary = binary
        self.project = project
        self.landing = Path(folder, "landing")
        self.warehouse = Path(folder, "warehouse")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("STEDI_DELTA_")}

    def run(self, *arguments, codes=(0,)):
        """What it printed on stdout; any other exit code ends the reader with what it said."""
        places = ["--project", self.project, "--landing", self.landing, "--warehouse", self.warehouse]
        command = [str(part) for part in (self.binary, *arguments, *places)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", env=self.environment, check=False)
        if done.returncode not in codes:
            said = done.stderr.strip() or done.stdout.strip()
            raise RuntimeError(f"stedi-delta {' '.join(arguments)}: exit code {done.returncode}\n{said}")
        return done.stdout

    def sync(self, *arguments, codes=(0,)):
        """The tables of the sync's JSON document, by name."""
        document = json.loads(self.run("sync", *arguments, "--format", "json", codes=codes))
        return {table["table"]: table for table in document["tables"]}

    def rows(self, table, version):
        """The rows of a version, one JSON object per line."""
        return self.run("query", f'select * from "{table.name}@v{version}"', "--format", "ndjson")

    def land(self, source, files):
        """Copies landing files with their times: a file that was written just now would be waited for."""
        for file in files:
            target = Path(self.landing, Path(file).relative_to(source))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
