"""Every bound in the logs of these tables encloses the values of its file, as the text says and as a 64-bit float does;
and DuckDB finds each value by a condition on its column. Exit codes: 0 so, 1 not so. After `support/delta.py`.

The values are DuckDB's, from the data files; the bounds Python's, from the log."""

import datetime
import json
import pathlib
import sys
from fractions import Fraction


def leaves(values, path=()):
    """Columns, those within structs included, with their bounds."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, path + (name,))
        else:
            yield path + (name,), value


def micros(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)


def readings(bound, type_name):
    """What readers may take a bound for."""
    if type_name.startswith("TIMESTAMP"):
        return [Fraction(micros(bound))]
    if type_name in ("FLOAT", "DOUBLE"):
        return [Fraction(float(bound.text))]
    if isinstance(bound, Number):
        return [Fraction(bound.text), Fraction(float(bound.text))]
    return [bound.encode() if isinstance(bound, str) else bound]


class Number:
    def __init__(self, text):
        self.text = text


def valid(bound, type_name):
    if not type_name.startswith("DECIMAL"):
        return True
    precision, scale = map(int, type_name[8:-1].split(","))
    whole, _, fraction = bound.text.lstrip("-").partition(".")
    digits = (whole.lstrip("0") + fraction.ljust(scale, "0")).lstrip("0")
    return len(fraction) <= scale and len(digits) <= precision and "e" not in bound.text.lower()


def value_of(value, type_name):
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bool, datetime.date)) and not isinstance(value, datetime.datetime):
        return str(value).encode() if isinstance(value, datetime.date) else value
    return Fraction(value)


def judge(folder):
    files = {}
    for commit in sorted(pathlib.Path(folder, "_delta_log").glob("*.json")):
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                files[action["add"]["path"]] = action["add"]["stats"]
            if "remove" in action:
                files.pop(action["remove"]["path"], None)
    bounded = 0
    for path, stats in files.items():
        stats = json.loads(stats, parse_float=Number, parse_int=Number)
        source = f"read_parquet('{folder}/{path}')"
        count = connection.execute(f"select count(*) from {source}").fetchone()[0]
        if int(stats["numRecords"].text) != count:
            sys.exit(f"{path}: numRecords is not {count}")
        for end, is_outside in [("minValues", lambda bound, v: bound > v), ("maxValues", lambda bound, v: bound < v)]:
            for column, bound in leaves(stats[end]):
                name = ".".join(f'"{part}"' for part in column)
                type_name = connection.execute(f"select typeof({name}) from {source} limit 1").fetchone()[0]
                if not valid(bound, type_name):
                    sys.exit(f"{path}: {end} of {column} is no {type_name}: {bound.text}")
                shown = f"epoch_us({name})" if type_name.startswith("TIMESTAMP") else name
                for (value,) in connection.execute(f"select {shown} from {source} where {name} is not null").fetchall():
                    for read in readings(bound, type_name):
                        if is_outside(read, value_of(value, type_name)):
                            sys.exit(f"{path}: {end} of {column} ({type_name}) is beyond {value}")
                bounded += 1
    names = ", ".join(f"'{folder}/{path}'" for path in files)
    for column, type_name, *_ in connection.execute(f"describe select * from delta_scan('{folder}')").fetchall():
        if type_name.startswith("STRUCT") or type_name.endswith("[]"):
            continue
        values = connection.execute(
            f'select cast("{column}" as varchar), count(*) from read_parquet([{names}]) where "{column}" is not null group by 1'
        ).fetchall()
        for value, count in values:
            condition = f'"{column}" = cast(\'{value}\' as {type_name})'
            found = connection.execute(f"select count(*) from delta_scan('{folder}') where {condition}").fetchone()[0]
            if found != count:
                sys.exit(f"{folder}: {found} rows where {condition}, there are {count}")
    print(bounded)


for folder in sys.argv[1:]:
    judge(folder)
