"""A table that passes the check does not break the resolver, whatever it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogc._data import load_table
from cogc.frontend.matrix_table import check_table
from cogc.ir.matrix import Matrix
from cogc.ir.nodes import Request, WantedGpu
from cogc.ir.requirement import Requirement
from cogc.ir.resolver import resolve
from tests.examples import examples

pytestmark = pytest.mark.property

LINES = (
    "torch==2.8.0",
    "torch>=2.3",
    "tensorflow[and-cuda]==2.20.0",
    "onnxruntime-gpu==1.20.0",
    "vllm==0.11.0",
    "numpy",
)
CHANGED = (
    "torch",
    "python",
    "cuda",
    "cuda-images",
    "rules",
    "tensorflow",
    "onnxruntime-gpu",
    "vllm",
    "system-packages",
)

TEXTS = "0 1.0 2.8.0 99.99 3.12 ==1.0 <0 >=2,<1 amd64 arm64 none system pip cpu 9999.9999 sm_80 2026-13-45 cudnn cudnn8"
values = st.sampled_from(["", *TEXTS.split()]) | st.sampled_from([None, 0, -1, True, [], {}])


def line(text: str) -> Requirement:
    name = text.split("[")[0].split("=")[0].split(">")[0]
    extras = ("and-cuda",) if "[" in text else ()
    specifier = text[len(name) :].removeprefix("[and-cuda]")
    return Requirement(text=text, kind="package", name=name, specifier=specifier, extras=extras)


requests = st.builds(
    lambda gpu, python, cuda, models, driver, lines: Request(
        is_gpu=gpu,
        python_version=python,
        cuda=cuda,
        gpu_models=tuple(WantedGpu(name=name) for name in models),
        driver=driver,
        requirements=tuple(map(line, lines)),
    ),
    st.booleans(),
    st.none() | st.sampled_from(["3.9", "3.12"]),
    st.none() | st.sampled_from(["11.8", "12.4"]),
    st.lists(st.sampled_from(["V100", "RTX 5090"]), max_size=1),
    st.none() | st.just("535"),
    st.lists(st.sampled_from(LINES), max_size=2, unique_by=lambda text: text.split("=")[0].split(">")[0]),
)


def changed(table: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """The table with few rows, and one value or row of it changed, gone or there twice."""
    table = json.loads(json.dumps(table))
    for key, rows in table.items():
        if isinstance(rows, list):
            table[key] = rows[-8:] if len(rows) > 40 else rows
    lists = sorted(key for key, value in table.items() if isinstance(value, list))
    holder: Any = table[data.draw(st.sampled_from(lists))]
    key: Any = data.draw(st.integers(0, len(holder) - 1))
    while isinstance(holder[key], (dict, list)) and holder[key] and data.draw(st.integers(0, 4)):
        holder = holder[key]
        key = data.draw(
            st.sampled_from(sorted(holder)) if isinstance(holder, dict) else st.integers(0, len(holder) - 1)
        )
    if data.draw(st.booleans()):
        holder[key] = data.draw(values)
    else:
        del holder[key]
    return table


@examples(80)
@given(st.sampled_from(CHANGED), requests, st.data())
def test_a_table_that_passes_the_check_breaks_nothing(name: str, request: Request, data: st.DataObject) -> None:
    table = changed(load_table(name), data)
    if check_table(json.dumps(table).encode(), name, f"{name}.json"):
        return
    matrix = Matrix("2026.11", lambda wanted: table if wanted == name else load_table(wanted))
    resolve(request, matrix)
