"""Inputs from JSON: the `input` object and the `files` of a request become what the model's function is called with."""

from __future__ import annotations

import copy
import io
from enum import Enum
from functools import partial
from typing import Any, Callable, List, Mapping, Optional, Sequence, Set, Tuple

from . import kinds as a
from .files import is_url
from .inputs import MISSING
from .objects import is_typed_dict
from .types import File, InputFile, Path, Secret

__all__ = ["decode_inputs", "lazy_inputs"]

Pointer = Tuple[Any, ...]


def lazy_inputs(signature: Any) -> List[str]:
    """The inputs whose files are fetched when they are read: those that take open files and no paths."""
    return [field.name for field in signature.inputs if _kinds_of_files(field.type) == {a.FILE}]


def _kinds_of_files(type_: Any) -> Set[Any]:
    if type_ in (a.FILE, a.PATH):
        return {type_}
    if isinstance(type_, a.UnionOf):
        return {kind for member in type_.members for kind in _kinds_of_files(member)}
    return _kinds_of_files(type_.item) if isinstance(type_, (a.OptionalOf, a.ListOf)) else set()


def decode_inputs(
    signature: Any,
    given: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
    made: List[Any],
    fetch: Callable[[int], str],
) -> dict[str, Any]:
    """The keyword arguments of a call. What has to be cleaned up afterwards is added to
    `made`: the paths of files, and open files. `fetch` gives the path of a file that is not there yet, by its index.

    Inputs that are not given get their defaults, each call its own copy. Errors: `ValueError`, `OSError`.
    """
    decoder = _Decoder({tuple(file["pointer"]): file for file in files}, made, fetch)
    arguments = {}
    for field in signature.inputs:
        if field.name in given:
            value = decoder.decode(given[field.name], field.type, (field.name,))
        else:
            value = decoder.default(field)
        if signature.parameters is None or field.name in signature.parameters:
            arguments[field.name] = value
    if signature.parameters is None:
        known = {field.name for field in signature.inputs}
        arguments.update({k: decoder.decode(v, a.ANY, (k,)) for k, v in given.items() if k not in known})
    return arguments


class _Decoder:
    """Turns the JSON of one request into values; `files` are those from URLs by their place."""

    def __init__(
        self, files: Mapping[Pointer, Mapping[str, Any]], made: List[Any], fetch: Callable[[int], str]
    ) -> None:
        self._files = files
        self._made = made
        self._fetch = fetch

    def default(self, field: Any) -> Any:
        """A copy of an input's default. Errors: `ValueError` when the input is required."""
        if field.value is MISSING:
            raise ValueError("the input %r is missing" % field.name)
        value = _copied(field.value)
        if isinstance(value, Enum) or isinstance(value, bool) or not isinstance(value, (str, int, float, list, tuple)):
            return value
        return self.decode(list(value) if isinstance(value, tuple) else value, field.type, (field.name,))

    def decode(self, value: Any, type_: Any, pointer: Pointer) -> Any:
        if value is None or (type_ is a.STR and type(value) is str and not self._files):
            return value
        if isinstance(type_, a.OptionalOf):
            return self.decode(value, type_.item, pointer)
        if isinstance(type_, a.UnionOf):
            return self._union(value, type_.members, pointer)
        if type_ is a.FLOAT and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if type_ is a.INT and isinstance(value, float) and value.is_integer():
            return int(value)
        if type_ is a.SECRET:
            return Secret(value)
        if type_ in (a.PATH, a.FILE) or pointer in self._files:
            return self._file(value, type_, pointer)
        return self._container(value, type_, pointer)

    def _container(self, value: Any, type_: Any, pointer: Pointer) -> Any:
        if isinstance(type_, a.CoderOf):
            return type_.coder.decode(value)
        if isinstance(value, list):
            item = type_.item if isinstance(type_, a.ListOf) else a.ANY
            made = [self.decode(part, item, (*pointer, index)) for index, part in enumerate(value)]
            make: Optional[Callable[[Any], Any]] = getattr(type_, "make", None)
            return made if make is None else make(made)
        if isinstance(value, dict):
            types = {field.name: field.type for field in type_.fields} if isinstance(type_, a.ObjectOf) else {}
            rest = type_.value if isinstance(type_, a.DictOf) else a.ANY
            made_ = {key: self.decode(item, types.get(key, rest), (*pointer, key)) for key, item in value.items()}
            is_plain = not isinstance(type_, a.ObjectOf) or type_.cls is None or is_typed_dict(type_.cls)
            return made_ if is_plain else type_.cls(**made_)
        return value

    def _union(self, value: Any, members: Sequence[Any], pointer: Pointer) -> Any:
        if pointer in self._files:
            wanted = next((member for member in members if member in (a.PATH, a.FILE)), a.PATH)
            return self.decode(value, wanted, pointer)
        kinds = {str: (a.STR,), bool: (a.BOOL,), int: (a.INT, a.FLOAT), float: (a.FLOAT, a.INT)}.get(type(value), ())
        for kind in kinds:
            if kind in members:
                return value if kind is not a.FLOAT else float(value)
        for member in members:
            is_fitting = (
                (isinstance(value, str) and member in (a.PATH, a.FILE, a.SECRET))
                or (isinstance(value, list) and isinstance(member, a.ListOf))
                or (isinstance(value, dict) and isinstance(member, (a.DictOf, a.ObjectOf, a.CoderOf)))
            )
            if is_fitting:
                return self.decode(value, member, pointer)
        return value

    def _file(self, value: Any, type_: Any, pointer: Pointer) -> Any:
        known = self._files.get(pointer)
        if known is not None and "path" not in known:
            return self._opened(InputFile(known["url"], known["name"], partial(self._fetch, known["index"])))
        if known is not None and type_ is a.FILE:
            return self._opened(_in_memory(known) if known["url"][:5].lower() == "data:" else open(known["path"], "rb"))
        if known is not None:
            return Path(known["path"])
        if not isinstance(value, str):
            return value
        if type_ is a.FILE:
            return self._opened(File.validate(value))
        local = Path.validate(value)
        if is_url(value):
            self._made.append(str(local))
        return local

    def _opened(self, file: Any) -> Any:
        self._made.append(file)
        return file


def _in_memory(known: Mapping[str, Any]) -> io.BytesIO:
    """The file of a data URL, as Cog's models know it."""
    with open(known["path"], "rb") as file:
        buffer = io.BytesIO(file.read())
    buffer.name = known["name"]  # type: ignore[attr-defined]
    return buffer


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:
        return value
