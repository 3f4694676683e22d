"""Spark leaves out row groups by the bloom filters of our data files: of keys, and of personal data, of which the log says
nothing. What a scan puts out is the rows of the row groups that it reads.

Values are in no order, so that bounds of row groups and pages leave nothing out; the dictionaries of columns, which would
do what a filter does, are not asked.
"""

import json
from pathlib import Path

ROWS = 300_000
# A person in the second of three row groups.
WHO = 200_000
COLUMNS = {"code": "string", "serial": "long", "email": "string", "number": "integer"}
PERSONAL = ("serial", "email", "number")
FILTER = "parquet.filter.bloom.enabled"
DICTIONARIES = "parquet.filter.dictionary.enabled"


def make(folder):
    """Writes the project and its landing file."""
    Path(folder).mkdir(parents=True)
    settings = 'name = "skipping"\nzones = ["landing", "trusted"]\n[targets.dev]\nlanding = "l"\nwarehouse = "w"\n'
    write(folder, "stedi-delta.toml", settings)
    personal = {name: ', classification = "pii"' if name in PERSONAL else "" for name in COLUMNS}
    columns = "".join(f'{name} = {{ type = "{kind}"{personal[name]} }}\n' for name, kind in COLUMNS.items())
    source = '[source]\npath = "people/*.json"\nformat = "json"\n'
    write(folder, "tables/landing/people.toml", f'description = "People"\n{source}[columns]\n{columns}')
    declared = "".join(f'{name} = {{ type = "{kind}" }}\n' for name, kind in COLUMNS.items())
    about = f'description = "Members"\nprimary_key = ["code"]\n[columns]\n{declared}'
    write(folder, "tables/trusted/members.toml", about)
    write(folder, "tables/trusted/members.sql", f"select {', '.join(COLUMNS)} from people\n")
    write(folder, "landing/people/a.json", "".join(json.dumps(person(n)) + "\n" for n in range(ROWS)))


def write(folder, path, text):
    file = Path(folder, path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def person(n):
    mixed = n * 2654435761 % 1_000_000_007
    return {"code": f"c-{mixed}", "serial": mixed * 1_000_003, "email": f"{mixed}@example.org", "number": mixed}


def run(lake):
    """Each column with a filter, in a landing table and in a derived one."""
    conf = lake.spark.conf
    conf.set(DICTIONARIES, "false")
    for name, columns in (("people", PERSONAL), ("members", COLUMNS)):
        for column in columns:
            value = person(WHO)[column]
            condition = f"{column} = {value!r}"
            with_filter = asked(lake, name, condition)
            conf.set(FILTER, "false")
            without = asked(lake, name, condition)
            conf.unset(FILTER)
            what = f"{name}.{column}: the scan puts out {with_filter[1]:,} rows, {without[1]:,} without bloom filters"
            right = with_filter[0] == without[0] == 1 and 0 < with_filter[1] < ROWS / 2 and without[1] == ROWS
            lake.holds(what, None if right else f"rows found: {with_filter[0]} and {without[0]}")
    conf.unset(DICTIONARIES)


def asked(lake, name, condition):
    """Rows found, and rows that the scan put out."""
    execution = lake.frame(lake.by_name[name]).where(condition)._jdf.queryExecution()
    plan = execution.executedPlan()
    found = len(plan.executeCollect())
    scans = plan.collectLeaves()
    return found, sum(scans.apply(at).metrics().apply("numOutputRows").value() for at in range(scans.size()))
