from __future__ import annotations

import pytest

from cogc.ir.nodes import ImageBase, InstallPython
from cogc.ir.passes.pin_digests import pin_digests
from tests.builds import resolved_build
from tests.locks import DIGEST

GPU = "build: {gpu: true, cuda: '12.1', python_version: '3.11'}"


def images(text: str, digests: dict[str, str], **options: str) -> set[str]:
    build = pin_digests(resolved_build(text, **options), digests)
    bases = {stage.base.reference for stage in build.stages if isinstance(stage.base, ImageBase)}
    steps = (step for stage in build.stages for step in stage.steps)
    return bases | {step.image for step in steps if isinstance(step, InstallPython) and step.image}


def test_every_stage_that_starts_from_the_image_names_its_digest() -> None:
    assert images("", {"python:3.12-slim-bookworm": DIGEST}) == {f"python:3.12-slim-bookworm@{DIGEST}"}


def test_images_without_a_digest_stay_as_they_are() -> None:
    assert images("", {"debian": DIGEST}) == {"python:3.12-slim-bookworm"}


@pytest.mark.parametrize("pinned", [True, False])
def test_the_image_that_python_is_copied_from(pinned: bool) -> None:
    python = "python:3.11-slim-bookworm"
    found = images(GPU, {python: DIGEST} if pinned else {}, cuda_python="image")
    assert (f"{python}@{DIGEST}" if pinned else python) in found


def test_an_image_that_is_named_by_its_digest_keeps_it() -> None:
    named = "python@sha256:" + "a" * 64
    assert named in images("build: {python_version: '3.12'}", {named: DIGEST}, base_image=named)


def test_other_images_are_for_the_back_ends() -> None:
    digests = {"python:3.12-slim-bookworm": DIGEST, "a/uv:1": DIGEST}
    assert pin_digests(resolved_build(""), digests).digests == tuple(sorted(digests.items()))
