"""Writes Tests/Goldens/templates/cases.json: chat templates, their input and what the reference Jinja2 makes of them.

    python3 -m venv /tmp/jinja && /tmp/jinja/bin/pip install jinja2
    /tmp/jinja/bin/python Scripts/goldens/chat_templates.py

The environment is the one Transformers builds: immutable sandbox, trimmed blocks, loop controls, its own `tojson`,
`raise_exception` and `strftime_now`. The clock stands at 2024-07-26 09:05:03 UTC.

With a folder of templates (*.jinja) and a file to write, the same is made of other people's templates, which are not
stored here:

    /tmp/jinja/bin/python Scripts/goldens/chat_templates.py llama.cpp/models/templates /tmp/cases.json
    ANGEL_TEMPLATE_CASES=/tmp/cases.json swift test --filter ChatTokenTests

A case that the reference refuses is stored with "error": true; messages of errors are not compared, except the text a
template gives to `raise_exception`.
"""

import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from chat_template_families import CONVERSATIONS, FAMILIES
from chat_template_small import SMALL

NOW = 1721984703
OUTPUT = pathlib.Path(__file__).parents[2] / "Tests" / "Goldens" / "templates" / "cases.json"


class Refused(Exception):
    pass


class Generation(jinja2.ext.Extension):
    """`{% generation %}` as a block that lets its text through."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_through"), [], [], body).set_lineno(line)

    def _through(self, caller):
        return caller()


def environment():
    def raise_exception(message):
        raise Refused(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(format):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(format)

    result = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
    result.filters["tojson"] = tojson
    result.globals["raise_exception"] = raise_exception
    result.globals["strftime_now"] = strftime_now
    return result


def run(source, variables):
    try:
        return {"output": environment().from_string(source).render(**variables)}
    except Refused as refusal:
        return {"raised": str(refusal)}
    except Exception as error:
        return {"error": True, "reason": f"{type(error).__name__}: {error}"}


def family_cases(families):
    for family, source in families.items():
        for name, variables in CONVERSATIONS.items():
            yield {"name": f"{family} / {name}", "template": family, "conversation": name, **run(source, variables)}


def small_cases():
    for source in SMALL:
        yield {"source": source, **run(source, CONVERSATIONS["small"])}


def main():
    families, small, output = FAMILIES, list(small_cases()), OUTPUT
    if len(sys.argv) > 2:
        files = sorted(pathlib.Path(sys.argv[1]).glob("*.jinja"))
        families = {file.stem: file.read_text(encoding="utf-8") for file in files}
        small, output = [], pathlib.Path(sys.argv[2])
    document = {
        "now": NOW,
        "templates": families,
        "conversations": CONVERSATIONS,
        "families": list(family_cases(families)),
        "small": small,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    failed = [case for case in document["small"] + document["families"] if "error" in case]
    for case in failed:
        print(case.get("source", case.get("name")), "->", case["reason"])
    print(len(document["families"]), "family cases,", len(document["small"]), "small,", output.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
