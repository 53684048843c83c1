"""Protocol buffers: values as dictionaries ↔ bytes, by a schema in the notation of .proto files.

The bytes are canonical, which means those that BuildKit's own marshalling gives: digests are made from them.
Fields stand in ascending order, but members of a `oneof` after all others; what has its default is left out,
except in a `oneof`; entries of a map are sorted by the bytes of their key. Enumerations are plain numbers here.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from ...record import record

__all__ = ["Message", "Schema", "WireError"]

Message: TypeAlias = Mapping[str, Any]
"""Field names → values: int, bool, str, bytes, a message, a list of those, or for maps a dict."""

_VARINTS = ("int32", "int64", "uint32", "uint64", "bool")
_FIELD = re.compile(
    r"(?P<map>map<string, *)?(?P<repeated>repeated +)?(?P<type>[\w.]+)>? +(?P<name>\w+) *= *(?P<number>\d+) *;"
)
_MASK = (1 << 64) - 1


class WireError(ValueError):
    """Bytes that are no message."""


@record(kw_only=False)
class _Field:
    number: int
    name: str
    type: str
    is_repeated: bool = False
    is_map: bool = False
    is_oneof: bool = False


class Schema:
    """The messages of a .proto text; `encode` and `decode` are told the name of one."""

    def __init__(self, text: str) -> None:
        self._messages: dict[str, tuple[_Field, ...]] = dict(_messages(text))
        self._by_number = {name: {field.number: field for field in fields} for name, fields in self._messages.items()}

    def encode(self, name: str, message: Message) -> bytes:
        """The canonical bytes. A field that the schema lacks is a bug: KeyError."""
        fields = self._messages[name]
        if unknown := message.keys() - {field.name for field in fields}:
            raise KeyError(f"{name} has no {', '.join(sorted(unknown))}")
        written = (field for field in fields if message.get(field.name) is not None)
        return b"".join(self._field(field, message[field.name]) for field in written)

    def decode(self, name: str, data: bytes | memoryview) -> dict[str, Any]:
        """The fields that are there; those that the schema does not know are passed over. Error: WireError."""
        known = self._by_number[name]
        found: dict[str, Any] = {}
        for number, kind, value in _read_fields(memoryview(data)):
            field = known.get(number)
            if field is not None:
                self._store(found, field, kind, value)
        return found

    # -- writing -------------------------------------------------------------------------------------

    def _field(self, field: _Field, value: Any) -> bytes:
        if field.is_map:
            pairs = sorted((key.encode(), item) for key, item in value.items())
            entry = _Field(2, "value", field.type, is_oneof=True)
            return b"".join(
                _prefixed(field.number, _prefixed(1, key) + self._single(entry, item)) for key, item in pairs
            )
        if not field.is_repeated:
            return self._single(field, value)
        if field.type in _VARINTS:
            return _prefixed(field.number, b"".join(_varint(item) for item in value)) if value else b""
        item = _Field(field.number, field.name, field.type, is_oneof=True)
        return b"".join(self._single(item, each) for each in value)

    def _single(self, field: _Field, value: Any) -> bytes:
        if field.type in _VARINTS:
            return _varint(field.number << 3) + _varint(value) if value or field.is_oneof else b""
        if field.type in self._messages:
            return _prefixed(field.number, self.encode(field.type, value))
        raw = value.encode() if field.type == "string" else bytes(value)
        return _prefixed(field.number, raw) if raw or field.is_oneof else b""

    # -- reading -------------------------------------------------------------------------------------

    def _store(self, found: dict[str, Any], field: _Field, kind: int, value: Any) -> None:
        if field.is_map:
            key, item = b"", None
            for number, part_kind, part in _read_fields(value):
                if number == 1:
                    key = bytes(part)
                else:
                    item = self._value(field.type, part_kind, part)
            default = self._default(field.type)
            found.setdefault(field.name, {})[_text(key)] = default if item is None else item
        elif field.is_repeated and field.type in _VARINTS and kind == 2:
            found.setdefault(field.name, []).extend(_read_packed(value, field.type))
        elif field.is_repeated:
            found.setdefault(field.name, []).append(self._value(field.type, kind, value))
        else:
            found[field.name] = self._value(field.type, kind, value)

    def _value(self, type: str, kind: int, value: Any) -> Any:
        if (kind == 0) != (type in _VARINTS):
            raise WireError(f"a {type} of wire type {kind}")
        if kind == 0:
            return _number(value, type)
        if type in self._messages:
            return self.decode(type, value)
        return _text(bytes(value)) if type == "string" else bytes(value)

    def _default(self, type: str) -> Any:
        if type in self._messages:
            return {}
        return {"string": "", "bytes": b""}.get(type, 0)


def _messages(text: str) -> Iterator[tuple[str, tuple[_Field, ...]]]:
    """The messages of a text in the notation of .proto files, without nesting."""
    for name, body in re.findall(r"message (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}", text):
        choices = "".join(re.findall(r"oneof \w+ \{([^{}]*)\}", body))
        plain = re.sub(r"oneof \w+ \{[^{}]*\}", "", body)
        fields = [*_fields(plain, is_oneof=False), *_fields(choices, is_oneof=True)]
        yield name, tuple(fields)


def _fields(text: str, *, is_oneof: bool) -> list[_Field]:
    found = [
        _Field(
            number=int(match["number"]),
            name=match["name"],
            type=match["type"],
            is_repeated=bool(match["repeated"]),
            is_map=bool(match["map"]),
            is_oneof=is_oneof,
        )
        for match in _FIELD.finditer(text)
    ]
    return sorted(found, key=lambda field: field.number)


_SMALL = tuple(bytes((value,)) for value in range(0x80))


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a negative number as 64 bits."""
    if 0 <= value <= 0x7F:
        return _SMALL[value]
    rest = int(value) & _MASK
    parts = bytearray()
    while rest > 0x7F:
        parts.append(rest & 0x7F | 0x80)
        rest >>= 7
    parts.append(rest)
    return bytes(parts)


def _prefixed(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _read_fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """(number, wire type, value) for each field: an int for wire type 0, else the bytes."""
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value: Any
            value, position = _read_varint(data, position)
        elif kind in (1, 2, 5):
            if kind == 2:
                length, position = _read_varint(data, position)
            else:
                length = 8 if kind == 1 else 4
            if position + length > len(data):
                raise WireError("a field is cut off")
            value = data[position : position + length]
            position += length
        else:
            raise WireError(f"wire type {kind}")
        yield number, kind, value


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, position
        shift += 7
    raise WireError("a number is cut off")


def _read_packed(data: memoryview, type: str) -> Iterator[Any]:
    position = 0
    while position < len(data):
        value, position = _read_varint(data, position)
        yield _number(value, type)


def _number(value: int, type: str) -> int | bool:
    if type == "bool":
        return bool(value)
    return value - (1 << 64) if type.startswith("int") and value >> 63 else value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise WireError("a text is not UTF-8") from error
