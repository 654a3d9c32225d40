#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes docs/shvdump.schema.json from the columns of tools/columns.c: to be run when they change; a test compares.

usage: shvdump-schema.py SRCDIR >docs/shvdump.schema.json
"""
import json
import re
import sys

TYPES = {"TEXT": ["string", "null"], "NUMBER": ["number", "null"], "BOOLEAN": ["boolean", "null"]}
# Command: its tables (a name in capitals is one object, not an array), then its facts.
COMMANDS = {
    "overview": ({"TOTALS": "totals", "policies": "policies", "pages": "pages", "processes": "procs"}, ["approximate"]),
    "list": ({"arenas": "list"}, []),
    "values": ({"values": "values"}, ["approximate"]),
    "show": ({"OBJECT": "values", "fields": "fields"}, ["fields_complete", "torn"]),
    "locks": ({"locks": "locks"}, []),
    "procs": ({"processes": "procs"}, ["approximate"]),
    "types": ({"types": "types"}, ["approximate"]),
    "check": ({"REPAIR": "repair", "findings": "findings"}, ["sound"]),
    "map": ({"owners": "holders", "FRAGMENTATION": "fragments", "runs": "runs"}, ["approximate"]),
    "leaks": ({"leaks": "leaks"}, ["approximate"]),
    "watch": ({"CHANGE": "change", "locks": "hot", "processes": "busy", "types": "growth"}, ["approximate"]),
    "report": ({"REPORT": "written"}, ["sound", "approximate"]),
    "metrics": ({"metrics": "metrics"}, ["approximate"]),
    "save": ({"SAVED": "save"}, []),
    "restore": ({"RESTORED": "restore"}, []),
    "diff": ({"changes": "diff", "summary": "sum"}, ["same"]),
}
OPTIONAL = {"fields", "fields_complete", "torn", "repair"}

source = open(sys.argv[1] + "/tools/columns.c", encoding="utf-8").read()
defs = {}
for name, body in re.findall(r"static const struct column (\w+)_table\[\] = \{(.*?)\n\};", source, re.S):
    columns = re.findall(r'\{ "(\w+)", [^"]*?, (TEXT|NUMBER|BOOLEAN|NUMBERS), (?:true|false),\s+"((?:[^"\\]|\\.)*)" \}', body)
    if len(columns) != body.count("] = {"):
        sys.exit("%s: %d of %d columns understood" % (name, len(columns), body.count("] = {")))
    defs[name] = {"type": "object", "properties": {
        key.lower(): {"type": ["array", "null"], "items": {"type": "integer"}, "description": text} if kind == "NUMBERS"
        else {"type": TYPES[kind], "description": text} for key, kind, text in columns}}

branches = []
for command, (tables, facts) in COMMANDS.items():
    properties = {"command": {"const": command}}
    for key, table in tables.items():
        ref = {"$ref": "#/$defs/" + table}
        properties[key.lower()] = ref if key.isupper() else {"type": "array", "items": ref}
    properties.update({fact: {"type": "boolean"} for fact in facts})
    if command == "leaks":
        properties.update({"objects": {"type": "integer"}, "bytes": {"type": "integer"}})
    branches.append({"properties": properties, "required": [k for k in properties if k not in OPTIONAL]})
json.dump({
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "What shvdump --json writes, layout 1",
    "description": "See shvdump(1). Keys may be added; one that goes or changes its meaning raises `schema`.",
    "type": "object",
    "properties": {"schema": {"const": 1}, "command": {"type": "string"}, "arena": {"type": "string"}},
    "required": ["schema", "command"],
    "anyOf": branches,
    "$defs": defs,
}, sys.stdout, indent=1, ensure_ascii=False)
print()
