#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What shvdump --json wrote is as the schema says, has no key that the schema does not know, and is of these commands.

usage: schema.py SCHEMA FOLDER COMMAND...   (FOLDER has files j.*.json)
"""
import glob
import json
import sys

schema = json.load(open(sys.argv[1], encoding="utf-8"))
documents = {f: json.load(open(f, encoding="utf-8")) for f in glob.glob(sys.argv[2] + "/j.*.json")}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "number": (int, float), "integer": int}

# A check of what this schema uses, for machines without python3-jsonschema.
def check(s, d, where):
    if "$ref" in s:
        s = schema["$defs"][s["$ref"].rsplit("/", 1)[1]]
    kinds = s.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(d, TYPES[k]) and not (isinstance(d, bool) and k in ("number", "integer")) for k in kinds):
        return "%s: %r is no %s" % (where, d, kinds)
    if "const" in s and s["const"] != d:
        return "%s is not %s" % (where, s["const"])
    if isinstance(d, dict):
        for k in s.get("required", []):
            if k not in d:
                return "%s has no %s" % (where, k)
        for k, sub in s.get("properties", {}).items():
            if k in d and (e := check(sub, d[k], where + "." + k)):
                return e
    if isinstance(d, list) and "items" in s:
        for i, x in enumerate(d):
            if e := check(s["items"], x, "%s[%d]" % (where, i)):
                return e
    if "anyOf" in s:
        errors = [check(x, d, where) for x in s["anyOf"]]
        if all(errors):
            return [e for e, x in zip(errors, s["anyOf"]) if x["properties"]["command"]["const"] == d.get("command")] or errors
    return None

for name, d in documents.items():
    e = check(schema, d, name)
    assert not e, e
    # No key that the schema does not know: whoever adds one documents it.
    branch = [b for b in schema["anyOf"] if b["properties"]["command"]["const"] == d["command"]][0]["properties"]
    unknown = set(d) - set(branch) - {"schema", "arena"}
    assert not unknown, (name, unknown)
    for key, value in d.items():
        rows = value if isinstance(value, list) else [value] if isinstance(value, dict) else []
        ref = branch.get(key, {}).get("items", branch.get(key, {})).get("$ref") if rows else None
        known = set(schema["$defs"][ref.rsplit("/", 1)[1]]["properties"]) if ref else set()
        for row in rows:
            assert set(row) <= known, (name, key, set(row) - known)
commands = {d["command"] for d in documents.values()}
assert commands == set(sys.argv[3:]), commands ^ set(sys.argv[3:])
broken = json.loads(json.dumps(documents[sorted(documents)[0]]))
key = next(k for k, x in broken.items() if isinstance(x, (dict, list)))
broken[key] = "many"
assert check(schema, broken, "broken"), "the check finds nothing"
try:
    import jsonschema
except ImportError:
    sys.exit(0)
validator = jsonschema.Draft202012Validator(schema)
jsonschema.Draft202012Validator.check_schema(schema)
for name, d in documents.items():
    validator.validate(d)
assert not validator.is_valid(broken)
