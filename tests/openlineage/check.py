"""Checks the OpenLineage events on standard input, one per line, against the schemas beside this file.

Prints one line per fault. Exits with 77 if `jsonschema` is not installed.
"""

import json
import pathlib
import sys

try:
    from jsonschema import Draft202012Validator, FormatChecker
    from referencing import Registry, Resource
except ImportError:
    sys.exit(77)

schemas = [json.loads(path.read_text()) for path in sorted(pathlib.Path(__file__).parent.glob("*.json"))]
registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)
known = {schema["$id"]: schema for schema in schemas}


def faults(content, schema):
    validator = Draft202012Validator(schema, registry=registry, format_checker=FormatChecker())
    return [f"{'/'.join(map(str, fault.path))}: {fault.message}" for fault in validator.iter_errors(content)]


def facets_of(event):
    yield from event["run"].get("facets", {}).items()
    yield from event["job"].get("facets", {}).items()
    for dataset in event["inputs"] + event["outputs"]:
        yield from dataset.get("facets", {}).items()


found = []
for line in sys.stdin:
    event = json.loads(line)
    found += faults(event, {"$ref": event["schemaURL"]})
    for name, facet in facets_of(event):
        url, _, _ = facet["_schemaURL"].partition("#")
        if url not in known:
            found.append(f"{name}: no schema {url}")
            continue
        found += faults(facet, {"$ref": facet["_schemaURL"]})
        # The key under which the facet has to stand.
        if name not in known[url]["properties"]:
            found.append(f"{name}: not a name of {url}")
print("\n".join(found), end="")
