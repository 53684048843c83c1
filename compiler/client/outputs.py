"""What becomes of the output of a model: text and JSON on standard output, files in files.

What is written where depends on the type that the schema gives to the output, and on `-o`:

    a file      `output.<extension>`, or exactly the path of -o
    files       `output.<index>.<extension>`, or `<path of -o without suffix>.<index><suffix of -o, or extension>`
    text        standard output with a line break; as it is into -o
    pieces      joined, like text
    the rest    JSON; files inside it are written as `output.<member>.<extension>` and named there

A training writes to `weights` without -o. URLs of files that the server has uploaded are printed, not fetched.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ..diagnostics import Diagnostic, report
from ..disk import describe, write_atomically
from ..record import record
from .media import extension_of, is_data_url, read_data_url
from .operation import Operation, Schema, alternatives, is_file
from .problems import OutputProblem

__all__ = [
    "Destination",
    "OutputProblem",
    "Sink",
    "check_destination",
    "document_output",
    "write_document",
    "write_output",
]

_DEFAULT_STEM = "output"
_WEIGHTS = "weights"


class Sink(Protocol):
    """Where results go."""

    def print(self, text: str) -> None:
        """To standard output, exactly."""
        ...

    def written(self, path: Path) -> None:
        """A file was written."""
        ...


@record
class Destination:
    """`-o`: a file, or a directory that exists. None: the default of the kind of output."""

    path: Path | None
    is_training: bool = False
    must_be_directory: bool = False

    @classmethod
    def of(cls, text: str | None, *, is_training: bool = False) -> Destination:
        """The path as written on the command line: a leading `@` is ignored, `~` is the home directory."""
        if text is None:
            return cls(path=None, is_training=is_training)
        path = os.path.expanduser(text.removeprefix("@"))
        return cls(path=Path(path), is_training=is_training, must_be_directory=path.endswith(os.sep))

    def file(self, extension: str) -> Path:
        """Where one file goes. Error: COG501 for a directory that has the default name."""
        if self.path is not None:
            return self.path / f"{_DEFAULT_STEM}{extension}" if self.path.is_dir() else self.path
        path = Path(_WEIGHTS if self.is_training else f"{_DEFAULT_STEM}{extension}")
        if path.is_dir():
            raise OutputProblem(_default_is_a_directory(path))
        return path

    def member(self, name: str, extension: str) -> Path:
        """Where one of several files goes; `name` is its index, or its place in the document."""
        name = re.sub(r"[^\w.\-]+", "_", name)
        if self.path is None:
            return Path(f"{_WEIGHTS if self.is_training else _DEFAULT_STEM}.{name}{extension}")
        if self.path.is_dir():
            return self.path / f"{_DEFAULT_STEM}.{name}{extension}"
        return self.path.with_name(f"{self.path.stem}.{name}{extension}")


def check_destination(destination: Destination, operation: Operation) -> tuple[Diagnostic, ...]:
    """COG501 where the output could not be written in the end."""
    path = destination.path
    if path is None:
        if destination.is_training and Path(_WEIGHTS).is_dir():
            return (_default_is_a_directory(Path(_WEIGHTS)),)
        writes = destination.is_training or operation.output_kind in ("file", "files")
        return () if not writes or os.access(".", os.W_OK) else (_unwritable(Path(), "permission denied"),)
    if path.is_dir() or (path.exists() and not path.is_file()):
        return () if os.access(path, os.W_OK) else (_unwritable(path, "permission denied"),)
    parent = path if destination.must_be_directory else path.parent
    if not parent.is_dir():
        reason = "is not a directory" if parent.exists() else "does not exist"
        return (_unwritable(path, f"{parent} {reason}"),)
    if not os.access(parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        return (_unwritable(path, "permission denied"),)
    return ()


def write_output(
    output: Any, operation: Operation, destination: Destination, sink: Sink, *, is_printed: bool = False
) -> tuple[Diagnostic, ...]:
    """Print or write the output. `is_printed` says that its pieces are on standard output already.

    Warning: COG723 where there is none. Errors: `OutputProblem` (COG501, COG724).
    """
    if output is None:
        return (report("COG723", "No output generated"),)
    kind = operation.output_kind
    if kind in ("file", "other") and is_data_url(output):
        content, media_type = _decoded(output)
        _write(destination.file(extension_of(media_type)), content, sink)
    elif kind == "file" and isinstance(output, str):
        sink.print(f"{output}\n")
    elif kind == "files" and isinstance(output, list):
        _write_files(output, destination, sink)
    elif kind == "text" and isinstance(output, str):
        _write_text(output, destination, ".txt", sink)
    elif kind == "pieces" and isinstance(output, list) and all(isinstance(piece, str) for piece in output):
        if not is_printed:
            _write_text("".join(output), destination, ".txt", sink)
    else:
        _write_document(output, operation, destination, sink)
    return ()


def document_output(output: Any, schema: Schema, destination: Destination, sink: Sink) -> Any:
    """The output with each file in it written, and replaced by its path. Errors: `OutputProblem`."""

    def place(name: str, extension: str) -> Path:
        if not name:
            path = destination.path
            if path is None or path.is_dir():
                return destination.file(extension)
            beside = path.with_suffix(extension)
            return beside if beside != path else destination.member(_DEFAULT_STEM, extension)
        return destination.member(name, extension)

    return _without_files(output, schema, "", place, sink)


def write_document(text: str, destination: Destination, sink: Sink) -> None:
    """The text of a JSON document: printed, or into the file of `-o`. Errors: `OutputProblem`."""
    if destination.path is None:
        sink.print(text)
    else:
        _write(destination.file(".json"), text.encode("utf-8", "surrogatepass"), sink)


# -- kinds of output ------------------------------------------------------------------------------


def _write_files(urls: list[Any], destination: Destination, sink: Sink) -> None:
    path = destination.path
    suffix = path.suffix if path is not None and not path.is_dir() else ""
    for index, url in enumerate(urls):
        if is_data_url(url):
            content, media_type = _decoded(url)
            _write(destination.member(str(index), suffix or extension_of(media_type)), content, sink)
        else:
            sink.print(f"{url}\n")


def _write_text(text: str, destination: Destination, extension: str, sink: Sink) -> None:
    if destination.path is None and not destination.is_training:
        sink.print(f"{text}\n")
    else:
        _write(destination.file(extension), text.encode("utf-8", "surrogatepass"), sink)


def _write_document(output: Any, operation: Operation, destination: Destination, sink: Sink) -> None:
    if operation.mode == "train" and isinstance(output, dict) and is_data_url(output.get(_WEIGHTS)):
        _write_training(output, operation, destination, sink)
        return
    document = _without_files(output, operation.output, "", destination.member, sink)
    text = _json(document)
    if destination.path is None and not destination.is_training:
        sink.print(text)
    else:
        _write(destination.file(".json"), text.encode(), sink)


def _write_training(output: dict[str, Any], operation: Operation, destination: Destination, sink: Sink) -> None:
    """The weights where the output goes, other files beside them, and the document with their paths printed."""

    def place(name: str, extension: str) -> Path:
        return destination.file(extension) if name == _WEIGHTS else destination.member(name, extension)

    sink.print(_json(_without_files(output, operation.output, "", place, sink)))


def _without_files(value: Any, schema: Schema, name: str, place: Callable[[str, str], Path], sink: Sink) -> Any:
    """The value with data URLs replaced by the paths of the files that they were written to."""
    if isinstance(value, dict):
        return {
            key: _without_files(inner, _member(schema, key), _joined(name, key), place, sink)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [
            _without_files(inner, _member(schema, None), _joined(name, str(index)), place, sink)
            for index, inner in enumerate(value)
        ]
    # Text that only looks like a URL stays text where the schema says that it is text.
    if is_data_url(value) and (is_file(schema) or not schema.get("type")):
        content, media_type = _decoded(value)
        path = place(name, extension_of(media_type))
        _write(path, content, sink)
        return str(path)
    return value


def _member(schema: Schema, key: str | None) -> Schema:
    """The schema of a member of an object, or of the items of a list where `key` is None."""
    for one in alternatives(schema):
        if key is None:
            inner = one.get("items")
        else:
            properties = one.get("properties")
            inner = properties.get(key) if isinstance(properties, dict) else one.get("additionalProperties")
        if isinstance(inner, dict):
            return inner
    return {}


def _joined(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


# -- writing --------------------------------------------------------------------------------------


def _decoded(url: str) -> tuple[bytes, str | None]:
    try:
        return read_data_url(url)
    except ValueError as error:
        raise OutputProblem(report("COG724", f"the output of the model {error}")) from error


def _write(path: Path, content: bytes, sink: Sink) -> None:
    try:
        write_atomically(path, content)
    except OSError as error:
        raise OutputProblem(_unwritable(path, describe(error))) from error
    sink.written(path)


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _unwritable(path: Path, reason: str) -> Diagnostic:
    return report("COG501", f"Output path is not writable: {path}: {reason}", hint="--output PATH writes elsewhere")


def _default_is_a_directory(path: Path) -> Diagnostic:
    message = f"Output path is not writable: {path} is a directory"
    return report("COG501", message, hint="--output PATH names a file")
