"""The same tables by DuckDB: JSON in, Parquet out. Arguments: landing folder, output folder."""

import pathlib
import sys

import duckdb

LANDING = {
    "customer": "customerName email phone birthDay serialNumber registrationDate lastUpdateDate "
    "shareWithResearchAsOfDate shareWithPublicAsOfDate shareWithFriendsAsOfDate",
    "accelerometer": "user timestamp x y z",
    "step_trainer": "sensorReadingTime serialNumber distanceFromObject",
}
DERIVED = [
    "trusted/customer_trusted",
    "trusted/accelerometer_trusted",
    "curated/customers_curated",
    "trusted/step_trainer_trusted",
    "curated/machine_learning_curated",
]
landing, out = map(pathlib.Path, sys.argv[1:3])
project = pathlib.Path(__file__).parent.parent / "tables"
db = duckdb.connect()


def make(name: str, query: str) -> None:
    db.execute(f"create table {name} as {query}")
    db.execute(f"copy {name} to '{out}/{name}.parquet' (format parquet)")


for kind, columns in LANDING.items():
    select = ", ".join(f'"{c}" as "{c.lower()}"' for c in columns.split())
    files = f"{landing}/{kind}/landing/*.json"
    make(
        f"{kind}_landing",
        f"select {select}, '' as source_file, row_number() over () as source_offset from read_json('{files}')",
    )
for table in DERIVED:
    make(table.split("/")[1], (project / f"{table}.sql").read_text().strip().rstrip(";"))
