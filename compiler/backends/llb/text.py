"""A definition as text for review and golden files, and as JSON for programs.

The text has one block per operation, in order, numbered; a file that is written shows its size and digest. Digests of
operations are left out, for a change of one changes all that follow: `--emit llb-json` has them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any, assert_never

from .definition import Definition, MarshalledOp
from .image import ImageConfig, image_document
from .ops import (
    Action,
    BindFrom,
    CacheDirectory,
    CopyFiles,
    Diff,
    Exec,
    ExecMount,
    FileOp,
    ImageSource,
    LocalSource,
    MakeDirectory,
    MakeFile,
    Merge,
    Op,
    Output,
    Owner,
    Platform,
    SecretFile,
    SecretVariable,
    SshSocket,
)
from .schema import LLB

__all__ = ["definition_json", "definition_text"]

_FEW = 12


def definition_text(definition: Definition, image: ImageConfig, platform: Platform) -> str:
    """The definition and the configuration of its image as lines of text."""
    numbers = {op.digest: number for number, op in enumerate(definition.ops, 1)}
    lines: list[str] = [f"platform {platform}"]
    variables: tuple[tuple[str, str], ...] | None = None
    for marshalled in definition.ops:
        inputs = {id(output.op): numbers[digest] for output, digest in _edges(marshalled)}
        lines.append("")
        if marshalled.op is None:
            lines.append(f"result %{numbers[marshalled.inputs[0][0]]}")
            continue
        lines.append(f"%{numbers[marshalled.digest]} {_heading(marshalled.op, inputs)}")
        lines += [f"  {line}" for line in _about(marshalled)]
        if isinstance(marshalled.op, Exec):
            known = "environment as before" if marshalled.op.environment == variables else None
            variables = marshalled.op.environment
            lines += [f"  {known}"] if known else [f"  env {name}={_quoted(value)}" for name, value in variables]
        lines += [f"  {line}" for line in _details(marshalled.op, inputs)]
    lines += ["", "image"]
    lines += json.dumps(image_document(image, platform), indent=2, ensure_ascii=False).splitlines()
    return "\n".join(lines) + "\n"


def definition_json(definition: Definition, image: ImageConfig, platform: Platform) -> str:
    """The definition message by message, with digests, and the image's document; bytes are base64."""
    ops = [
        {"digest": op.digest, "op": _plain(LLB.decode("Op", op.data)), "metadata": _plain(op.metadata)}
        for op in definition.ops
    ]
    source = _plain(definition.message["source"])
    document = {"ops": ops, "source": source, "image": image_document(image, platform)}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _edges(marshalled: MarshalledOp) -> Iterator[tuple[Output, str]]:
    if marshalled.op is not None:
        digests = [digest for digest, _ in marshalled.inputs]
        yield from zip(marshalled.op.inputs, digests, strict=True)


def _about(marshalled: MarshalledOp) -> Iterator[str]:
    note = marshalled.note
    if note.name:
        yield f"name {note.name}"
    if note.spans:
        yield f"from {', '.join(f'{span.file}:{span.line}' for span in note.spans)}"
    yield f"needs {', '.join(marshalled.capabilities)}"


def _heading(op: Op, inputs: dict[int, int]) -> str:
    match op:
        case ImageSource():
            return f"image {op.reference} for {op.platform}"
        case LocalSource():
            return f"local {op.name} ({op.part})"
        case Exec():
            return f"exec on %{inputs[id(op.root.op)]}"
        case FileOp():
            return "files on nothing" if op.base is None else f"files on %{inputs[id(op.base.op)]}"
        case Diff():
            return f"difference of %{inputs[id(op.upper.op)]} to %{inputs[id(op.lower.op)]}"
        case Merge():
            return f"merge {' '.join(f'%{inputs[id(output.op)]}' for output in op.layers)}"
        case _:
            assert_never(op)


def _details(op: Op, inputs: dict[int, int]) -> Iterator[str]:
    match op:
        case ImageSource() | Merge() | Diff():
            return
        case LocalSource():
            yield from (f"without {_quoted(pattern)}" for pattern in op.excludes)
            yield from (f"only {_quoted(pattern)}" for pattern in op.includes)
            yield from (f"only {_quoted(path)} behind links" for path in op.follows)
        case Exec():
            yield f"in {op.directory}" + (f" as {op.user}" if op.user else "")
            yield from (_mount(mount, inputs) for mount in op.mounts)
            yield f"run {json.dumps(op.arguments, ensure_ascii=False)}"
        case FileOp():
            lines = [_action(action, inputs) for action in op.actions]
            yield from lines if len(lines) <= _FEW else _digested(lines)
        case _:
            assert_never(op)


def _digested(lines: list[str]) -> Iterator[str]:
    """Many files as a count and a digest of their lines: the files themselves are reviewed where they are from."""
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
    yield f"{len(lines)} actions {digest}"
    yield f"first {lines[0]}"
    yield f"last {lines[-1]}"


def _mount(mount: ExecMount, inputs: dict[int, int]) -> str:
    match mount:
        case BindFrom():
            return f"bind %{inputs[id(mount.source.op)]}{mount.selector} at {mount.target}"
        case CacheDirectory():
            return f"cache {mount.id} at {mount.target} {mount.sharing}"
        case SecretFile():
            return f"secret {mount.id} at {mount.target}{'' if mount.is_required else ' optional'}"
        case SecretVariable():
            return f"secret {mount.id} as {mount.name}{'' if mount.is_required else ' optional'}"
        case SshSocket():
            return f"ssh {mount.id} at {mount.target}{'' if mount.is_required else ' optional'}"
        case _:
            assert_never(mount)


def _action(action: Action, inputs: dict[int, int]) -> str:
    match action:
        case CopyFiles():
            without = "".join(f" without {_quoted(pattern)}" for pattern in action.excludes)
            owner = _owner(action.owner)
            return f"copy %{inputs[id(action.source.op)]}{action.path} to {action.destination}{owner}{without}"
        case MakeDirectory():
            return f"mkdir {action.path} {action.mode:04o}{_owner(action.owner)}"
        case MakeFile():
            digest = hashlib.sha256(action.content).hexdigest()[:16]
            return f"mkfile {action.path} {action.mode:04o} {len(action.content)} bytes {digest}"
        case _:
            assert_never(action)


def _owner(owner: Owner | None) -> str:
    if owner is None:
        return ""
    return f" owner {owner.user}" + (f":{owner.group}" if owner.group is not None else "")


def _quoted(text: str) -> str:
    return text if text.isprintable() and text == text.strip() else json.dumps(text, ensure_ascii=False)
