"""The raw table of each package: one row per release, in the form that `scripts/build_matrix.py` reads."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.collector.contents import assignments, build_info, gpu_code, library_names
from scripts.collector.files import IndexFile, newest, released, required_python, wheels_by_platform
from scripts.collector.index import Index
from scripts.collector.requirements import Metadata, cuda_of, cudnn_of, exact, floor_of, parse_metadata

__all__ = ["COLLECTORS", "Collector", "read_input"]

Row = dict[str, Any]
Files = list[IndexFile]

_INPUTS = Path(__file__).parent / "inputs"
_MACHINES = ("x86_64", "aarch64")
# A companion that demands no torch in particular is of use with a torch of about the same time.
_MOST_DAYS_APART = 400
_NAMED_BY_OTHERS = ("torch", "torchvision", "torchaudio", "xformers", "triton", "numpy")


def read_input(name: str) -> Any:
    """A table that was typed from documents."""
    return json.loads((_INPUTS / f"{name}.json").read_bytes())


@dataclass(frozen=True)
class Collector:
    """Reads an index. `since` leaves older releases out; `reads_inside` opens wheels for what no metadata says."""

    index: Index
    since: Version = field(default=Version("0"))
    reads_inside: bool = True
    threads: int = 8

    def each(self, project: str, row_of: Callable[[Version, Files], Row], first: str = "0") -> list[Row]:
        """The rows of a project, oldest first, made at the same time."""
        releases = self.index.releases(project, str(max(Version(first), self.since)))
        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(lambda item: row_of(*item), releases.items()))

    def metadata(self, file: IndexFile | None) -> Metadata:
        """The requirements of a wheel; none for no wheel."""
        return parse_metadata(self.index.metadata(file)) if file is not None else Metadata()

    def mebibytes(self, file: IndexFile) -> int:
        """The size of a wheel, rounded."""
        return round(self.index.size(file) / 2**20)


def _row(version: Version, files: Files, metadata: Metadata | None = None) -> Row:
    """What every row has."""
    return {
        "version": str(version),
        "released": released(files),
        "yanked": all(file.is_yanked for file in files),
        "requires_python": required_python(files) or (metadata.requires_python if metadata else None),
        "wheels": wheels_by_platform(file for file in files if file.is_wheel),
    }


def _newest_python(file: IndexFile) -> str:
    minors = [python.rstrip("+") for python in file.pythons if python != "py3"]
    return max(minors, key=Version, default="3.11")


# -- torch and what goes with it -----------------------------------------------------------------


def _companion(name: str) -> Callable[[Collector], list[Row]]:
    def collect(collector: Collector) -> list[Row]:
        def row(version: Version, files: Files) -> Row:
            demanded: dict[str, str | None] = {}
            for platform in ("linux_x86_64", "linux_aarch64", "any"):
                wheel = newest(files, platform)
                if wheel is not None:
                    specifiers = [str(each.specifier) or "any" for each in collector.metadata(wheel).of("torch")]
                    demanded[platform] = specifiers[-1] if specifiers else None
            found = {"torch": next(iter(demanded.values()), None)}
            return (
                _row(version, files) | found | ({"torch_by_arch": demanded} if len(set(demanded.values())) > 1 else {})
            )

        return collector.each(name, row)

    return collect


def _torch(collector: Collector) -> list[Row]:
    variants = read_input("torch-index-variants")["rows"]
    everything = Collector(collector.index, reads_inside=collector.reads_inside, threads=collector.threads)
    companions = {name: _companion(name)(everything) for name in ("torchvision", "torchaudio")}

    def row(version: Version, files: Files) -> Row:
        default = {}
        for machine in _MACHINES:
            # A withdrawn wheel says nothing about those that stayed.
            wheel = newest([file for file in files if not file.is_yanked] or files, f"linux_{machine}")
            if wheel is not None:
                default[f"linux_{machine}"] = _torch_wheel(collector, files, wheel, machine)
        known = variants.get(str(version))
        found = _row(version, files) | {"default": default, "index_variants": (known or {}).get("variants")}
        for name, rows in companions.items():
            found[name] = [each["version"] for each in rows if each["torch"] == f"=={version}"]
            found[f"{name}_open"] = [] if found[name] else _open_companions(rows, version, found["released"])
        source = f"transcribed: {known['source']}" if known else None
        return found | {"source": {"index_variants,table_pairs": source}}

    return collector.each("torch", row)


def _torch_wheel(collector: Collector, files: Files, wheel: IndexFile, machine: str) -> Row:
    metadata = collector.metadata(wheel)
    pins = metadata.libraries(machine, _newest_python(wheel))
    triton = [each for name in ("triton", "pytorch-triton") for each in metadata.of(name)]
    markers = [str(each.marker) for each in triton if each.marker and "python" in str(each.marker)]
    row = {
        "cuda": cuda_of(pins),
        "cudnn": cudnn_of(pins),
        "nvidia_pins": pins,
        "triton": next((str(each.specifier) for each in triton if _is_for(each.marker, files, machine)), None),
        "triton_marker": next(iter(markers), None),
        "size_mib": collector.mebibytes(wheel),
        "kernels": None,
    }
    if collector.reads_inside:
        built_for = assignments(collector.index.member(wheel, r"torch/version\.py") or b"").get("cuda")
        row["cuda"] = row["cuda"] or (".".join(built_for.split(".")[:2]) if built_for else None)
        code = collector.index.member(wheel, r"torch/lib/libtorch_python\.so", gpu_code) or b""
        row["kernels"] = code.decode().split() or None
    return row


def _is_for(marker: Any, files: Files, machine: str) -> bool:
    pythons = {python.rstrip("+") for file in files for python in file.pythons} - {"py3"}
    environment = {"platform_system": "Linux", "sys_platform": "linux", "platform_machine": machine, "extra": ""}
    return marker is None or any(marker.evaluate({**environment, "python_version": each}) for each in pythons)


def _open_companions(rows: Iterable[Row], version: Version, day: str | None) -> list[str]:
    """Releases that admit this torch without naming it, from about the same time."""
    found = []
    for row in rows:
        specifier = row["torch"]
        if day is None or row["released"] is None or (specifier or "").startswith("=="):
            continue
        apart = datetime.date.fromisoformat(row["released"]) - datetime.date.fromisoformat(day)
        admits = specifier in (None, "any") or version in SpecifierSet(specifier)
        if admits and abs(apart.days) <= _MOST_DAYS_APART:
            found.append(row["version"])
    return found


# -- other frameworks ----------------------------------------------------------------------------


def _tensorflow(name: str) -> Callable[[Collector], list[Row]]:
    def collect(collector: Collector) -> list[Row]:
        tested = read_input("tensorflow-tested")["rows"]

        def row(version: Version, files: Files) -> Row:
            wheel = newest(files, "linux_x86_64")
            found = _row(version, files)
            if wheel is None:
                return found
            metadata = collector.metadata(wheel)
            found["requires"] = {"numpy": metadata.specifiers("numpy")} if metadata.of("numpy") else {}
            found["size_mib"] = collector.mebibytes(wheel)
            if "and-cuda" in metadata.extras:
                found |= _and_cuda(metadata.extra("and-cuda", python=_newest_python(wheel)))
            if collector.reads_inside:
                source = collector.index.member(wheel, r".*python/platform/build_info\.py")
                found["build"] = build_info(source) if source is not None else None
            minor = ".".join(str(version).split(".")[:2])
            near = next((tested[key] for key in (str(version), f"{minor}.0", f"{minor}.1") if key in tested), None)
            return found | {"tested": near}

        return collector.each(name, row, "1.13")

    return collect


def _and_cuda(extra: Mapping[str, str]) -> Row:
    pins = {name.partition("[")[0]: exact(specifier) for name, specifier in sorted(extra.items())}
    floor = floor_of(pins, "cuda")
    return {
        "and_cuda": pins,
        "and_cuda_cuda": cuda_of(pins) or (".".join(floor.split(".")[:2]) if floor else None),
        "and_cuda_cudnn": floor_of(pins, "cudnn") or cudnn_of(pins),
    }


def _jax(collector: Collector) -> list[Row]:
    libraries = collector.index.releases("jaxlib")
    plugins = {f"cuda{major}": collector.index.releases(f"jax-cuda{major}-plugin") for major in (11, 12, 13)}

    def row(version: Version, files: Files) -> Row:
        wheel = newest(files, "any")
        if wheel is None:
            return _row(version, files)
        metadata = collector.metadata(wheel)
        found = _row(version, files, metadata)
        wanted = {name: metadata.specifiers(name) for name in ("jaxlib", "numpy")}
        found["requires"] = {name: specifiers for name, specifiers in wanted.items() if specifiers}
        found["cuda_extras"] = {extra: metadata.extra(extra) for extra in metadata.extras if "cuda" in extra}
        ours = libraries.get(version)
        found["jaxlib_wheels"] = wheels_by_platform(ours) if ours else None
        found["plugins"] = {
            name: _plugin(collector, releases[version]) for name, releases in plugins.items() if version in releases
        }
        return found

    return collector.each("jax", row, "0.4.1")


def _plugin(collector: Collector, files: Files) -> Row:
    metadata = collector.metadata(newest(files, "linux_x86_64") or newest(files, "any"))
    pins = {name: specifier for extra in metadata.extras for name, specifier in metadata.extra(extra).items()}
    return {"wheels": wheels_by_platform(files), "with_cuda": dict(sorted(pins.items()))}


def _onnxruntime(collector: Collector) -> list[Row]:
    def row(version: Version, files: Files) -> Row:
        wheel = newest(files, "linux_x86_64")
        metadata = collector.metadata(wheel)
        found = _row(version, files, metadata) | {"numpy": metadata.specifiers("numpy"), "build": None, "needs": []}
        found["extras"] = {extra: _without_any(metadata.extra(extra)) for extra in metadata.extras}
        if wheel is None:
            return found
        found["size_mib"] = collector.mebibytes(wheel)
        if collector.reads_inside:
            source = collector.index.member(wheel, r"onnxruntime/capi/build_and_package_info\.py") or b""
            cuda = assignments(source).get("cuda_version")
            found["build"] = {"cuda_version": str(cuda)} if cuda else None
            names = collector.index.member(wheel, r".*/libonnxruntime_providers_cuda\.so", library_names)
            found["needs"] = json.loads(names or b"[]")
        return found

    return collector.each("onnxruntime-gpu", row)


def _without_any(specifiers: Mapping[str, str]) -> Row:
    return {name: "" if specifier == "any" else specifier for name, specifier in specifiers.items()}


# -- packages that demand others, and plain ones -------------------------------------------------


def _dependent(name: str, first: str) -> Callable[[Collector], list[Row]]:
    def collect(collector: Collector) -> list[Row]:
        def row(version: Version, files: Files) -> Row:
            wheels = [file for file in files if file.is_wheel]
            wheel = newest(files, "linux_x86_64") or next(iter(wheels), None)
            metadata = collector.metadata(wheel or files[0])
            found = _row(version, files, metadata) | {"sdist": any(not file.is_wheel for file in files)}
            demanded = {canonicalize_name(each.name) for each in metadata.requires} & set(_NAMED_BY_OTHERS)
            found["requires"] = {each: metadata.specifiers(each) for each in sorted(demanded) if metadata.of(each)}
            if wheel is not None:
                found["size_mib"] = collector.mebibytes(wheel)
            return found

        return collector.each(name, row, first)

    return collect


def _plain(name: str, first: str, pattern: str = ".*") -> Callable[[Collector], list[Row]]:
    def collect(collector: Collector) -> list[Row]:
        return [row for row in collector.each(name, _row, first) if re.fullmatch(pattern, row["version"])]

    return collect


COLLECTORS: dict[str, Callable[[Collector], list[Row]]] = {
    "torch": _torch,
    "torchvision": _companion("torchvision"),
    "torchaudio": _companion("torchaudio"),
    "tensorflow": _tensorflow("tensorflow"),
    "tensorflow-cpu": _tensorflow("tensorflow-cpu"),
    "tensorflow-gpu": _tensorflow("tensorflow-gpu"),
    "jax": _jax,
    "onnxruntime-gpu": _onnxruntime,
    "vllm": _dependent("vllm", "0.1"),
    "xformers": _dependent("xformers", "0.0.13"),
    "flash-attn": _dependent("flash-attn", "1.0"),
    "triton": _plain("triton", "0"),
    "numpy": _plain("numpy", "1.17", r"\d+\.\d+\.[0-6]"),
}
