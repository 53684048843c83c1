"""The projects whose LLB the tests look at: the examples, and some golden cases."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from cogc.cli import main

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
CASES = {
    **{path.parent.name: path.parent for path in sorted(EXAMPLES.glob("*/cog.yaml"))},
    **{
        name.replace("/", "-"): HERE / name
        for name in (
            "cuda/python-from-image",
            "environment/quoting",
            "image/certificate",
            "image/user-with-group",
            "lock/pinned",
            "python/git-over-ssh",
            "python/local-wheel",
            "run/mounts",
            "run/ssh",
            "schema/dynamic-default",
            "weights/odd-names",
        )
    },
}


def compile_case(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Compiles one project, with a runtime of two files: what to emit, and more options → the printed document."""
    for module in ("cogc", "cogc.driver"):
        monkeypatch.setattr(f"{module}.__version__", "0.0.0")
    runtime = (("cog/__init__.py", b'"""The SDK."""\n'), ("requirements/server.in", b"uvicorn\n"))
    monkeypatch.setattr("cogc.driver.runtime_files", lambda: runtime)
    source = CASES[name]
    root = tmp_path / source.name
    shutil.copytree(source, root, ignore=shutil.ignore_patterns("expected", "options.toml", ".cog", "README.md"))
    options = source / "options.toml"
    settings = tomllib.loads(options.read_text("utf-8")) if options.exists() else {}
    for path, size_bytes in settings.get("big_files", {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        with open(root / path, "wb") as file:
            file.truncate(size_bytes)
    monkeypatch.delenv("COG_CA_CERT", raising=False)
    for variable, value in settings.get("environment", {}).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(root)

    def emitted(emit: str, *more: str) -> str:
        capsys.readouterr()
        status = main(["compile", *settings.get("arguments", ()), *more, "--emit", emit, "--format", "json"])
        printed = json.loads(capsys.readouterr().out)
        assert status == 0, printed
        assert not (root / ".cog").exists(), "the definition holds the generated files, nothing is staged"
        return printed["output"]

    return emitted
