"""Write compatibility/sizes.json anew: how large images and packages are, where that can be measured.

Wheels are found by uv as an installer finds them, through the index that uv is configured with, and their tables of
contents are read with range requests; nothing is installed. The rows of images, tools and ratios are kept by hand in
HAND below, each with its source. What was measured once is kept in the cache folder, and rows that the table has
already stay as they are, because published wheels do not change; --again measures them too.

    python scripts/measure_sizes.py CACHE_FOLDER [--again]
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from packaging.version import Version

from cogc._data import load_table, matrix_version
from cogc.engines.uv_resolver import find_uv

TARGET = Path(__file__).parent.parent / "compatibility" / "sizes.json"
DATE = "2026-11-26"
MIB = 1024 * 1024
# Compiled Python beside its source is about as large again: measured over 35 packages.
BYTECODE = 1.1
# Which releases: those that people still build. (package, oldest release, extras, build in the package's table)
WANTED = (
    ("torch", "2.0", "", "default"),
    ("tensorflow", "2.13", "", "default"),
    ("tensorflow", "2.15", "and-cuda", "and-cuda"),
    ("tensorflow-cpu", "2.13", "", "default"),
    ("onnxruntime-gpu", "1.16", "", "default"),
    ("onnxruntime-gpu", "1.19", "cuda,cudnn", "cuda-cudnn"),
    ("torchvision", "0.15", "", "default"),
    ("torchaudio", "2.0", "", "default"),
    ("xformers", "0.0.20", "", "default"),
    ("vllm", "0.10", "", "default"),
    ("jax", "0.4.30", "cuda12", "cuda12"),
    ("jax", "0.7.2", "cuda13", "cuda13"),
)
PLATFORMS = {"amd64": "x86_64-manylinux_2_36", "arm64": "aarch64-manylinux_2_36"}

SOURCES = {
    "index": {
        "kind": "measured",
        "what": "tables of contents of the wheels that uv resolves; Python files count 2.1 times, for bytecode",
        "date": DATE,
    },
    "engine": {"kind": "measured", "what": "layers of images built from Debian's mirrors", "date": DATE},
    "installed": {
        "kind": "measured",
        "what": "35 packages installed with bytecode, against their wheels",
        "date": DATE,
    },
    "memory": {
        "kind": "inferred",
        "what": "general knowledge of published images and wheels; not measured",
        "date": DATE,
    },
}
HAND: dict[str, list[dict[str, Any]]] = {
    "images": [
        {"image": "python", "flavour": "slim", "mb": 130, "src": "memory"},
        {"image": "nvidia/cuda", "cuda": "11", "flavour": "devel", "mb": 9000, "src": "memory"},
        {"image": "nvidia/cuda", "cuda": "11", "flavour": "runtime", "mb": 3600, "src": "memory"},
        {"image": "nvidia/cuda", "cuda": "12", "flavour": "devel", "mb": 9500, "src": "memory"},
        {"image": "nvidia/cuda", "cuda": "12", "flavour": "runtime", "mb": 4300, "src": "memory"},
        {"image": "nvidia/cuda", "cuda": "13", "flavour": "devel", "mb": 9000, "src": "memory"},
        {"image": "nvidia/cuda", "cuda": "13", "flavour": "runtime", "mb": 4300, "src": "memory"},
    ],
    "system_packages": [
        {
            "packages": ["ca-certificates", "curl", "g++", "git", "make", "wget"],
            "release": "bookworm",
            "mb": 284,
            "src": "engine",
        },
        {
            "packages": ["ca-certificates", "curl", "g++", "git", "make", "wget"],
            "release": "trixie",
            "mb": 369,
            "src": "engine",
        },
    ],
    "server": [{"mb": 40, "src": "engine"}],
    "unpacking": [
        {"name": "nvidia-", "times": 1.55, "src": "index"},
        {"name": "torch", "times": 2.0, "src": "index"},
        {"name": "triton", "times": 3.6, "src": "index"},
        {"tag": "any", "times": 7.0, "src": "installed"},
        {"tag": "native", "times": 3.8, "src": "installed"},
    ],
    "guessed_packages": [
        {"package": "torch", "build": "cpu", "arch": "amd64", "mb": 700, "src": "memory"},
    ],
}


class RemoteFile(io.RawIOBase):
    """A seekable view of a remote file; its last 64 KiB come in the first request."""

    def __init__(self, url: str) -> None:
        self._url, self._position = url, 0
        with self._open("bytes=-65536") as answer:
            self._tail = answer.read()
            self.size = int(answer.headers["Content-Range"].rpartition("/")[2])

    def _open(self, span: str) -> Any:
        return urllib.request.urlopen(urllib.request.Request(self._url, headers={"Range": span}), timeout=60)

    def seekable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position and give it."""
        self._position = offset + (0, self._position, self.size)[whence]
        return self._position

    def read(self, count: int = -1) -> bytes:
        """The bytes from the position on."""
        start = self._position
        end = self.size if count < 0 else min(start + count, self.size)
        if start >= end:
            return b""
        tail_at = self.size - len(self._tail)
        if start >= tail_at:
            data = self._tail[start - tail_at : end - tail_at]
        else:
            with self._open(f"bytes={start}-{end - 1}") as answer:
                data = answer.read()
        self._position += len(data)
        return data


