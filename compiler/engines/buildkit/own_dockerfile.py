"""A Dockerfile of the user → an image, by the frontend for Dockerfiles that every daemon has.

Both the file and the context travel as graphs, so that nothing is written to disk.

Source: https://github.com/moby/buildkit/blob/master/frontend/dockerfile/docs/reference.md and frontend/dockerui
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...backends.llb.definition import marshal
from ...backends.llb.lower import CONTEXT
from ...backends.llb.ops import FileOp, LocalSource, MakeFile, Note, Output, Platform
from ...frontend.dockerignore import Dockerignore
from .client import Bridge, FrontendResult

__all__ = ["solve_dockerfile"]

_FRONTEND = "dockerfile.v0"
_NAME = "Dockerfile"


def solve_dockerfile(
    bridge: Bridge,
    text: str,
    root: Path,
    platforms: Sequence[Platform],
    *,
    labels: Sequence[tuple[str, str]],
    build_args: Sequence[tuple[str, str]],
    prefers_local: bool,
    uses_cache: bool,
) -> FrontendResult:
    """The image that the text describes, with `root` as its context. Errors: OSError, CallFailed, ConnectionLost."""
    ignored = root / ".dockerignore"
    lines = ignored.read_text("utf-8", "surrogateescape") if ignored.is_file() else ""
    excludes = tuple(line for line in Dockerignore.parse(lines)[0].lines if _is_text(line))
    note = Note("[internal] load build context")
    context = LocalSource(name=CONTEXT, part=_NAME, excludes=excludes, build_id=bridge.build_id, note=note)
    file = FileOp(
        base=None,
        actions=(MakeFile(_NAME, text.encode()),),
        platform=platforms[0],
        note=Note("[internal] load build definition"),
    )
    options = {
        "filename": _NAME,
        "platform": ",".join(map(str, platforms)),
        "image-resolve-mode": "local" if prefers_local else "default",
        **{f"label:{name}": value for name, value in labels},
        **{f"build-arg:{name}": value for name, value in build_args},
        **({} if uses_cache else {"no-cache": ""}),
    }
    inputs = {
        "context": marshal(Output(context), platforms[0]),
        "dockerfile": marshal(Output(file), platforms[0]),
    }
    return bridge.run_frontend(_FRONTEND, options, inputs)


def _is_text(line: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in line)
