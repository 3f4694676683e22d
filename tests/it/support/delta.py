"""The beginning of scripts that read Delta tables with DuckDB: `connection`. Exit code 77: no DuckDB."""

import importlib.util
import pathlib
import sys

try:
    import duckdb

    package = importlib.util.find_spec("duckdb_extension_delta")
    folders = [pathlib.Path(f) for f in package.submodule_search_locations or []] if package else []
    binaries = [b for f in folders for b in f.glob(f"extensions/v{duckdb.__version__}/delta.duckdb_extension")]
    connection = duckdb.connect()
    connection.execute(f"load '{binaries[0]}'" if binaries else "load delta")
except Exception as missing:
    print(missing, file=sys.stderr)
    sys.exit(77)
