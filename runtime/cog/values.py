"""Outputs to JSON.

Comes in: what a model returns or yields, and its declared type. Goes out: JSON, with a list of the files in it; a
value that JSON cannot hold or that has another type is an `OutputError` that says which part of the output it is.
numpy and torch are looked at only when the model has imported them.
"""

from __future__ import annotations

import datetime
import io
import math
import os
import sys
from enum import Enum
from typing import Any, Iterable, List, Mapping, Optional, Sequence, Tuple

__all__ = ["FoundFile", "OutputError", "encode", "encode_inline"]

MAX_DEPTH = 200

Pointer = Tuple[Any, ...]


class OutputError(TypeError):
    """An output that has no JSON form, or not the declared type."""


class FoundFile:
    """A file within an output: where it stands, and the path or open file that it is."""

    __slots__ = ("pointer", "source")

    def __init__(self, pointer: Pointer, source: Any) -> None:
        self.pointer = pointer
        self.source = source


def encode(value: Any, type_: Any = None) -> Tuple[Any, List[FoundFile]]:
    """The JSON of a value and the files in it, whose places hold None. Errors: `OutputError`.

    `type_` is the declared type, None where anything is allowed.
    """
    encoder = _Encoder()
    return encoder.encode(value, type_, ()), encoder.files


def encode_inline(value: Any) -> Any:
    """The JSON of a value, with files as data URLs. Errors: `OutputError`, `OSError`."""
    from .files import data_url, guess_filename, read_bytes

    plain, files = encode(value)
    for found in files:
        if isinstance(found.source, io.IOBase):
            url = data_url(read_bytes(found.source), guess_filename(found.source))
        else:
            with open(found.source, "rb") as file:
                url = data_url(file.read(), os.path.basename(found.source))
        if not found.pointer:
            return url
        place = plain
        for part in found.pointer[:-1]:
            place = place[part]
        place[found.pointer[-1]] = url
    return plain


def _where(pointer: Pointer) -> str:
    parts = ["[%d]" % part if isinstance(part, int) else "." + part for part in pointer]
    text = "output" + "".join(parts)
    return text if len(text) <= 200 else text[:120] + "…" + text[-60:]


