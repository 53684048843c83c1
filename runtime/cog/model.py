"""`BaseModel`: objects that a model returns, with named fields.

    class Output(BaseModel):
        score: Optional[float]
        file: Path

Made with keywords; a field with an `Optional` annotation may be left out, and is then not part of the response.
Values are not converted. The surface is that of pydantic's models as far as outputs need it.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Dict, Iterator

from .inputs import MISSING, FieldInfo

__all__ = ["BaseModel", "given_items"]


class BaseModel:
    """Base class of output objects."""

    _own_fields: ClassVar[dict[str, tuple[Any, Any]] | None] = None

    def __init__(self, **values: Any) -> None:
        fields = type(self)._cog_fields()
        unknown = [name for name in values if name not in fields]
        if unknown:
            raise TypeError("%s has no field %s" % (type(self).__name__, ", ".join(map(repr, unknown))))
        missing = [name for name, (is_required, _) in fields.items() if is_required and name not in values]
        if missing:
            raise TypeError("%s needs the field %s" % (type(self).__name__, ", ".join(map(repr, missing))))
        set_ = self.__dict__
        set_["_fields_set"] = set(values)
        for name, (_, default) in fields.items():
            set_[name] = values[name] if name in values else _made(default)

    @classmethod
    def _cog_fields(cls) -> dict[str, tuple[bool, Any]]:
        """The fields by name, those of base classes first: whether it is required, and its default."""
        found = cls.__dict__.get("_own_fields")
        if found is None:
            from .reading import object_fields

            found = {field.name: (field.is_required, field.value) for field in object_fields(cls)}
            cls._own_fields = found
        return found

    @property
    def model_fields_set(self) -> set[str]:
        """The names of the fields that were given."""
        return set(self.__dict__["_fields_set"])

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self)._cog_fields():
            self.__dict__["_fields_set"].add(name)
        object.__setattr__(self, name, value)

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Any = None,
        exclude: Any = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        **_: Any,
    ) -> dict[str, Any]:
        """The fields as a dict; objects inside become dicts too."""
        dumped: Dict[str, Any] = {}
        for name, (_required, default) in type(self)._cog_fields().items():
            value = getattr(self, name)
            is_left_out = (
                (include is not None and name not in include)
                or (exclude is not None and name in exclude)
                or (exclude_unset and name not in self.__dict__["_fields_set"])
                or (exclude_defaults and default is not MISSING and value == _made(default))
                or (exclude_none and value is None)
            )
            if not is_left_out:
                dumped[name] = _dumped(value)
        if mode == "json":
            from .values import encode_inline

            dumped = encode_inline(dumped)
        return dumped

    def dict(self, **options: Any) -> dict[str, Any]:
        """The fields as a dict, in pydantic's older spelling."""
        return self.model_dump(**options)

    def model_dump_json(self, **options: Any) -> str:
        """The fields as JSON text; files become data URLs."""
        import json

        return json.dumps(self.model_dump(**{**options, "mode": "json"}))

    def json(self, **options: Any) -> str:
        """The fields as JSON text, in pydantic's older spelling."""
        return self.model_dump_json(**options)

    def model_copy(self, *, update: Any = None, deep: bool = False) -> Any:
        """A copy, with some fields replaced."""
        values = {name: getattr(self, name) for name in self.__dict__["_fields_set"]}
        made = type(self)(**{**(copy.deepcopy(values) if deep else values), **(update or {})})
        return made

    def copy(self, **options: Any) -> Any:
        """A copy, in pydantic's older spelling."""
        return self.model_copy(**options)

    @classmethod
    def model_validate(cls, value: Any) -> Any:
        """An object from a dict, or the object itself."""
        return value if isinstance(value, cls) else cls(**value)

    @classmethod
    def parse_obj(cls, value: Any) -> Any:
        """An object from a dict, in pydantic's older spelling."""
        return cls.model_validate(value)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter([(name, getattr(self, name)) for name in type(self)._cog_fields()])

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "%s(%s)" % (type(self).__name__, ", ".join("%s=%r" % pair for pair in self))


def given_items(model: BaseModel) -> Iterator[tuple[str, Any]]:
    """The fields that belong to the response: those that were given, or have a value."""
    # A field may be called like any method, so nothing is looked up on the object itself.
    values = vars(model)
    for name in type(model)._cog_fields():
        if values[name] is not None or name in values["_fields_set"]:
            yield name, values[name]


def _made(default: Any) -> Any:
    """A value of its own from a default: factories are called, and what can be changed is copied."""
    if default is MISSING:
        return None
    if isinstance(default, FieldInfo):
        return _made(default.default)
    factory = getattr(default, "default_factory", None) if type(default).__name__ in ("Field", "FieldInfo") else None
    if callable(factory):
        return factory()
    return copy.deepcopy(default) if isinstance(default, (list, dict, set)) else default


def _dumped(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(map(_dumped, value))
    if isinstance(value, dict):
        return {key: _dumped(item) for key, item in value.items()}
    return value
