"""Classes that describe objects: `BaseModel`, `TypedDict`, dataclasses, named tuples, pydantic's and attrs' classes.

Comes in: a class. Goes out: its fields, those of its base classes first.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from typing import Any, Callable

from .inputs import MISSING, FieldInfo
from .kinds import ANY, NONE, ObjectField, OptionalOf, json_value

__all__ = ["is_named_tuple", "is_object", "is_pydantic", "is_typed_dict", "read_fields"]

# A reader of annotations for the fields that a class declares itself; the text says which field it is.
MakeReader = Callable[[type, str], Any]

_OURS = ("pydantic", "typing", "builtins", "abc")


def is_typed_dict(cls: Any) -> bool:
    """Whether values of the class are plain dicts."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__total__")


def _is_model(cls: type) -> bool:
    module = sys.modules.get("cog.model")
    return module is not None and issubclass(cls, module.BaseModel)


def is_pydantic(cls: Any) -> bool:
    """Whether the class is a pydantic model, of version 1 or 2."""
    names = [(base.__module__.partition(".")[0], base.__name__) for base in getattr(cls, "__mro__", ())]
    return ("pydantic", "BaseModel") in names


def is_named_tuple(cls: Any) -> bool:
    """Whether the class is a `NamedTuple` with annotations."""
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def is_object(cls: type) -> bool:
    """Whether the values of a class are objects with named fields."""
    return (
        _is_model(cls)
        or is_typed_dict(cls)
        or dataclasses.is_dataclass(cls)
        or is_named_tuple(cls)
        or is_pydantic(cls)
        or hasattr(cls, "__attrs_attrs__")
    )


def read_fields(cls: type, make_reader: MakeReader, *, is_lenient: bool = False) -> tuple[ObjectField, ...]:
    """The fields of an object class, those of its bases first. Errors: `TypeError`.

    When `is_lenient`, a type that cannot be read is anything: enough to make an object.
    """
    found: dict[str, ObjectField] = {}
    for owner in reversed(cls.__mro__):
        if owner.__module__.partition(".")[0] in _OURS or owner.__module__ == "cog.model":
            continue
        for name, annotation in _own_annotations(owner).items():
            if name.startswith("_"):
                continue
            if isinstance(annotation, typing.ForwardRef):
                annotation = annotation.__forward_arg__
            reader = make_reader(owner, "the field %r of %s" % (name, cls.__name__))
            try:
                if isinstance(annotation, str):
                    annotation = reader.evaluated(annotation)
                marker = _marker(annotation)
                if marker == "ClassVar":
                    continue
                type_ = reader.read(annotation)
            except TypeError:
                if not is_lenient:
                    raise
                marker, type_ = (
                    None,
                    OptionalOf(ANY) if any(word in str(annotation) for word in ("Optional", "None")) else ANY,
                )
            found[name] = _object_field(cls, owner, name, type_, marker)
    return tuple(found.values())


def _own_annotations(cls: type) -> dict[str, Any]:
    if sys.version_info < (3, 10):
        return dict(vars(cls).get("__annotations__", {}))
    try:
        return dict(inspect.get_annotations(cls))
    except NameError:
        import annotationlib  # type: ignore[import-not-found]

        return dict(annotationlib.get_annotations(cls, format=annotationlib.Format.STRING))


def _marker(annotation: Any) -> str | None:
    origin = typing.get_origin(annotation) or annotation
    return getattr(origin, "_name", None) or (origin.__name__ if isinstance(origin, type) else None)


def _object_field(cls: Any, owner: type, name: str, type_: Any, marker: str | None) -> ObjectField:
    value, description = _default(cls, owner, name)
    if value is None and type_ not in (ANY, NONE) and not isinstance(type_, OptionalOf):
        type_ = OptionalOf(type_)  # `file: Path = None` may be None, as an input may
    is_required = value is MISSING and not isinstance(type_, OptionalOf)
    if is_typed_dict(cls):
        is_required = is_required and name in getattr(cls, "__required_keys__", {name} if cls.__total__ else ())
        if marker in ("NotRequired", "Required"):
            is_required = marker == "Required"
    try:
        default = json_value(value)
    except ValueError:
        default = None
    return ObjectField(name, type_, is_required, default, description, value)


def _default(cls: Any, owner: type, name: str) -> tuple[Any, str | None]:
    """The default of a field, `MISSING` without one, and its description. Factories stay as they are."""
    if is_typed_dict(cls):
        return MISSING, None
    if is_named_tuple(cls):
        return cls._field_defaults.get(name, MISSING), None
    known = getattr(cls, "model_fields", None) or getattr(cls, "__fields__", None) if is_pydantic(cls) else None
    if isinstance(known, dict) and name in known:
        return _described(getattr(known[name], "field_info", known[name]), known[name])
    declared = vars(cls).get("__dataclass_fields__", {}).get(name)
    if declared is not None:
        return _described(declared, declared)
    attribute = next((a for a in getattr(cls, "__attrs_attrs__", ()) if a.name == name), None)
    value = attribute.default if attribute is not None else vars(owner).get(name, MISSING)
    if type(value).__name__ in ("Field", "FieldInfo") or isinstance(value, FieldInfo):
        return _described(value, value)
    return _given(value), None


def _described(info: Any, declared: Any) -> tuple[Any, str | None]:
    description = getattr(info, "description", None)
    for holder in (declared, info):
        if _given(getattr(holder, "default_factory", None)) not in (None, MISSING):
            return holder, description
    return _given(getattr(info, "default", MISSING)), description


def _given(value: Any) -> Any:
    """A default, or `MISSING` where the library has its own value for none."""
    names = ("PydanticUndefinedType", "UndefinedType", "_MISSING_TYPE", "_Nothing")
    return MISSING if value is ... or type(value).__name__ in names else value
