"""Requests for the resolver as they come from a few lines of cog.yaml, and a matrix of three rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cogc.diagnostics import Diagnostic
from cogc.driver import Source, bundled_matrix, read_config
from cogc.frontend.lower import BuildOptions, ProjectFacts, lower
from cogc.frontend.weights import Weights
from cogc.ir.matrix import Matrix
from cogc.ir.nodes import Request, Resolution
from cogc.ir.resolver import resolve
from tests.memory_files import MemoryFiles

__all__ = ["MATRIX", "codes", "request", "resolved", "tiny_matrix"]

MATRIX = bundled_matrix()


def request(build: str, files: Mapping[str, str] | None = None, **options: Any) -> Request:
    """The request of `build: {…}`; options are those of `BuildOptions`."""
    source = Source(
        config=f"build: {{{build}}}\n".encode(), name="cog.yaml", directory="project", files=MemoryFiles(files)
    )
    config, found = read_config(source)
    assert config is not None, found
    return lower(config, ProjectFacts(directory="project", weights=Weights()), BuildOptions(**options)).request


def resolved(
    build: str, files: Mapping[str, str] | None = None, matrix: Matrix = MATRIX, **options: Any
) -> tuple[Resolution | None, tuple[Diagnostic, ...]]:
    """What the resolver makes of it."""
    return resolve(request(build, files, **options), matrix)


def codes(found: tuple[Diagnostic, ...]) -> list[str]:
    """The codes, without the remarks on the choice of the base image and on tools."""
    return [diagnostic.code for diagnostic in found if diagnostic.code not in ("COG228", "COG233")]


def tiny_matrix(**tables: Any) -> Matrix:
    """A matrix of two Pythons, one torch and no images; tables given replace or add to these."""
    known: dict[str, Any] = {
        "python": {
            "rows": [
                _python("3.11", "2027-10-01", "bookworm"),
                _python("3.12", "2028-10-01", "bookworm"),
            ]
        },
        "torch": {
            "rows": [
                {
                    "version": "9.0.0",
                    "arch": "amd64",
                    "python": ["3.11"],
                    "builds": [
                        {"id": "default", "cuda": "12.8", "cuda_from": "pip"},
                        {"id": "cpu", "cuda": None, "cuda_from": "none"},
                    ],
                }
            ]
        },
        "cuda": {"drivers": [{"cuda": "12.0.0", "minimum": "525.60.13"}], "gpus": [], "architectures": []},
        "cuda-images": {"rows": []},
        "system-packages": {"rows": []},
        "rules": {"compiles_cuda": [], "commands_that_need_cuda": [], "system_packages_of_nvidia": []},
        **tables,
    }
    return Matrix("2026.11", known.__getitem__)


def _python(version: str, end_of_life: str, debian: str) -> dict[str, Any]:
    return {
        "python": version,
        "end_of_life": end_of_life,
        "released": "2023-01-01",
        "debian": debian,
        "slim": {debian: f"{version}.0"},
        "slim_last": {},
        "ubuntu_apt": None,
    }
