"""Bytes of messages: against bytes that are known, and there and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogc.backends.llb.schema import LLB
from cogc.backends.llb.wire import Schema, WireError

MINUS_ONE = "ffffffffffffffffff01"


@pytest.mark.parametrize(
    ("name", "message", "expected"),
    [
        ("Input", {}, ""),
        ("Input", {"digest": "a", "index": 0}, "0a0161"),
        ("Input", {"digest": "", "index": 300}, "10ac02"),
        ("Input", {"index": -1}, "10" + MINUS_ONE),
        ("DiffOp", {"lower": {"input": 0}, "upper": {"input": 1}}, "0a00" + "12020801"),
        # a member of a oneof is written although it is zero: root
        ("UserOpt", {"by_id": 0}, "1000"),
        ("UserOpt", {"by_name": {"name": "me", "input": 2}}, "0a06" + "0a026d65" + "1002"),
        # the operation comes after inputs and platform, whose numbers are higher
        (
            "Op",
            {"inputs": [{"digest": "x"}], "merge": {}, "platform": {"os": "linux"}},
            "0a030a0178" + "5207" + "12056c696e7578" + "3200",
        ),
        # maps are sorted by bytes, and each entry has key and value
        (
            "SourceOp",
            {"identifier": "i", "attrs": {"b": "", "a": "1"}},
            "0a0169" + "12060a01611201" + "31" + "12050a01621200",
        ),
        ("OpMetadata", {"caps": {"file.base": True}}, "2a0d" + "0a0966696c652e62617365" + "1001"),
        (
            "Mount",
            {"input": -1, "dest": "/s", "output": -1, "mount_type": 1},
            "08" + MINUS_ONE + "1a022f73" + "20" + MINUS_ONE + "3001",
        ),
        (
            "FileOp",
            {"actions": [{"mkdir": {"path": "/a", "mode": 0o755, "make_parents": True, "timestamp": -1}}]},
            "1216" + "3214" + "0a022f61" + "10ed03" + "1801" + "28" + MINUS_ONE,
        ),
    ],
)
def test_known_bytes(name: str, message: dict[str, Any], expected: str) -> None:
    assert LLB.encode(name, message).hex() == expected


def test_repeated_numbers_are_packed() -> None:
    schema = Schema("message M { repeated int32 codes = 3; }")
    assert schema.encode("M", {"codes": [1, 300]}).hex() == "1a0301ac02"
    assert schema.decode("M", bytes.fromhex("1a0301ac02")) == {"codes": [1, 300]}
    assert schema.decode("M", bytes.fromhex("180118ac02")) == {"codes": [1, 300]}, "unpacked is read as well"


def test_a_field_that_the_schema_lacks_is_a_bug() -> None:
    with pytest.raises(KeyError, match="Input has no digset"):
        LLB.encode("Input", {"digset": "a"})


def test_unknown_fields_are_passed_over() -> None:
    assert LLB.decode("Input", bytes.fromhex("0a0161" + "9a0602aabb" + "9d0601020304")) == {"digest": "a"}


@pytest.mark.parametrize("data", ["0a", "0a05", "10", "10ffffffffffffffffffffff01", "0b", "0a01ff", "1001" + "0801"])
def test_what_is_no_message_is_an_error(data: str) -> None:
    with pytest.raises(WireError):
        LLB.decode("Input", bytes.fromhex(data))


texts = st.text(max_size=8)
numbers = st.integers(-(2**63), 2**63 - 1)


@given(
    st.fixed_dictionaries(
        {
            "path": texts.filter(bool),
            "mode": st.integers(-(2**31), 2**31 - 1).filter(bool),
            "data": st.binary(min_size=1),
            "timestamp": numbers.filter(bool),
        }
    ),
    st.dictionaries(texts, texts, min_size=1),
)
def test_there_and_back(file: dict[str, Any], attrs: dict[str, str]) -> None:
    assert LLB.decode("FileActionMkFile", LLB.encode("FileActionMkFile", file)) == file
    source = {"identifier": "x", "attrs": attrs}
    assert LLB.decode("SourceOp", LLB.encode("SourceOp", source)) == source


@given(st.binary(max_size=64))
def test_any_bytes_are_a_message_or_an_error(data: bytes) -> None:
    try:
        message = LLB.decode("Op", data)
    except WireError:
        return
    LLB.encode("Op", message)
