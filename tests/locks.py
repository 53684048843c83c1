"""Locks of projects in memory, and wheels for uv to find, so that no package index is needed."""

from __future__ import annotations

import base64
import hashlib
import io
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cogc._data import matrix_checksum, matrix_version
from cogc.ir.lock import Lock, LockedFile, LockedImage, LockedPackage, LockedPlatform
from cogc.ir.lock_drift import platform_of
from cogc.ir.lock_inputs import index_options, inputs_of
from tests.builds import compiled

__all__ = ["DIGEST", "docker_that_knows_digests", "lock_for", "make_archive", "make_wheel", "package"]

DIGEST = "sha256:" + "d" * 64

# A docker that knows one digest per image, and another one once there is a file `moved`.
_DOCKER = """\
#!{python}
import hashlib, json, pathlib, sys
if sys.argv[1:4] != ["buildx", "imagetools", "inspect"] or "unknown" in sys.argv[4]:
    sys.exit(1)
moved = pathlib.Path({here!r}, "moved").exists()
digest = hashlib.sha256((sys.argv[4] + str(moved)).encode()).hexdigest()
print(json.dumps({{"digest": "sha256:" + digest}}))
"""


def package(name: str, version: str = "1.0", **fields: Any) -> LockedPackage:
    """A wheel of an index, unless the fields say otherwise."""
    usual = {} if "source" in fields else {"file": f"{name}-{version}-py3-none-any.whl", "size_bytes": 1000}
    hashed = {} if fields.get("source") == "git" else {"sha256": hashlib.sha256(name.encode()).hexdigest()}
    return LockedPackage(name=name, version=version, **{**usual, **hashed, **fields})


def lock_for(
    text: str,
    files: Mapping[str, str] | None = None,
    *,
    packages: Sequence[LockedPackage] = (),
    images: Sequence[str] = (),
    weights: Sequence[LockedFile] = (),
    **options: Any,
) -> Lock:
    """The lock of a configuration with these packages; of `images` the digest is known."""
    compilation = compiled(text, files, **options)
    assert compilation.build is not None, compilation.diagnostics
    assert compilation.resolved is not None, compilation.diagnostics
    resolution = compilation.resolved.resolution
    entry = LockedPlatform(
        platform=platform_of(compilation.build.request),
        resolution=replace(resolution, requirements=index_options(resolution), constraints=()),
        images=tuple(LockedImage(reference=image, digest=DIGEST) for image in images),
        packages=tuple(packages),
    )
    return Lock(
        cogc="0.0.0",
        matrix=matrix_version(),
        matrix_sha256=matrix_checksum(),
        inputs=inputs_of(compilation.build.request),
        weights=tuple(weights),
        platforms=(entry,),
    )


def make_wheel(
    directory: Path, name: str, version: str, requires: Sequence[str] = (), tag: str = "py3-none-any"
) -> Path:
    """A wheel with one module, as an installer takes it. The same arguments give the same bytes."""
    info = f"{name}-{version}.dist-info"
    demands = "".join(f"Requires-Dist: {demand}\n" for demand in requires)
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{demands}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    directory.mkdir(parents=True, exist_ok=True)
    wheel = directory / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)
    return wheel


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def make_archive(directory: Path, name: str, version: str) -> Path:
    """A source archive whose metadata can be read without building it."""
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    project = f'[project]\nname = "{name}"\nversion = "{version}"\n'
    archive = directory / f"{name}-{version}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for path, text in {"PKG-INFO": metadata, "pyproject.toml": project, f"{name}.py": ""}.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return archive


def docker_that_knows_digests(directory: Path) -> Path:
    """A program `docker` in a directory for the PATH, in place of one that would ask registries."""
    programs = directory / "bin"
    programs.mkdir(parents=True)
    program = programs / "docker"
    program.write_text(_DOCKER.format(python=sys.executable, here=str(directory)))
    program.chmod(0o755)
    return programs
