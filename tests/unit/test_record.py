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


@record(kw_only=False, order=True)
class Place:
    line: int
    column: int = 1
    seen: list[int] = field(default_factory=list, compare=False)
    _kept: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)


@record(eq=False)
class Identity:
    name: str


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


def test_values_by_place_are_as_those_of_a_dataclass() -> None:
    for _ in range(60):  # the first objects of a class are made in another way than the later ones
        place = Place(3, 4)
        assert (place.line, place.column, place.seen, place._kept) == (3, 4, [], {})
        assert Place(3) == Place(line=3) == Place(3, column=1)
        assert place.seen is not Place(3, 4).seen
        assert repr(place) == "Place(line=3, column=4, seen=[])"
        assert sorted([Place(2), Place(1, 9), Place(1, 2)]) == [Place(1, 2), Place(1, 9), Place(2)]
        assert replace(place, column=9) == Place(3, 9)
        for wrong in ((1, 2, [], {}), ()):
            with pytest.raises(TypeError):
                Place(*wrong)
        with pytest.raises(TypeError):
            Place(1, line=2)  # type: ignore[misc]
        with pytest.raises(FrozenInstanceError):
            place.line = 1  # type: ignore[misc]
        match place:
            case Place(line, column):
                assert (line, column) == (3, 4)
            case _:
                pytest.fail("no match by place")


def test_identity_and_order() -> None:
    one = Identity(name="a")
    assert one != Identity(name="a")
    assert len({one, Identity(name="a")}) == 2
    with pytest.raises(TypeError):
        _ = Place(1) < 1  # type: ignore[operator]
    for compare in ("__lt__", "__le__", "__gt__", "__ge__"):
        mine = [getattr(Place(1, 2), compare)(Place(*other)) for other in ((1, 2), (1, 3), (0, 9))]
        assert mine == [getattr((1, 2), compare)(other) for other in ((1, 2), (1, 3), (0, 9))]


def test_late_objects_check_their_arguments_too() -> None:
    for _ in range(60):
        assert Pair(left=1) == Pair(left=1, right=0)
        with pytest.raises(TypeError, match="left"):
            Pair()  # type: ignore[call-arg]
        with pytest.raises(TypeError):
            Pair(left=1, middle=2)  # type: ignore[call-arg]
