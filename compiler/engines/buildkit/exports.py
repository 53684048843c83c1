"""The exporters of a build: what the daemon does with the result, and who receives what it sends here."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ...backends.llb.image import full_reference
from ...diagnostics import report
from ...disk import describe
from .. import EngineFailure
from ..outputs import Output
from .content_store import ContentStore
from .received import ReceivedArchive, ReceivedDirectory, Receiver, UnsafePath

__all__ = ["Exports"]

_STORE = "export"
_OF_IMAGES = ("moby", "image", "oci", "docker")


@dataclass(slots=True)
class Exports:
    """`exporters` are pairs of a type and its attributes; `receivers` are by the number of the exporter.
    `stores` are directories of blobs that the daemon writes to, by name.

    `name` is that of the image; `timestamp` in seconds since 1970 is given to it and to all its files.
    """

    name: str
    timestamp: int | None = None
    exporters: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    receivers: dict[int, Receiver] = field(default_factory=dict)
    stores: dict[str, ContentStore] = field(default_factory=dict)
    places: dict[int, str] = field(default_factory=dict)

    def add(self, kind: str, attributes: Mapping[str, str] | None = None, receiver: Receiver | None = None) -> None:
        """One more."""
        found: dict[str, str] = {}
        if kind in _OF_IMAGES:
            found["name"] = full_reference(self.name)
        if self.timestamp is not None:
            found["source-date-epoch"] = str(self.timestamp)
            found |= {"rewrite-timestamp": "true"} if kind in _OF_IMAGES else {}
        if receiver is not None:
            self.receivers[len(self.exporters)] = receiver
        self.exporters.append((kind, {**found, **(attributes or {})}))

    def add_archive(self, kind: str, file: BinaryIO) -> None:
        """One whose archive is written to a file."""
        self.add(kind, receiver=ReceivedArchive(file.write, file.flush))

    def add_output(self, output: Output, path: Path | None, stack: ExitStack) -> None:
        """One that a user asked for; `path` is where it is written, None standard output. Error: OSError."""
        if output.kind == "cacheonly":
            return
        receiver: Receiver | None = None
        if output.place is not None:
            self.places[len(self.exporters)] = output.place
            if path is None:
                receiver = ReceivedArchive(sys.stdout.buffer.write, sys.stdout.buffer.flush)
            elif output.is_directory and output.kind != "local":
                self.stores[_STORE] = ContentStore(path)
            elif output.is_directory:
                receiver = ReceivedDirectory(path)
            else:
                file = stack.enter_context(open(path, "wb"))  # noqa: SIM115 - the stack closes it
                receiver = ReceivedArchive(file.write, file.flush)
        self.add(output.kind, output.attributes, receiver)

    def finish(self, answer: Mapping[str, str]) -> None:
        """Make blobs that were written count. Error: OSError."""
        descriptor = answer.get("containerimage.descriptor")
        for store in self.stores.values():
            if descriptor:
                store.add(json.loads(base64.b64decode(descriptor)), {})

    def raise_error(self) -> None:
        """Raise what kept a receiver from its work: EngineFailure with COG501 or COG637, BrokenPipeError."""
        for store in self.stores.values():
            if store.error is not None:
                raise store.error
        for number, receiver in self.receivers.items():
            error = receiver.error
            place = self.places.get(number, "the image")
            if isinstance(error, BrokenPipeError):
                raise error
            if isinstance(error, OSError):
                path = error.filename if isinstance(error.filename, str) and number not in self.places else place
                raise EngineFailure(report("COG501", f"{path} {describe(error).replace('accessed', 'written')}"))
            if isinstance(error, UnsafePath):
                raise EngineFailure(report("COG637", f"what the daemon sends for {place} is refused: {error}"))
