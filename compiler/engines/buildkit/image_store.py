"""What a Docker engine without the containerd image store cannot do: its BuildKit has fewer exporters there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...diagnostics import Diagnostic, report
from ..outputs import Output

__all__ = ["refused_by_plain_store"]

_OF_IMAGES = ("oci", "docker", "image")
_HINT = "turn on the containerd image store in the engine's settings, or name another builder with --builder"


def refused_by_plain_store(
    *,
    outputs: Sequence[Output],
    cache_to: Sequence[tuple[str, Mapping[str, str]]],
    attestations: Sequence[tuple[str, str]],
    platforms: int,
    timestamp: int | None,
) -> tuple[Diagnostic, ...]:
    """COG638 for each thing that is wanted and refused, or passed over without a word, as attestations are."""
    found = _refused(outputs, cache_to, attestations, platforms, timestamp)
    return tuple(
        report("COG638", f"the image store of this engine cannot do {what}", hint=_HINT)
        for what in dict.fromkeys(found)
    )


def _refused(
    outputs: Sequence[Output],
    cache_to: Sequence[tuple[str, Mapping[str, str]]],
    attestations: Sequence[tuple[str, str]],
    platforms: int,
    timestamp: int | None,
) -> Iterator[str]:
    yield from (f"--output type={output.kind}" for output in outputs if output.kind in _OF_IMAGES)
    yield from (f"--cache-to type={kind}" for kind, _ in cache_to if kind != "inline")
    yield from (f"--{name}" for name, _ in attestations)
    if platforms > 1:
        yield "several platforms"
    if timestamp is not None:
        yield "--timestamp"
