"""A graph of operations → a definition: each operation once, inputs before users, and what is said about them.

Metadata and sources are no part of an operation's digest: names and places never change what is in a cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from ...record import record
from ...source import Span
from .ops import Note, Op, Output, Platform
from .schema import LLB

__all__ = ["Definition", "MarshalledOp", "marshal"]

_LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".txt": "pip-requirements"}


@record(kw_only=False)
class MarshalledOp:
    """An operation as bytes. `op` is None for the last one, which only names the result.

    `inputs` are pairs of a digest and the number of the output there.
    """

    op: Op | None
    digest: str
    data: bytes
    inputs: tuple[tuple[str, int], ...]
    capabilities: tuple[str, ...] = ()
    platform: Platform | None = None
    note: Note = field(default_factory=Note)

    @property
    def metadata(self) -> dict[str, Any]:
        """Its entry in the metadata."""
        note = self.note
        found: dict[str, Any] = {"caps": dict.fromkeys(self.capabilities, True)}
        if note.name:
            found["description"] = {"llb.customname": note.name}
        return found | ({"ignore_cache": True} if note.ignores_cache else {})


@record(kw_only=False)
class Definition:
    """A whole graph. `files` are the texts that spans point into, as (name, content)."""

    ops: tuple[MarshalledOp, ...]
    files: tuple[tuple[str, bytes], ...] = ()

    @property
    def message(self) -> dict[str, Any]:
        """Its message."""
        metadata = {op.digest: op.metadata for op in self.ops}
        return {"def": [op.data for op in self.ops], "metadata": metadata, "source": self._source()}

    @property
    def data(self) -> bytes:
        """Its bytes: what `buildctl build` reads."""
        return LLB.encode("Definition", self.message)

    def named_like(self, other: Definition, name: str) -> Definition:
        """With the names of `other` for what both have, and `name` for the rest: watched, they are one build."""
        notes = {op.digest: op.note for op in other.ops}
        ops = tuple(replace(op, note=notes.get(op.digest) or replace(op.note, name=name)) for op in self.ops)
        return replace(self, ops=ops)

    def _source(self) -> dict[str, Any]:
        names = [name for name, _ in self.files]
        locations = {}
        for op in self.ops:
            places = [place for span in op.note.spans if (place := _place(span, names))]
            if places:
                locations[op.digest] = {"locations": places}
        infos = [{"filename": name, "data": data, "language": _language(name)} for name, data in self.files]
        return {"locations": locations, "infos": infos}


def marshal(result: Output, platform: Platform, files: Mapping[str, bytes] | None = None) -> Definition:
    """The definition of a result; `files` are the contents of the files that spans name."""
    ordered: dict[str, MarshalledOp] = {}
    digests: dict[int, str] = {}
    for op in _inputs_first(result.op):
        marshalled = _marshal(op, digests)
        digests[id(op)] = marshalled.digest
        ordered.setdefault(marshalled.digest, marshalled)
    named = {span.file for op in ordered.values() for span in op.note.spans}
    texts = tuple(sorted((name, data) for name, data in (files or {}).items() if name in named))
    edge = (digests[id(result.op)], result.index)
    data = LLB.encode("Op", {"inputs": [_edge(edge)]})
    end = MarshalledOp(None, _digest(data), data, (edge,), ("constraints", "platform"))
    return Definition((*ordered.values(), end), texts)


def _marshal(op: Op, digests: Mapping[int, str]) -> MarshalledOp:
    edges = tuple((digests[id(output.op)], output.index) for output in op.inputs)
    message = {"inputs": [_edge(edge) for edge in edges], **op.message}
    capabilities = set(op.capabilities)
    if op.platform is not None:
        message["platform"] = op.platform.message
        capabilities.add("platform")
    data = LLB.encode("Op", message)
    return MarshalledOp(op, _digest(data), data, edges, tuple(sorted(capabilities)), op.platform, op.note)


def _edge(edge: tuple[str, int]) -> dict[str, Any]:
    return {"digest": edge[0], "index": edge[1]}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _inputs_first(last: Op) -> Iterator[Op]:
    """Every operation once, in the order of a first visit; without recursion, for chains may be long."""
    seen: set[int] = set()
    waiting: list[tuple[Op, bool]] = [(last, False)]
    while waiting:
        op, is_done = waiting.pop()
        if is_done:
            yield op
        elif id(op) not in seen:
            seen.add(id(op))
            waiting.append((op, True))
            waiting += [(output.op, False) for output in reversed(op.inputs)]


def _place(span: Span, names: Sequence[str]) -> dict[str, Any] | None:
    if span.file not in names:
        return None
    start = {"line": span.line, "character": span.column - 1}
    end = {"line": span.end_line, "character": span.end_column - 1}
    return {"source_index": names.index(span.file), "ranges": [{"start": start, "end": end}]}


def _language(name: str) -> str:
    return next((language for ending, language in _LANGUAGES.items() if name.endswith(ending)), "")
