"""Where the image of a build goes: `--output` in the notation of buildx, `--load` and `--push`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ..diagnostics import Diagnostic, report
from ..engines.outputs import STANDARD_OUTPUT, Output
from ..record import record
from ._fields import fields_of

__all__ = ["Destinations", "add_output_arguments", "destinations"]

_KINDS = ("local", "tar", "oci", "docker", "image", "registry", "moby", "cacheonly")
_WITH_FILES = ("local", "tar", "oci", "docker")


@record(kw_only=False)
class Destinations:
    """`loads`: into the engine. `pushes`: to the registry."""

    outputs: tuple[Output, ...]
    loads: bool
    pushes: bool

    @property
    def is_in_engine(self) -> bool:
        """Whether the docker program knows the image afterwards; what is pushed it may know."""
        return self.loads or self.pushes

    @property
    def prints(self) -> bool:
        """Whether standard output is taken."""
        return any(output.place == STANDARD_OUTPUT for output in self.outputs)


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """`--push` and `--output`."""
    parser.add_argument("--push", action="store_true", help="push the image to its registry")
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="type=KIND,dest=PATH",
        help="write the result: local (files), tar, oci or docker (archives), image; repeat",
    )


def destinations(arguments: argparse.Namespace) -> tuple[Destinations, tuple[Diagnostic, ...]]:
    """Where the image goes. Without a word about it, into the engine. Errors: COG503."""
    found: list[Diagnostic] = []
    texts: Sequence[str] = getattr(arguments, "output", ())
    pushes: bool = getattr(arguments, "push", False)
    loads: bool = arguments.load or not (texts or pushes)
    outputs: list[Output] = []
    for text in texts:
        output = _parse(text, found)
        if output is None:
            continue
        if output.kind == "moby" or (output.kind == "docker" and output.place is None):
            loads = True
        else:
            outputs.append(output)
    chosen = Destinations(tuple(outputs), loads, pushes)
    found += _conflicts(chosen, arguments)
    return chosen, tuple(found)


def _parse(text: str, found: list[Diagnostic]) -> Output | None:
    fields = fields_of(text)
    if fields == [text] and not text.startswith("type="):
        fields = ["type=tar", "dest=-"] if text == STANDARD_OUTPUT else ["type=local", f"dest={text}"]
    attributes: dict[str, str] = {}
    for field in fields:
        name, separator, value = field.partition("=")
        if not separator:
            found.append(report("COG503", f"--output {text}: `{field}` is not NAME=VALUE"))
            return None
        attributes[name.strip().lower()] = value
    kind, place = attributes.pop("type", ""), attributes.pop("dest", None)
    if kind not in _KINDS:
        what = f"there is no type `{kind}`" if kind else "type=KIND is missing"
        found.append(report("COG503", f"--output {text}: {what}; the types are {', '.join(_KINDS)}"))
        return None
    if kind == "registry":
        kind, attributes = "image", {"push": "true", **attributes}
    output = Output(kind, attributes, place or (STANDARD_OUTPUT if kind in ("tar", "oci") else None))
    problem = _problem(output)
    if problem is not None:
        found.append(report("COG503", f"--output {text}: {problem}"))
        return None
    return output


def _problem(output: Output) -> str | None:
    place = output.place
    if place is not None and output.kind not in _WITH_FILES:
        return f"type {output.kind} writes no file, so it has no dest"
    if output.is_directory and place in (None, STANDARD_OUTPUT):
        return "dest must be a directory"
    if place in (None, STANDARD_OUTPUT):
        return None
    if output.is_directory and Path(place).exists() and not Path(place).is_dir():
        return f"{place} is not a directory"
    if not output.is_directory and Path(place).is_dir():
        return f"{place} is a directory"
    return None


def _conflicts(chosen: Destinations, arguments: argparse.Namespace) -> list[Diagnostic]:
    places = [output.place for output in chosen.outputs if output.place is not None]
    twice = sorted({place for place in places if places.count(place) > 1})
    found = [report("COG503", f"--output: two outputs have the dest {place}") for place in twice]
    if chosen.prints and arguments.format == "json":
        found.append(report("COG503", "--output to standard output: --format json prints there as well"))
    if chosen.prints and sys.stdout.isatty():
        hint = "name a file with dest=PATH, or send it into a pipe or a file"
        found.append(report("COG503", "--output to standard output: a terminal shows no archive", hint=hint))
    return found
