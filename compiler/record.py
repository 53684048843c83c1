"""Frozen value classes that are cheap to define.

`@record` is `@dataclass(frozen=True, slots=True, kw_only=True)` with one set of methods for all classes, and
`@record(kw_only=False)` the same for classes whose values are also given by place. A dataclass writes and compiles the
source of its own six methods; for the 150 classes of a compilation that was a quarter of the time of a cold
`cogc compile`. `dataclasses.fields` and `dataclasses.replace` work as ever.

Only `__init__` is compiled, and only for classes of which many objects are made: the general one is slower.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

__all__ = ["record"]

T = TypeVar("T")

_OBJECTS_BEFORE_COMPILING = 24

_set = object.__setattr__


@overload
def record(cls: type[T], /) -> type[T]: ...


@overload
def record(
    cls: None = None, /, *, kw_only: bool = True, eq: bool = True, order: bool = False
) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(
    cls: type[T] | None = None, /, *, kw_only: bool = True, eq: bool = True, order: bool = False
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a class with annotated fields a frozen value: compared, hashed and shown by its fields.

    The options mean what they mean to `dataclass`.

    >>> @record
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> Point(x=1), Point(x=1) == Point(y=0, x=1)
    (Point(x=1, y=0), True)
    """
    if cls is None:
        return lambda found: _made(found, kw_only=kw_only, eq=eq, order=order)
    return _made(cls, kw_only=kw_only, eq=eq, order=order)


def _made(cls: type[T], *, kw_only: bool, eq: bool, order: bool) -> type[T]:
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # else `dataclass` writes one from the signature, which takes longer than the rest
    made: Any = dataclass(slots=True, kw_only=kw_only, init=False, repr=False, eq=False)(cls)
    made.__record_left__ = _OBJECTS_BEFORE_COMPILING
    made.__init__ = _init
    made.__setattr__ = made.__delattr__ = _refuse
    if made.__repr__ is object.__repr__:
        made.__repr__ = _repr
    _prepare(made)
    if eq:
        made.__eq__, made.__hash__ = _eq, _hash
    if order:
        made.__lt__, made.__le__ = _comparison(operator.lt), _comparison(operator.le)
        made.__gt__, made.__ge__ = _comparison(operator.gt), _comparison(operator.ge)
    return made  # type: ignore[no-any-return]


def _prepare(made: Any) -> None:
    """What the methods need to know of the fields."""
    every = fields(made)
    made.__record_names__ = dict.fromkeys(each.name for each in every).keys()
    made.__record_defaults__ = {each.name: each.default for each in every if each.default is not MISSING}
    made.__record_factories__ = {
        each.name: each.default_factory for each in every if each.default_factory is not MISSING
    }
    made.__record_places__ = tuple(each.name for each in every if each.init and not each.kw_only)
    made.__record_key__ = _key([each.name for each in every if each.compare])


def _key(names: list[str]) -> staticmethod[[object], object]:
    """What two records of a class are compared by."""
    getter: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()
    return staticmethod(getter)


def _init(self: Any, /, *placed: object, **values: object) -> None:
    cls = type(self)
    cls.__record_left__ -= 1
    if not cls.__record_left__:
        cls.__init__ = _compiled_init(cls)
    if placed:
        _check_places(cls, placed, values)
        values.update(zip(cls.__record_places__, placed, strict=False))
    given = {**cls.__record_defaults__, **values}
    if given.keys() != cls.__record_names__:
        for name, factory in cls.__record_factories__.items():
            if name not in given:
                given[name] = factory()
        _check_names(cls, given)
    for name, value in given.items():
        _set(self, name, value)


def _check_places(cls: Any, placed: tuple[object, ...], values: dict[str, object]) -> None:
    places = cls.__record_places__
    if len(placed) > len(places):
        raise TypeError(f"{cls.__name__}: {len(placed)} values by place, where {len(places)} are possible")
    twice = [name for name in places[: len(placed)] if name in values]
    if twice:
        raise TypeError(f"{cls.__name__}: {', '.join(twice)} given twice")


def _check_names(cls: Any, given: dict[str, object]) -> None:
    missing = ", ".join(name for name in cls.__record_names__ if name not in given)
    unknown = ", ".join(name for name in given if name not in cls.__record_names__)
    if missing or unknown:
        wrong = f"missing {missing}" if missing else f"unexpected {unknown}"
        raise TypeError(f"{cls.__name__}: {wrong}")


def _compiled_init(cls: Any) -> Callable[..., None]:
    """An `__init__` for this class alone, which does the same as `_init`, faster."""
    known: dict[str, Any] = {"_set": _set, "_missing": MISSING}
    by_place: list[str] = []
    by_name: list[str] = []
    lines: list[str] = []
    for each in fields(cls):
        name = each.name
        parameter, value = name, name
        if each.default is not MISSING:
            known[f"_default_{name}"] = each.default
            parameter = f"{name}=_default_{name}"
        elif each.default_factory is not MISSING:
            known[f"_make_{name}"] = each.default_factory
            parameter = f"{name}=_missing"
            value = f"_make_{name}() if {name} is _missing else {name}" if each.init else f"_make_{name}()"
        if each.init:
            (by_name if each.kw_only else by_place).append(parameter)
        lines.append(f"    _set(self, {name!r}, {value})\n")
    parameters = ", ".join(["self", *by_place, *(["*", *by_name] if by_name else [])])
    exec(f"def __init__({parameters}):\n{''.join(lines) or '    pass'}", known)  # names of fields, nothing else
    made: Callable[..., None] = known["__init__"]
    return made


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__record_key__(self) == self.__record_key__(other)


def _hash(self: Any) -> int:
    return hash(self.__record_key__(self))


def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A method that orders records of one class as tuples of their fields."""

    def method(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return compare(self.__record_key__(self), self.__record_key__(other))

    return method


def _repr(self: Any) -> str:
    shown = ", ".join(f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: object, name: str, *_: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot change the field {name}")
