"""What the daemon calls our operations: by the digests of our own bytes, and with the places that we gave them."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cogc.backends.llb.image import read_image
from cogc.backends.llb.lower import LlbOptions
from cogc.backends.llb.ops import Platform
from cogc.backends.llb.schema import LLB
from cogc.disk import ProjectFiles
from cogc.driver import Source, bundled_matrix, compile_project, llb_build
from cogc.engines.buildkit.address import find_address
from cogc.engines.buildkit.client import Bridge, Export, Result, build
from cogc.engines.buildkit.context_files import ContextDirectory
from cogc.engines.buildkit.errors import CallFailed
from cogc.engines.buildkit.grpc import Connection
from cogc.engines.buildkit.session import Offers
from cogc.engines.buildkit.transport import connect
from cogc.frontend.lower import BuildOptions
from cogc.ir.nodes import ImageBase
from tests.e2e.conftest import MakeProject
from tests.e2e.images import Engine
from tests.golden.llb_cases import CASES, compile_case

pytestmark = pytest.mark.engine

_IMAGE = "docker-image://"
PLATFORM = Platform("linux", "amd64")
Show = Callable[[dict[str, Any]], None]


class Emitted:
    """A definition as `cogc compile --emit llb` writes it."""

    def __init__(self, data: bytes) -> None:
        self.message = LLB.decode("Definition", data)
        *self.digests, _ = map(_digest, self.message["def"])

    def inputs(self) -> dict[str, set[str]]:
        """The digests of what each operation needs."""
        ops = zip(self.digests, self.message["def"], strict=False)
        return {digest: {edge["digest"] for edge in LLB.decode("Op", op).get("inputs", ())} for digest, op in ops}

    def elsewhere(self) -> Emitted:
        """The same with base images of a registry where nobody answers, so that no command ever runs."""
        renamed: dict[str, str] = {}
        message = {**self.message, "def": [], "metadata": {}, "source": {}}
        for raw in self.message["def"]:
            op = LLB.decode("Op", raw)
            for edge in op.get("inputs", ()):
                edge["digest"] = renamed[edge["digest"]]
            if "source" in op:
                op["source"]["identifier"] = op["source"]["identifier"].replace(_IMAGE, f"{_IMAGE}localhost:1/")
            message["def"].append(LLB.encode("Op", op))
            before, after = _digest(raw), _digest(message["def"][-1])
            renamed[before] = after
            message["metadata"][after] = self.message["metadata"][before]
        return Emitted(LLB.encode("Definition", message))


def _digest(op: bytes) -> str:
    return f"sha256:{hashlib.sha256(op).hexdigest()}"


@pytest.fixture
def solve(engine: Engine, tmp_path: Path) -> Iterator[Callable[[Callable[[Bridge], Result], Show], None]]:
    """Open a build that ends without an image: (frontend, what is told of the progress)."""
    connection = Connection(connect(find_address(None)))

    def run(frontend: Callable[[Bridge], Result], show: Show) -> None:
        build(connection, Offers(directories={"context": ContextDirectory(tmp_path)}), Export(), frontend, show)

    yield run
    connection.close()


@pytest.fixture(scope="module")
def merging(engine: Engine) -> tuple[str, ...]:
    """The options of `cogc compile` for what the daemon can."""
    return () if engine.has_containerd_store else ("--no-merge",)


class Enough(Exception):
    """All that is to be known is known: the build may end."""


@pytest.mark.parametrize("name", CASES)
def test_the_daemon_has_our_digests(
    solve: Callable[[Callable[[Bridge], Result], Show], None],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    merging: tuple[str, ...],
) -> None:
    compiled = compile_case(name, tmp_path, monkeypatch, capsys)("llb", *merging)
    ours = Emitted(base64.b64decode(compiled)).elsewhere()
    theirs: dict[str, dict[str, Any]] = {}
    changed = threading.Condition()

    def show(document: dict[str, Any]) -> None:
        with changed:
            theirs.update((vertex["digest"], vertex) for vertex in document["vertexes"])
            changed.notify_all()

    def frontend(bridge: Bridge) -> Result:
        call = bridge.start_solve(ours)  # type: ignore[arg-type]
        with changed:  # the daemon lists them all before it does anything
            changed.wait_for(lambda: theirs.keys() >= set(ours.digests), 20)
        call.cancel()
        raise Enough

    with pytest.raises(Enough):
        solve(frontend, show)
    assert theirs.keys() == set(ours.digests)
    assert {digest: set(vertex.get("inputs", ())) for digest, vertex in theirs.items()} == ours.inputs()


FAILING = """\
build:
  python_version: "3.11"
  run:
    - echo before
    - "echo {session} && exit 7"
predict: predict.py:Predictor
"""


def test_the_daemon_has_our_places(
    solve: Callable[[Callable[[Bridge], Result], Show], None], engine: Engine, project: MakeProject
) -> None:
    """A step that fails is named by its digest, and comes with the lines of cog.yaml that it is from."""
    made = project("places", FAILING.format(session=engine.session))
    source = Source(
        config=(made.root / "cog.yaml").read_bytes(), name="cog.yaml", directory="p", files=ProjectFiles(made.root)
    )
    compilation = compile_project(source, BuildOptions(), bundled_matrix())
    assert compilation.resolved is not None
    stages = compilation.resolved.stages
    references = {stage.base.reference for stage in stages if isinstance(stage.base, ImageBase)}
    built = []

    def frontend(bridge: Bridge) -> Result:
        images = tuple((name, read_image(bridge.image_config(name, PLATFORM, "local")[1])) for name in references)
        options = LlbOptions(prefers_local=True, images=images, merges=bridge.capabilities()["mergeop"])
        built.append(llb_build(compilation, source, options)[0])
        return Result(((PLATFORM, bridge.solve(built[0].definition, evaluates=True), {}),))

    with pytest.raises(CallFailed) as caught:
        solve(frontend, lambda document: None)
    details = {detail["type_url"].rpartition(".")[2]: json.loads(detail["value"]) for detail in caught.value.details}
    digest = details["Vertex+json"]["digest"]
    ours = Emitted(built[0].definition.data)
    assert digest in ours.digests
    place = ours.message["source"]["locations"][digest]["locations"][0]
    assert [each["start"]["line"] for each in place["ranges"]] == [5]
    assert details["Source+json"]["ranges"] == place["ranges"]
    assert details["Source+json"]["info"]["filename"] == "cog.yaml"
    assert base64.b64decode(details["Source+json"]["info"]["data"]) == source.config
