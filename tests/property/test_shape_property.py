"""The quick check of a document's shape agrees with a full JSON Schema validator."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cogc._data import load_schema, load_table, load_table_schema, table_names
from cogc.frontend.shape import fits
from tests.examples import examples

SCHEMA = load_schema("cog")
VALIDATOR = Draft202012Validator(SCHEMA)

pytestmark = pytest.mark.property

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(0, 4),
    st.sampled_from(["", "a", "secret", "cache", "x-y", "A"]),
)


def _documents(schema: Any) -> st.SearchStrategy[Any]:
    """Documents near the schema: its keys with values that often fit."""
    if "$ref" in schema:
        return _documents(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    choices: list[st.SearchStrategy[Any]] = [scalars]
    if "properties" in schema:
        keys = {key: st.deferred(lambda inner=inner: _documents(inner)) for key, inner in schema["properties"].items()}
        choices.append(st.fixed_dictionaries({}, optional={**keys, "unknown": scalars}))
        required = {key: keys[key] for key in schema.get("required", ()) if key in keys}
        optional = {key: value for key, value in keys.items() if key not in required}
        choices.append(st.fixed_dictionaries(required, optional=optional))
    if "items" in schema:
        choices.append(st.lists(st.deferred(lambda: _documents(schema["items"])), max_size=2))
    if "then" in schema:
        choices.append(st.lists(st.deferred(lambda: _documents(schema["then"]["items"])), max_size=2))
        choices.append(st.deferred(lambda: _documents(schema["else"])))
    if "enum" in schema:
        choices.append(st.sampled_from(schema["enum"]))
    return st.one_of(choices)


@examples(400)
@given(_documents(SCHEMA))
def test_quick_check_agrees_with_the_validator(document: Any) -> None:
    assert fits(document, SCHEMA, SCHEMA) == VALIDATOR.is_valid(document)


def test_every_keyword_of_the_schema_is_known_to_the_quick_check() -> None:
    """A keyword that is not known counts as not fitting, which would make every file take the slow way."""
    assert fits({"build": {"run": [{"command": "a", "mounts": [{"type": "secret", "id": "a"}]}]}}, SCHEMA, SCHEMA)
    weight = {"name": "a", "target": "/a", "source": [{"uri": "x", "include": ["a"], "exclude": ["b"]}]}
    document = {"build": {"gpu": True}, "weights": [weight, {**weight, "source": {"uri": "y"}}]}
    assert fits({**document, "concurrency": {"max": 1}, "environment": ["A=1"]}, SCHEMA, SCHEMA)


def _near(document: Any, data: st.DataObject) -> Any:
    """The document with one value somewhere in it taken for another, or a member more or less."""
    place, document = None, json.loads(json.dumps(document))
    inner = document
    while isinstance(inner, (dict, list)) and inner and (place is None or data.draw(st.integers(0, 3))):
        key = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
        place, inner = (inner, key), inner[key]
    assert place is not None
    holder, key = place
    other = data.draw(scalars | st.just([]) | st.just({}) | st.just("==1.0") | st.just("2.8"))
    match data.draw(st.sampled_from(["other", "gone", "more"])):
        case "other":
            holder[key] = other
        case "gone":
            del holder[key]
        case "more":
            holder.update({"more": other}) if isinstance(holder, dict) else holder.append(holder[0])
    return document


@examples(150)
@given(st.sampled_from(table_names()), st.data())
def test_quick_check_agrees_with_the_validator_on_tables(name: str, data: st.DataObject) -> None:
    table, schema = load_table(name), load_table_schema(name)
    few = {key: value[:3] if isinstance(value, list) else value for key, value in table.items()}
    document = _near(few, data)
    assert fits(document, schema, schema) == Draft202012Validator(schema).is_valid(document)


@pytest.mark.parametrize("name", table_names())
def test_tables_of_cogc_fit_at_once(name: str) -> None:
    assert fits(load_table(name), load_table_schema(name), load_table_schema(name))