class _Encoder:
    """Encodes one output. `files` are those found so far, `_open` the containers around the current value."""

    def __init__(self) -> None:
        self.files: List[FoundFile] = []
        self._open: set[int] = set()

    def encode(self, value: Any, type_: Any, pointer: Pointer) -> Any:
        value = _natural(value)
        if type_ is not None:
            return self._typed(value, type_, pointer)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return _finite(value, pointer)
        if isinstance(value, (os.PathLike, io.IOBase)):
            return self._file(value, pointer)
        items = _as_object(value)
        if items is not None:
            return self._object(value, items, {}, None, pointer)
        if _is_array(value):
            return self._array(value, None, pointer)
        if type(value).__name__ in ("SecretStr", "Secret"):
            return str(value)
        raise _no_json(value, pointer)

    # Each kind of declared type; a value that does not fit is reported with the type's name.

    def _typed(self, value: Any, type_: Any, pointer: Pointer) -> Any:
        from . import kinds as a

        if type_ is a.ANY or type_ is a.UNKNOWN:
            return self.encode(value, None, pointer)
        if isinstance(type_, a.OptionalOf):
            return None if value is None else self.encode(value, type_.item, pointer)
        if isinstance(type_, a.UnionOf):
            return self._union(value, type_, pointer)
        if isinstance(type_, a.Scalar):
            return self._scalar(value, type_, pointer)
        if isinstance(type_, a.ListOf) and _is_array(value):
            return self._array(value, type_.item, pointer)
        if isinstance(type_, a.CoderOf) and isinstance(value, type_.cls):
            return self._object(value, list(type_.coder.encode(value).items()), {}, None, pointer)
        if isinstance(type_, (a.DictOf, a.ObjectOf)):
            items = _as_object(value, is_tuple_object=True)
            if items is not None and isinstance(type_, a.DictOf):
                return self._object(value, items, {}, type_.value, pointer)
            if items is not None:
                return self._named_object(value, items, type_, pointer)
        if isinstance(type_, a.LiteralOf):
            plain = self.encode(value, None, pointer)
            if any(
                plain == allowed and isinstance(plain, bool) == isinstance(allowed, bool) for allowed in type_.values
            ):
                return plain
        raise _mismatch(value, type_, pointer)

    def _scalar(self, value: Any, type_: Any, pointer: Pointer) -> Any:
        from . import kinds as a

        is_number = isinstance(value, (int, float))
        if type_ is a.STR and isinstance(value, str):
            return _text(value)
        if type_ is a.INT and is_number and (isinstance(value, int) or value.is_integer()):
            return int(value)
        if type_ is a.FLOAT and is_number:
            return _finite(float(value), pointer)
        if type_ is a.BOOL and isinstance(value, bool):
            return value
        if type_ is a.NONE and value is None:
            return None
        if type_ is a.SECRET and (isinstance(value, str) or hasattr(value, "get_secret_value")):
            return str(value)
        if type_ in (a.PATH, a.FILE):
            if isinstance(value, (os.PathLike, io.IOBase)) or hasattr(value, "read"):
                return self._file(value, pointer)
            if isinstance(value, str) and value.partition(":")[0] in ("http", "https", "data"):
                return _text(value)
            if isinstance(value, str) and os.path.isfile(value):
                return self._file(value, pointer)
        raise _mismatch(value, type_, pointer)

    def _union(self, value: Any, type_: Any, pointer: Pointer) -> Any:
        found = len(self.files)
        for member in type_.members:
            try:
                return self.encode(value, member, pointer)
            except OutputError:
                del self.files[found:]
        raise _mismatch(value, type_, pointer)

    def _named_object(self, value: Any, items: Iterable[Tuple[Any, Any]], type_: Any, pointer: Pointer) -> Any:
        pairs = list(items)
        types = {field.name: field.type for field in type_.fields}
        given = {name for name, _ in pairs}
        missing = [field.name for field in type_.fields if field.is_required and field.name not in given]
        if missing:
            raise OutputError("%s: the field %s of %s is missing" % (_where(pointer), ", ".join(missing), type_.name))
        # What a field without a value holds is not part of its type: None is sent as null.
        types = {name: types[name] if item is not None else None for name, item in pairs if name in types}
        return self._object(value, pairs, types, None, pointer)

    def _object(
        self, value: Any, items: Iterable[Tuple[Any, Any]], types: Mapping[str, Any], rest: Any, pointer: Pointer
    ) -> Any:
        self._enter(value, pointer)
        made = {}
        for key, item in items:
            name = _key(key, pointer)
            made[name] = self.encode(item, types.get(name, rest), (*pointer, name))
        self._open.discard(id(value))
        return made

    def _array(self, value: Any, item_type: Any, pointer: Pointer) -> List[Any]:
        self._enter(value, pointer)
        made: List[Any] = []
        for position, item in enumerate(value):
            kind = type(item)
            if item_type is None and (kind is int or kind is bool or (kind is float and math.isfinite(item))):
                made.append(item)
            else:
                made.append(self.encode(item, item_type, (*pointer, position)))
        self._open.discard(id(value))
        return made

    def _enter(self, value: Any, pointer: Pointer) -> None:
        if id(value) in self._open:
            raise OutputError("%s contains itself" % _where(pointer))
        if len(pointer) >= MAX_DEPTH:
            raise OutputError("%s is nested too deeply" % _where(pointer))
        self._open.add(id(value))

    def _file(self, value: Any, pointer: Pointer) -> None:
        if not isinstance(value, (os.PathLike, io.IOBase, str)):
            value = _Readable(value)
        self.files.append(FoundFile(pointer, value))


class _Readable(io.IOBase):
    """Anything with a `read` method, as an open file."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.name = getattr(source, "name", None)

    def seekable(self) -> bool:
        return hasattr(self._source, "seek")

    def seek(self, *place: Any) -> int:
        return int(self._source.seek(*place))

    def read(self, *size: Any) -> Any:
        return self._source.read(*size)


def _natural(value: Any) -> Any:
    """The value with its outermost layer in Python's own types: enums, times, numbers and arrays of libraries."""
    while isinstance(value, Enum):
        value = value.value
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if _is_a(value, "numpy", "generic"):
        plain = value.item()
        # A long double stays what it is.
        return float(value) if _is_a(plain, "numpy", "generic") else _natural(plain)
    if _is_a(value, "numpy", "ndarray"):
        return value.tolist()
    if _is_a(value, "torch", "Tensor"):
        return value.detach().cpu().tolist()
    kind = type(value)
    if kind.__module__.partition(".")[0] in ("tensorflow", "jax", "jaxlib") and hasattr(value, "__array__"):
        return value.__array__().tolist()
    return value