def resolved(line: str, python: str, platform: str, cache: Path) -> dict[str, dict[str, Any]]:
    """The wheels that a requirement comes to, by the names of their packages."""
    place = cache / f"{hashlib.sha256(f'{line} {python} {platform}'.encode()).hexdigest()}.toml"
    if not place.exists():
        words = [find_uv(), "pip", "compile", "--quiet", "--no-header", "--no-build", "--no-python-downloads"]
        words += [
            "--python-version",
            python,
            "--python-platform",
            platform,
            "--format",
            "pylock.toml",
            "-",
        ]
        done = subprocess.run(words, input=f"{line}\n".encode(), capture_output=True, check=False)
        place.write_bytes(done.stdout if done.returncode == 0 else b"")
    packages = tomllib.loads(place.read_text("utf-8")).get("packages", [])
    return {package["name"]: package["wheels"][0] for package in packages if package.get("wheels")}


def installed_bytes(url: str, cache: Path) -> int:
    """The size of a wheel's files once they are installed, with bytecode."""
    place = cache / f"{hashlib.sha256(url.encode()).hexdigest()}.size"
    if not place.exists():
        with zipfile.ZipFile(RemoteFile(url)) as wheel:
            files = wheel.infolist()
        python = sum(file.file_size for file in files if file.filename.endswith(".py"))
        place.write_text(str(round(sum(file.file_size for file in files) + BYTECODE * python)))
    return int(place.read_text())


def rows(cache: Path, known: Mapping[tuple[str, ...], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row for each release that is wanted; those that are known already stay.

    `with` are the packages of other rows that come along.
    """
    names = {package for package, *_ in WANTED}
    for package, since, extra, build in WANTED:
        for row in load_table(package)["rows"]:
            version = row["version"]
            if row.get("yanked") or Version(version) < Version(since):
                continue
            if build not in {each["id"] for each in row["builds"]}:
                continue
            key = package, version, row["arch"], build
            if key in known:
                yield known[key]
                continue
            python = max((each for each in row["python"] if _number(each) <= (3, 12)), key=_number, default=None)
            if python is None:
                continue
            line = f"{package}{f'[{extra}]' if extra else ''}=={version}"
            wheels = resolved(line, python, PLATFORMS[row["arch"]], cache)
            if not wheels:
                print(f"{line} {row['arch']}: not resolved", file=sys.stderr)
                continue
            with ThreadPoolExecutor(8) as pool:
                sizes = pool.map(lambda wheel: installed_bytes(wheel["url"], cache), wheels.values())
            installed = dict(zip(wheels, sizes, strict=True))
            yield {
                "package": package,
                "version": version,
                "arch": row["arch"],
                "build": build,
                "wheels": len(wheels),
                "with": sorted(names & installed.keys() - {package}),
                "download_mib": round(sum(wheel["size"] for wheel in wheels.values()) / MIB),
                "installed_mib": round(sum(installed.values()) / MIB),
                "own_mib": round(installed[package] / MIB),
                "src": "index",
            }


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def main() -> None:
    cache = Path(sys.argv[1])
    cache.mkdir(parents=True, exist_ok=True)
    kept = [] if "--again" in sys.argv[2:] else load_table("sizes")["packages"]
    known = {(row["package"], row["version"], row["arch"], row["build"]): row for row in kept}
    lists = {**HAND, "packages": list(rows(cache, known))}
    parts = [f'  "schema": 1,\n  "matrix": "{matrix_version()}",\n  "sources": {{\n{_lines(SOURCES)}\n  }}']
    parts += [f'  "{name}": [\n{_lines(entries)}\n  ]' for name, entries in lists.items()]
    TARGET.write_text("{\n" + ",\n".join(parts) + "\n}\n")


def _lines(entries: Mapping[str, Any] | Sequence[Any]) -> str:
    """One entry per line, as in the other tables."""
    if isinstance(entries, Mapping):
        return ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
    return ",\n".join(f"    {json.dumps(entry)}" for entry in entries)


if __name__ == "__main__":
    main()
