"""`--output`, `--load` and `--push` of `cogc build`: where the image goes."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from cogc.commands._outputs import Destinations, add_output_arguments, destinations
from cogc.engines.outputs import Output


def read(*words: str, format: str = "text") -> tuple[Destinations, list[str]]:
    parser = argparse.ArgumentParser()
    add_output_arguments(parser)
    parser.add_argument("--load", action="store_true")
    arguments = parser.parse_args(words)
    arguments.format = format
    chosen, found = destinations(arguments)
    assert all(diagnostic.code == "COG503" for diagnostic in found)
    return chosen, [diagnostic.message for diagnostic in found]


@pytest.mark.parametrize(
    ("words", "outputs", "loads", "pushes"),
    [
        ((), [], True, False),
        (("--push",), [], False, True),
        (("--push", "--load"), [], True, True),
        (("-o", "out"), [Output("local", {}, "out")], False, False),
        (("-o", "-"), [Output("tar", {}, "-")], False, False),
        (("-o", "type=tar"), [Output("tar", {}, "-")], False, False),
        (("-o", "type=oci,dest=a.tar", "--load"), [Output("oci", {}, "a.tar")], True, False),
        (("-o", "type=docker"), [], True, False),
        (("-o", "type=docker,dest=a.tar"), [Output("docker", {}, "a.tar")], False, False),
        (("-o", "type=moby"), [], True, False),
        (("-o", "type=registry,name=r/x"), [Output("image", {"push": "true", "name": "r/x"})], False, False),
        (
            ("-o", 'type=image,"name=a,b",compression=zstd'),
            [Output("image", {"name": "a,b", "compression": "zstd"})],
            False,
            False,
        ),
        (("-o", "type=oci,tar=false,dest=d"), [Output("oci", {"tar": "false"}, "d")], False, False),
        (("-o", "type=cacheonly"), [Output("cacheonly")], False, False),
        (("-o", "type=local,dest=a=b"), [Output("local", {}, "a=b")], False, False),
        (("-o", "two\nlines"), [Output("local", {}, "two\nlines")], False, False),
        (("-o", 'type=tar,"dest=a ""b"", c"'), [Output("tar", {}, 'a "b", c')], False, False),
    ],
)
def test_where_it_goes(words: tuple[str, ...], outputs: list[Output], loads: bool, pushes: bool) -> None:
    chosen, found = read(*words)
    assert found == []
    assert chosen == Destinations(tuple(outputs), loads, pushes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "type=zip,dest=x"), "there is no type `zip`"),
        (("-o", "dest=x,name=y"), "type=KIND is missing"),
        (("-o", "type=local"), "dest must be a directory"),
        (("-o", "type=local,dest=-"), "dest must be a directory"),
        (("-o", "type=oci,tar=false"), "dest must be a directory"),
        (("-o", "type=local,dest=file"), "file is not a directory"),
        (("-o", "type=oci,dest=."), ". is a directory"),
        (("-o", "type=image,dest=x"), "type image writes no file"),
        (("-o", "type=oci,dest"), "`dest` is not NAME=VALUE"),
        (("-o", ""), "--output"),
        (("-o", "type=oci,dest=a", "-o", "type=tar,dest=a"), "two outputs have the dest a"),
        (("-o", "type=oci", "-o", "type=tar"), "two outputs have the dest -"),
    ],
)
def test_what_cannot_be(words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    (found,) = read(*words)[1]
    assert message in found


def test_a_document_and_an_archive_do_not_go_together() -> None:
    assert "--format json prints there as well" in read("-o", "-", format="json")[1][0]
