"""cog.lock as text: what is written reads back as the same value, fits the schema, and gives readable diffs."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from jsonschema import Draft202012Validator

from cogc._data import load_schema
from cogc.frontend.shape import fits
from cogc.ir.lock import Lock, LockedFile, LockedPackage
from cogc.ir.lock_document import InvalidLock, inputs_digest, lock_of, render_lock
from cogc.ir.nodes import Resolution
from tests.locks import lock_for, package

GPU = """
build:
  gpu: true
  cuda: "12.1"
  python_packages: [torch==2.3.1, "x @ git+https://a:b@example.com/x", "--extra-index-url https://u:p@example.com/s"]
  system_packages: [git]
  run: [make]
"""
PACKAGES = (
    package("torch", "2.3.1"),
    package("docopt", "0.6.2", file="docopt-0.6.2.tar.gz"),
    package("x", source="git", location="https://***@example.com/x", commit="a" * 40, subdirectory="python"),
    package("y", source="url", location="https://example.com/y-1.0-py3-none-any.whl"),
    package("z", source="project", location="wheels/z-1.0-py3-none-any.whl", size_bytes=5),
)


def lock() -> Lock:
    return lock_for(
        GPU,
        packages=PACKAGES,
        images=("python:3.12-slim-bookworm",),
        weights=(LockedFile(path="w/a.bin", size_bytes=1, sha256="a" * 64),),
    )


def test_a_lock_survives_its_text() -> None:
    assert lock_of(json.loads(render_lock(lock()))) == lock()


def test_it_fits_the_schema_by_both_validators() -> None:
    schema, document = load_schema("lock"), json.loads(render_lock(lock()))
    assert list(Draft202012Validator(schema).iter_errors(document)) == []
    assert fits(document, schema, schema)


def test_the_schema_has_every_decision_and_every_field_of_a_package() -> None:
    known = load_schema("lock")["$defs"]
    apart = {"origin", "because", "requirements", "constraints", "requirements_because", "tools_because"}
    assert set(known["decisions"]["properties"]) == {field.name for field in fields(Resolution)} - apart
    assert set(known["package"]["properties"]) == {field.name for field in fields(LockedPackage)}


def test_each_package_has_a_line_of_its_own() -> None:
    lines = render_lock(lock()).splitlines()
    for each in PACKAGES:
        assert sum(f'{{"name": "{each.name}", ' in line for line in lines) == 1
    assert max(map(len, lines)) < 300


def test_no_password_is_written() -> None:
    text = render_lock(lock())
    assert "https://***@example.com/s" in text
    assert "u:p@" not in text
    assert "a:b@" not in text


def test_an_edited_request_is_found_out() -> None:
    document = json.loads(render_lock(lock()))
    document["request"]["requirements"][0] += ".post1"
    with pytest.raises(InvalidLock):
        lock_of(document)


def test_the_digest_does_not_depend_on_the_order_of_settings() -> None:
    inputs = lock().inputs
    document = json.loads(render_lock(lock()))
    document["request"]["settings"] = dict(reversed(document["request"]["settings"].items()))
    assert lock_of(document).inputs == inputs
    assert inputs_digest(inputs) == document["request"]["sha256"]
