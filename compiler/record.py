"""Frozen value classes that are cheap to define.

`@record` is `@dataclass(frozen=True, slots=True, kw_only=True)` with one set of methods for all classes. A dataclass
writes and compiles the source of its own six; for the hundred classes of a compilation that was a third of the time
of a cold `cogc compile`. `dataclasses.fields` and `dataclasses.replace` work as ever; default factories do not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform

__all__ = ["record"]

T = TypeVar("T")

_set = object.__setattr__


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a class with annotated fields a frozen value: compared, hashed and shown by its fields.

    >>> @record
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> Point(x=1), Point(x=1) == Point(y=0, x=1)
    (Point(x=1, y=0), True)
    """
    made: Any = dataclass(slots=True, kw_only=True, init=False, repr=False, eq=False)(cls)
    compared = [each.name for each in fields(made) if each.compare]
    made.__record_names__ = dict.fromkeys(each.name for each in fields(made)).keys()
    made.__record_defaults__ = {each.name: each.default for each in fields(made) if each.default is not MISSING}
    made.__record_key__ = _key(compared)
    made.__init__, made.__eq__, made.__hash__ = _init, _eq, _hash
    made.__setattr__ = made.__delattr__ = _refuse
    if made.__repr__ is object.__repr__:
        made.__repr__ = _repr
    return made  # type: ignore[no-any-return]


def _key(names: list[str]) -> staticmethod[[object], object]:
    """What two records of a class are compared by."""
    getter: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()
    return staticmethod(getter)


def _init(self: Any, /, **values: object) -> None:
    cls = type(self)
    given = {**cls.__record_defaults__, **values}
    if given.keys() != cls.__record_names__:
        missing = ", ".join(name for name in cls.__record_names__ if name not in given)
        unknown = ", ".join(name for name in given if name not in cls.__record_names__)
        wrong = f"missing {missing}" if missing else f"unexpected {unknown}"
        raise TypeError(f"{cls.__name__}: {wrong}")
    for name, value in given.items():
        _set(self, name, value)


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__record_key__(self) == self.__record_key__(other)


def _hash(self: Any) -> int:
    return hash(self.__record_key__(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: object, name: str, *_: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot change the field {name}")