def _is_a(value: Any, module: str, name: str) -> bool:
    """Whether a value is of a class of a library, which the model must have imported for that."""
    return isinstance(value, getattr(sys.modules.get(module), name, ()))


def _as_object(value: Any, *, is_tuple_object: bool = False) -> Optional[Iterable[Tuple[Any, Any]]]:
    """The pairs of a value that becomes a JSON object, None for all others."""
    if isinstance(value, Mapping):
        return value.items()
    if isinstance(value, type):
        return None
    model: Any = sys.modules.get("cog.model")
    if model is not None and isinstance(value, model.BaseModel):
        return list(model.given_items(value))
    kind: Any = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return [(name, getattr(value, name)) for name in _dataclass_names(kind)]
    if hasattr(kind, "__attrs_attrs__"):
        return [(attribute.name, getattr(value, attribute.name)) for attribute in kind.__attrs_attrs__]
    if is_tuple_object and isinstance(value, tuple) and hasattr(kind, "_fields"):
        return list(zip(kind._fields, value))
    for set_name, all_name in (("model_fields_set", "model_fields"), ("__fields_set__", "__fields__")):
        if hasattr(kind, all_name) and hasattr(value, set_name):
            given = getattr(value, set_name)
            names = [name for name in getattr(kind, all_name) if name in given]
            return [(name, getattr(value, name)) for name in names] + list(_extras(value, given, names))
    coder = sys.modules.get("cog.coder")
    found = coder.Coder.lookup(kind) if coder is not None else None
    return found.encode(value).items() if found is not None else None


def _dataclass_names(kind: Any) -> List[str]:
    import dataclasses

    return [field.name for field in dataclasses.fields(kind)]


def _extras(value: Any, given: Iterable[str], known: Sequence[str]) -> Iterable[Tuple[str, Any]]:
    """Fields of a pydantic model that its class does not declare."""
    return [(name, getattr(value, name)) for name in sorted(set(given) - set(known)) if hasattr(value, name)]


def _is_array(value: Any) -> bool:
    if isinstance(value, (list, tuple, set, frozenset)):
        return True
    kind = type(value).__name__
    return kind in ("generator", "range", "dict_keys", "dict_values", "map", "filter", "zip", "deque")


def _text(value: str) -> str:
    """A text that UTF-8 can carry: what stands for undecodable bytes becomes a replacement character."""
    if value.isascii():
        return str(value)
    return (
        "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in value)
        if _has_lone(value)
        else str(value)
    )


def _has_lone(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _finite(value: float, pointer: Pointer) -> float:
    if math.isfinite(value):
        return float(value)
    name = "NaN" if value != value else "infinite"
    raise OutputError("%s is %s, which JSON does not have" % (_where(pointer), name))


def _key(key: Any, pointer: Pointer) -> str:
    key = _natural(key)
    if isinstance(key, str):
        return _text(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, (int, float)):
        return str(key)
    raise OutputError("%s has a key of type %s, which JSON does not have" % (_where(pointer), type(key).__name__))


def _no_json(value: Any, pointer: Pointer) -> OutputError:
    hint = ""
    if isinstance(value, (bytes, bytearray, memoryview)):
        hint = "; return io.BytesIO(...) or a cog.Path to send a file"
    elif hasattr(value, "save"):
        hint = "; save it to a file and return its cog.Path"
    elif hasattr(value, "__anext__") or hasattr(value, "__aiter__"):
        hint = "; declare the output as AsyncIterator[...]"
    return OutputError("%s is of type %s, which has no JSON form%s" % (_where(pointer), type(value).__name__, hint))


def _mismatch(value: Any, type_: Any, pointer: Pointer) -> OutputError:
    from .kinds import type_name

    message = "%s must be %s, but the model returned %s"
    return OutputError(message % (_where(pointer), type_name(type_), type(value).__name__))
