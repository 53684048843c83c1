"""The packages of the last image of a project, so that an edit of the code needs no second look at them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from ...disk import write_atomically
from ...record import record

__all__ = ["Frozen", "frozen_inputs", "read_frozen", "write_frozen"]

_FILE = ".cog/cache/pip_freeze.json"
_FORMAT = 1


@record(kw_only=False)
class Frozen:
    """What was installed (`packages`, lines of pip freeze), from what inputs, and in which layers of the image."""

    inputs: str
    layers: tuple[str, ...]
    packages: str


def frozen_inputs(dockerfile: str, staged: Iterable[tuple[str, bytes]], build_args: Iterable[str]) -> str:
    """A digest of everything of ours that decides which packages there are."""
    digest = hashlib.sha256(dockerfile.encode())
    for path, content in staged:
        if path in dockerfile:
            digest.update(f"\0{path}\0".encode() + content)
    for argument in build_args:
        digest.update(f"\0{argument}".encode())
    return digest.hexdigest()


def read_frozen(root: Path) -> Frozen | None:
    """What the last build of the project has left; None where there is nothing that can be read."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        document = json.loads((root / _FILE).read_bytes())
        if document["format"] == _FORMAT:
            return Frozen(str(document["inputs"]), tuple(document["layers"]), str(document["packages"]))
    return None


def write_frozen(root: Path, frozen: Frozen) -> None:
    """Keep it for the next build. Errors: OSError."""
    path = root / _FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps({"format": _FORMAT, **asdict(frozen)}, indent=1) + "\n").encode(), syncs=False)
