"""`record` does what a frozen dataclass with slots and keywords does."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest

from cogc.record import record


@record
class Base:
    origin: str | None = field(default=None, compare=False, repr=False)


@record
class Pair(Base):
    """Two numbers."""

    left: int
    right: int = 0


@record
class Empty:
    pass


@record
class Shown:
    name: str

    def __repr__(self) -> str:
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    origin: str | None = field(default=None, compare=False, repr=False)
    left: int
    right: int = 0


def test_fields_have_values_and_defaults() -> None:
    assert (Pair(left=1).left, Pair(left=1).right, Pair(left=1).origin) == (1, 0, None)
    assert [each.name for each in fields(Pair)] == [each.name for each in fields(Reference)]
    assert replace(Pair(left=1, origin="x"), right=2) == Pair(left=1, right=2)
    assert replace(Pair(left=1, origin="x"), right=2).origin == "x"


def test_comparison_leaves_out_what_the_fields_say() -> None:
    assert Pair(left=1, origin="a") == Pair(left=1, origin="b")
    assert hash(Pair(left=1, origin="a")) == hash(Pair(left=1, origin="b"))
    assert Pair(left=1) != Pair(left=2)
    assert Pair(left=1) != Reference(left=1)
    assert Empty() == Empty()
    assert len({Pair(left=1), Pair(left=1), Pair(left=2)}) == 2


def test_the_text_is_that_of_a_dataclass() -> None:
    assert repr(Pair(left=1)) == repr(Reference(left=1)).replace("Reference", "Pair")
    assert (repr(Empty()), repr(Shown(name="a"))) == ("Empty()", "<a>")


@pytest.mark.parametrize("values", [{}, {"right": 1}, {"left": 1, "middle": 2}])
def test_wrong_arguments(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"left|middle"):
        Pair(**values)
    with pytest.raises(TypeError):
        Pair(1)  # type: ignore[misc]


def test_nothing_can_be_changed() -> None:
    pair: Any = Pair(left=1)
    for change in (lambda: setattr(pair, "left", 2), lambda: delattr(pair, "left"), lambda: setattr(pair, "new", 2)):
        with pytest.raises(FrozenInstanceError):
            change()
    assert not hasattr(pair, "__dict__")
