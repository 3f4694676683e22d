"""Rows of two engines, made comparable: one spelling per value, then multisets."""

import json
import struct
from collections import Counter
from datetime import date, datetime, timezone
from decimal import Decimal


def from_spark(rows, fields):
    """The multiset of collected rows; `fields` are those of their schema."""
    types = [field.dataType.simpleString() for field in fields]
    return Counter(tuple(spelled(v, t) for v, t in zip(row, types)) for row in rows)


def from_ndjson(text, fields):
    """The multiset of the rows that `stedi-delta query --format ndjson` printed, read by the same schema."""
    types = [(field.name, field.dataType.simpleString()) for field in fields]
    rows = Counter()
    for line in text.splitlines():
        # Decimal keeps numbers as written.
        row = json.loads(line, parse_float=Decimal)
        if list(row) != [name for name, _ in types]:
            raise ValueError(f"columns {list(row)}, expected {[name for name, _ in types]}")
        rows[tuple(spelled(row[name], t) for name, t in types)] += 1
    return rows


def spelled(value, spark_type):
    """A value as both engines are made to spell it: equal values are equal, different ones differ."""
    if value is None:
        return None
    if spark_type == "double":
        # As text, so that NaN is equal to itself.
        return repr(float(value))
    if spark_type == "float":
        # The nearest 32-bit number: one side prints it short, the other widens it.
        return repr(struct.unpack("f", struct.pack("f", float(value)))[0])
    if spark_type.startswith("decimal"):
        scale = int(spark_type.rstrip(")").split(",")[1])
        return f"{Decimal(str(value)):.{scale}f}"
    if spark_type == "binary":
        return bytes(value).hex() if isinstance(value, (bytes, bytearray)) else value.lower()
    if spark_type == "date":
        return value.isoformat() if isinstance(value, date) else value
    if spark_type == "timestamp":
        return microseconds(value)
    if type(value) not in (str, int, bool):
        raise ValueError(f"{type(value).__name__} {value!r} in a column of type {spark_type}")
    return value


def microseconds(value):
    """Since the epoch, UTC. Spark hands over local times without a zone; the reader sets the zone to UTC."""
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    elapsed = time.replace(tzinfo=time.tzinfo or timezone.utc) - datetime.fromtimestamp(0, timezone.utc)
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


def difference(left_name, left, right_name, right, shown=3):
    """What to print where two multisets differ; `None` where they do not."""
    if left == right:
        return None
    lines = [f"{left_name} has {left.total():,} rows, {right_name} has {right.total():,}"]
    for name, rows in ((left_name, left - right), (right_name, right - left)):
        if rows:
            lines.append(f"only in {name}: {rows.total():,} rows")
            for row, times in sorted(rows.items(), key=repr)[:shown]:
                lines.append(f"    {row}" + (f"  ({times} times)" if times > 1 else ""))
    return "\n".join(lines)
