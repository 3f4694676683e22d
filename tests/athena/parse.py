"""Which SQL of this repository is meant for Athena (the queries of tables/, and the documents' blocks of SQL but for
those under a heading that names DuckDB or Spark), and what sqlglot's parser says of it.

    parse.py list FOLDER        writes every statement to a file of its own in FOLDER, which must be empty:
                                query/, what Trino parses; ddl/, statements that Athena hands to Hive;
                                refused/, what Athena must not parse, and both/, what sqlglot refuses too
    parse.py parse FILE...      prints a line for each file of one statement: the file, `ok` or the parser's message

`list` needs nothing but Python; `parse` needs sqlglot, and exits with 77 where it is not installed.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BLOCK = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
COMMENT = re.compile(r"^\s*--[^\n]*\n?", re.MULTILINE)


def split(text):
    """Statements of a text, with the number of the first line of each; `;` ends one only at the end of a line."""
    line = 1
    for part in re.split(r";[^\S\n]*(?:--[^\n]*)?$", text, flags=re.MULTILINE):
        if COMMENT.sub("", part).strip():
            lead = len(part) - len(part.lstrip())
            yield line + part[:lead].count("\n"), part.strip() + "\n"
        line += part.count("\n")


def documents():
    for path in sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")]):
        text = path.read_text()
        for block in BLOCK.finditer(text):
            heading = HEADING.findall(text[: block.start()])[-1:]
            if any(engine in name for name in heading for engine in ("DuckDB", "Spark")):
                continue
            above = text[: block.start(1)].count("\n")
            for line, statement in split(block.group(1)):
                yield f"{path.name}.{above + line}", statement


def write(folder, kind, name, statement):
    path = folder / kind / f"{name}.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    # The console of Athena takes a `;` at the end, and its parser does not.
    path.write_text(statement.rstrip().removesuffix(";") + "\n")


def list_statements(folder):
    for path in sorted(ROOT.glob("tables/**/*.sql")):
        write(folder, "query", path.stem, path.read_text())
    for name, statement in documents():
        words = COMMENT.sub("", statement).lower().split()
        is_ddl = words[:2] in (["create", "external"], ["msck", "repair"], ["alter", "table"], ["show", "tblproperties"])
        write(folder, "ddl" if is_ddl else "query", name, statement)
    for number, line in enumerate((ROOT / "tests/athena/refused.sql").read_text().splitlines(), 1):
        statement, _, mark = line.partition(";")
        if statement and not statement.startswith("--"):
            write(folder, "refused", f"line-{number}", statement + "\n")
            if "both" in mark:
                write(folder, "both", f"line-{number}", statement + "\n")


def verdict(sqlglot, text):
    try:
        parsed = sqlglot.parse(text, dialect="athena", error_level=sqlglot.ErrorLevel.RAISE)
    except sqlglot.errors.SqlglotError as refused:
        return " ".join(str(refused).split())
    if len(parsed) != 1 or parsed[0] is None:
        return f"{len(parsed)} statements"
    # What sqlglot does not understand it keeps as text.
    command = next(parsed[0].find_all(sqlglot.exp.Command), None)
    return f"not understood: {command.sql()[:80]}" if command else "ok"


def parse(files):
    try:
        import sqlglot
    except ImportError:
        print("sqlglot is not installed", file=sys.stderr)
        return 77
    for file in files:
        print(f"{file}\t{verdict(sqlglot, Path(file).read_text())}")
    return 0


def main(arguments):
    match arguments:
        case ["list", folder]:
            list_statements(Path(folder))
            return 0
        case ["parse", *files]:
            return parse(files)
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
