"""`Lock` ↔ the text of cog.lock: JSON with one package, image or file per line, so that a diff shows what changed.

Source of the shape: schemas/lock.schema.json, against which a document is checked before it is read here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from .lock import Lock, LockedFile, LockedImage, LockedInputs, LockedPackage, LockedPlatform
from .nodes import Resolution

__all__ = ["FORMAT", "InvalidLock", "inputs_digest", "lock_of", "render_lock"]

FORMAT = 1

_PROVENANCE = {"origin", "because", "requirements_because", "tools_because"}
# The lines of packages and constraints have become `packages`; what is left of them are the options about indexes.
_ELSEWHERE = {"constraints", "requirements"}


class InvalidLock(ValueError):
    """The document contradicts itself."""


def inputs_digest(inputs: LockedInputs) -> str:
    """The SHA-256 of the inputs in one spelling."""
    text = json.dumps(_inputs(inputs), ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


# -- writing -------------------------------------------------------------------------------------


def render_lock(lock: Lock) -> str:
    """The text of cog.lock: the same lock gives the same bytes."""
    return "".join(_lines(_document(lock), "")) + "\n"


def _document(lock: Lock) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "cogc": lock.cogc,
        "matrix": {"version": lock.matrix, "sha256": lock.matrix_sha256},
        "request": {"sha256": inputs_digest(lock.inputs), **_inputs(lock.inputs)},
        "platforms": [
            {
                "platform": entry.platform,
                "decisions": _decisions(entry.resolution),
                "index_options": list(entry.resolution.requirements),
                "images": [{"reference": image.reference, "digest": image.digest} for image in entry.images],
                "packages": [_plain(package) for package in entry.packages],
            }
            for entry in lock.platforms
        ],
        "weights": [_plain(file) for file in lock.weights],
    }


def _inputs(inputs: LockedInputs) -> dict[str, Any]:
    return {
        "settings": dict(inputs.settings),
        "requirements": list(inputs.requirements),
        "system_packages": list(inputs.system_packages),
        "commands": list(inputs.commands),
    }


def _decisions(resolution: Resolution) -> dict[str, Any]:
    return {
        field.name: _listed(getattr(resolution, field.name))
        for field in fields(resolution)
        if field.name not in _PROVENANCE | _ELSEWHERE
    }


def _plain(value: Any) -> dict[str, Any]:
    """The fields of a record that differ from their defaults."""
    pairs = ((field, getattr(value, field.name)) for field in fields(value))
    return {field.name: inner for field, inner in pairs if field.default is MISSING or inner != field.default}


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _lines(value: Any, indent: str) -> Iterator[str]:
    """JSON in which each entry of a list is a line, and so is each key of a mapping that is no such entry."""
    if isinstance(value, dict) and value and not _is_entry(value):
        opening, closing = "{}"
        parts = [(f"{json.dumps(key)}: ", inner) for key, inner in value.items()]
    elif isinstance(value, list) and (len(value) > 1 or (value and isinstance(value[0], (dict, list)))):
        opening, closing = "[]"
        parts = [("", inner) for inner in value]
    else:
        yield json.dumps(value, ensure_ascii=False)
        return
    inside = f"{indent}  "
    for index, (start, inner) in enumerate(parts):
        yield f"{opening if index == 0 else ','}\n{inside}{start}"
        if isinstance(value, list) and isinstance(inner, list):
            yield json.dumps(inner, ensure_ascii=False)
        else:
            yield from _lines(inner, inside)
    yield f"\n{indent}{closing}"


def _is_entry(value: Mapping[str, Any]) -> bool:
    """Whether a mapping is an image, a package, a file or the matrix: short, and many of a kind."""
    return "digest" in value or "commit" in value or ("sha256" in value and "settings" not in value)


# -- reading -------------------------------------------------------------------------------------


def lock_of(document: Mapping[str, Any]) -> Lock:
    """The lock of a document that fits the schema. Error: `InvalidLock` when its inputs were changed by hand."""
    request = document["request"]
    inputs = LockedInputs(
        settings=tuple(sorted(request["settings"].items())),
        requirements=tuple(request["requirements"]),
        system_packages=tuple(request["system_packages"]),
        commands=tuple(request["commands"]),
    )
    if inputs_digest(inputs) != request["sha256"]:
        raise InvalidLock("`request` does not have the checksum that is written beside it")
    return Lock(
        cogc=document["cogc"],
        matrix=document["matrix"]["version"],
        matrix_sha256=document["matrix"]["sha256"],
        inputs=inputs,
        weights=tuple(LockedFile(**file) for file in document["weights"]),
        platforms=tuple(_platform(entry) for entry in document["platforms"]),
    )


def _platform(entry: Mapping[str, Any]) -> LockedPlatform:
    decisions = {name: _tupled(value) for name, value in entry["decisions"].items()}
    return LockedPlatform(
        platform=entry["platform"],
        resolution=Resolution(**decisions, requirements=tuple(entry["index_options"])),
        images=tuple(LockedImage(**image) for image in entry["images"]),
        packages=tuple(LockedPackage(**package) for package in entry["packages"]),
    )


def _tupled(value: Any) -> Any:
    return (
        tuple(_tupled(item) for item in value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    )
