"""Laws of the resolver, for requests that nobody thought of."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from cogc._data import load_table, table_names
from cogc.diagnostics import has_errors
from cogc.ir.nodes import Request, WantedGpu
from cogc.ir.requirement import Requirement
from cogc.ir.resolver import resolve
from cogc.ir.resolver.conflict import conflicts
from cogc.ir.resolver.decide import decide
from cogc.ir.resolver.remedies import remedies
from cogc.ir.resolver.resolve import _resolves
from tests.build_requests import MATRIX
from tests.examples import examples

pytestmark = pytest.mark.property

# Every package that has a table, with the extras that bring CUDA, each under its first spelling.
PACKAGES = tuple(name for name in table_names() if "arch" in (load_table(name).get("rows") or [{}])[0])
EXTRAS = {
    name: sorted({build.extra for release in MATRIX.releases(name, "amd64") for build in release.builds if build.extra})
    for name in PACKAGES
}


def line(name: str, specifier: str, extras: tuple[str, ...] = ()) -> Requirement:
    shown = f"[{','.join(extras)}]" if extras else ""
    return Requirement(text=f"{name}{shown}{specifier}", kind="package", name=name, specifier=specifier, extras=extras)


@st.composite
def lines(draw: st.DrawFn, *, pins: int = 3) -> Requirement:
    """A line for a known package; `pins` times as many pins as other forms with a version."""
    name = draw(st.sampled_from(PACKAGES))
    version = str(draw(st.sampled_from(MATRIX.versions(name, "amd64")[-25:])))
    specifier = draw(st.sampled_from([f"=={version}"] * pins + [f">={version}", f"<={version}", f"!={version}", ""]))
    extra = draw(st.sampled_from(["", *EXTRAS[name]]))
    return line(name, specifier, tuple(sorted(extra.split(","))) if extra else ())


requests = st.builds(
    lambda gpu, architecture, python, cuda, models, driver, requirements: Request(
        is_gpu=gpu,
        architecture=architecture,
        python_version=python,
        cuda=cuda,
        gpu_models=tuple(WantedGpu(name=name) for name in models),
        driver=driver,
        requirements=tuple({each.name: each for each in requirements}.values()),
    ),
    st.booleans(),
    st.sampled_from(["amd64", "amd64", "amd64", "arm64"]),
    st.none() | st.sampled_from(["3.9", "3.11", "3.12", "3.13"]),
    st.none() | st.sampled_from(["11.8", "12.4"]),
    st.lists(st.sampled_from(["V100", "A100", "RTX 5090"]), max_size=1),
    st.none() | st.sampled_from(["470", "535"]),
    st.lists(lines(), max_size=4),
)


# Lines that leave room: what is decided first decides what is left for the others.
open_requests = st.builds(
    lambda requirements: Request(is_gpu=True, requirements=requirements),
    st.lists(lines(pins=0), min_size=2, max_size=3, unique_by=lambda each: each.name).map(tuple),
)


def is_possible(request: Request) -> bool:
    return resolve(request, MATRIX)[0] is not None


def brings_cuda_for_others(removed: Requirement, request: Request) -> bool:
    """onnxruntime-gpu may find libraries that another package loads: the one exception to the law below."""
    return removed.name in ("torch", "jax", "tensorflow") and any(
        each.name == "onnxruntime-gpu" for each in request.requirements
    )


@examples(60)
@given(requests | open_requests)
def test_removing_a_line_never_creates_a_conflict(request: Request) -> None:
    if not is_possible(request):
        return
    for removed in request.requirements:
        rest = tuple(each for each in request.requirements if each is not removed)
        if not brings_cuda_for_others(removed, request):
            assert is_possible(replace(request, requirements=rest)), removed.text


@examples(100)
@given(requests)
def test_every_choice_is_a_row_that_the_lines_admit(request: Request) -> None:
    decision = decide(request, MATRIX)
    if decision is None:
        return
    for candidate in decision.solution.candidates:
        if candidate.release is None:
            continue
        assert candidate.release in MATRIX.releases(candidate.package, request.architecture)
        for each in request.requirements:
            if each.name == candidate.package:
                assert candidate.release.version in SpecifierSet(each.specifier), each.text
        if candidate.build is not None and not any(demand.build for demand in candidate.demands):
            assert candidate.build in candidate.release.builds


@examples(60)
@given(requests | open_requests, st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(request: Request, shuffled: random.Random) -> None:
    mixed = list(request.requirements)
    shuffled.shuffle(mixed)
    ours, theirs = (resolve(each, MATRIX)[0] for each in (request, replace(request, requirements=tuple(mixed))))
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert (ours.python, ours.base_image, ours.min_driver) == (theirs.python, theirs.base_image, theirs.min_driver)
        assert sorted(ours.packages) == sorted(theirs.packages)
        assert sorted(ours.brought_along) == sorted(theirs.brought_along)


@examples(60)
@given(requests)
def test_the_same_request_has_the_same_answer(request: Request) -> None:
    assert resolve(request, MATRIX) == resolve(request, MATRIX)


@examples(40)
@given(requests)
def test_a_way_out_resolves(request: Request) -> None:
    if decide(request, MATRIX) is not None:
        return
    found = conflicts(request, MATRIX)
    assert found, "what cannot be has a reason"
    for conflict in found:
        for remedy in remedies(conflict, MATRIX, _resolves(MATRIX)):
            resolution, problems = resolve(remedy.request, MATRIX)
            assert resolution is not None, remedy.text
            assert not has_errors(problems)


@examples(40)
@given(requests)
def test_every_part_of_a_conflict_is_needed(request: Request) -> None:
    from cogc.ir.resolver.conflict import without
    from cogc.ir.resolver.decide import is_possible as can_be

    if decide(request, MATRIX) is not None:
        return
    for conflict in conflicts(request, MATRIX):
        assert not can_be(conflict.request, MATRIX)
        for part in conflict.parts:
            if part.kind != "line" or not brings_cuda_for_others(part.line or line("x", ""), conflict.request):
                assert can_be(without(conflict.request, part), MATRIX)
