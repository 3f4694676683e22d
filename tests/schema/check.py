"""Validates files and documents against JSON Schemas, by a validator that is not ours.

Standard input is one object: `schemas` by name, and `asked`, a list of `[schema, kind, text]` with the kind `toml` or
`json`. Prints a list with an answer for each: the faults, empty if it is valid. Of documents, unknown keys are faults,
although the schema allows them. Exits with 77 if `jsonschema` is not installed.
"""

import copy
import json
import sys
import tomllib

try:
    from jsonschema import Draft4Validator, Draft7Validator
except ImportError:
    sys.exit(77)

asked = json.load(sys.stdin)
validators = {}
for name, schema in asked["schemas"].items():
    Draft7Validator.check_schema(schema)
    # Editors know the older draft best: what the two have in common is used.
    Draft4Validator.check_schema({**schema, "$schema": "http://json-schema.org/draft-04/schema#"})
    strict = copy.deepcopy(schema)
    if name == "report":
        for definition in strict["definitions"].values():
            if definition.get("type") == "object":
                definition["additionalProperties"] = False
    validators[name] = Draft7Validator(strict)

answers = []
for name, kind, text in asked["asked"]:
    content = tomllib.loads(text) if kind == "toml" else json.loads(text)
    validator = validators[name]
    if name == "report":
        # The faults of the document that it says it is, not of all of them.
        known = [v for v in validator.schema["definitions"].values()
                 if v.get("properties", {}).get("report", {}).get("enum") == [content.get("report")]]
        found = [[f.message for f in validator.evolve(schema={**validator.schema, "anyOf": [v]}).iter_errors(content)]
                 for v in known]
        answers.append(min(found, key=len) if found else ["no such document"])
        answers[-1] = [str(context) for context in answers[-1]]
        if answers[-1]:
            deep = [f"{'/'.join(map(str, f.path))}: {f.message}" for v in known
                    for f in Draft7Validator({**v, "definitions": validator.schema["definitions"]}).iter_errors(content)]
            answers[-1] = deep or answers[-1]
    else:
        answers.append([f"{'/'.join(map(str, f.path))}: {f.message}" for f in validator.iter_errors(content)])
json.dump(answers, sys.stdout)
