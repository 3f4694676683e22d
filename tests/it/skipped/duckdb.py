"""Which data files DuckDB leaves out by our bloom filters, and that it finds rows by them. After `support/delta.py`.

JSON in: `files` of one row group each, `columns` with a filter, a `table` and `conditions` by name. Out: `probed`, by column
[wrongly left out, rightly left out, files that do not hold the value], where the values are what DuckDB itself finds in
the files; and `found`, how many rows of the table a condition finds, or why that cannot be told.
"""

import json

VALUES_PER_FILE = 6


def values(file, column):
    query = f"select cast({column} as varchar), any_value(typeof({column})) from read_parquet('{file}') group by 1 order by 1"
    return connection.execute(query).fetchall()


def probe(files, column):
    held = {file: values(file, column) for file in files}
    wrong, right, others = 0, 0, 0
    for file in files:
        for value, type_name in held[file][:VALUES_PER_FILE]:
            asked = f"select file_name, bloom_filter_excludes from parquet_bloom_probe(?, '{column}', cast(? as {type_name}))"
            for found, is_left_out in connection.execute(asked, [files, value]).fetchall():
                if value in {v for v, _ in held[found]}:
                    wrong += is_left_out
                else:
                    others, right = others + 1, right + is_left_out
    return [wrong, right, others]


def found(table, conditions):
    counts = {}
    for column, condition in conditions.items():
        query = f"select count(*) from delta_scan('{table}') where {condition}"
        try:
            counts[column] = connection.execute(query).fetchone()[0]
        except duckdb.Error as error:
            counts[column] = str(error).split("\n")[0]
    return counts


asked = json.load(sys.stdin)
probed = {column: probe(asked["files"], column) for column in asked["columns"]}
json.dump({"probed": probed, "found": found(asked["table"], asked["conditions"])}, sys.stdout)
