"""The published schemas are valid, agree with the classes that they describe, and fit what cogc prints."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from cogc._data import load_schema, schema_names
from cogc.driver import Source, bundled_matrix, compile_project
from cogc.frontend.lower import BuildOptions
from cogc.ir.document import from_document, to_document
from scripts.build_ir_schema import schema as ir_schema
from tests.memory_files import MemoryFiles

CONFIG = b"""\
build:
  gpu: true
  python_packages: [torch==2.3]
  system_packages: [ffmpeg]
  run:
    - command: make
      mounts: [{type: secret, id: pip, target: /etc/pip.conf}, {type: cache, target: /c}]
environment: [A=1]
"""


@pytest.mark.parametrize("name", schema_names())
def test_published_schema_is_a_valid_schema(name: str) -> None:
    Draft202012Validator.check_schema(load_schema(name))


def test_every_key_of_the_configuration_has_a_title_and_a_description() -> None:
    def walk(schema: dict, where: str) -> None:
        for key, inner in schema.get("properties", {}).items():
            assert "$ref" in inner or {"title", "description"} <= set(inner), f"{where}.{key}"
            walk(inner, f"{where}.{key}")
        if "items" in schema:
            walk(schema["items"], f"{where}[]")

    schema = load_schema("cog")
    walk(schema, "cog")
    for name, definition in schema["$defs"].items():
        assert {"title", "description"} <= set(definition), name
        walk(definition, name)


def test_ir_schema_is_what_the_classes_say() -> None:
    path = Path(__file__).parent.parent.parent / "schemas" / "ir.schema.json"
    assert json.loads(path.read_text()) == ir_schema(), "run scripts/build_ir_schema.py"


def test_printed_ir_fits_its_schema_and_reads_back_equal() -> None:
    source = Source(config=CONFIG, name="cog.yaml", directory="project", files=MemoryFiles({}))
    compilation = compile_project(source, BuildOptions(), bundled_matrix())
    for build in (compilation.build, compilation.resolved):
        assert build is not None
        document = json.loads(json.dumps(to_document(build)))
        Draft202012Validator(load_schema("ir")).validate(document)
        assert from_document(document) == build
        assert to_document(from_document(document)) == document
