"""Coders: how values of the model's own classes become JSON objects and come back."""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = ["Coder"]


class Coder:
    """Base class of coders. Subclass it and register the subclass: `Coder.register(MyCoder)`.

    A type for which a registered coder's `factory` answers with a coder can be an input or an output; its
    schema is an object.
    """

    _registered: ClassVar[list[type[Coder]]] = []

    @staticmethod
    def register(coder: type[Coder]) -> type[Coder]:
        """Add a class of coders; usable as a decorator."""
        if coder not in Coder._registered:
            Coder._registered.append(coder)
        return coder

    @staticmethod
    def lookup(tpe: Any) -> Coder | None:
        """The coder for a type, from the first registered class that has one."""
        for coder in Coder._registered:
            found = coder.factory(tpe)
            if found is not None:
                return found
        return None

    @staticmethod
    def factory(tpe: Any) -> Coder | None:
        """A coder for the type, or None; to be overridden."""
        return None

    def encode(self, value: Any) -> dict[str, Any]:
        """The JSON object of a value; to be overridden."""
        raise NotImplementedError

    def decode(self, value: dict[str, Any]) -> Any:
        """The value of a JSON object; to be overridden."""
        raise NotImplementedError
