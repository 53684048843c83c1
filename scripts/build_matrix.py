"""Turn a folder of raw tables into the shipped tables of `compatibility/`.

In: the folder the collector wrote, one JSON file per package, plus `cuda.json`,
`cuda-images.json` and `python.json`. Out: the same file names in `compatibility/`,
with only what a resolver reads, sorted by version and architecture, one build per
line, so that a new release is a block of added lines in a diff.

    python scripts/build_matrix.py RAW_FOLDER [--out compatibility]

Nothing is fetched and no clock is read: the same raw tables give the same bytes.
The matrix version is the content of `compatibility/MATRIX`, written by hand.
Tables without a raw one stay as they are; those of torch need torchvision, torchaudio
and python beside them, all others python. Published wheels do not change: where a row
that is there already would change or vanish, nothing is written, unless
`--allow-changes` says that the change is meant. `system-packages.json` is not made
here, see `check_system_packages.py`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from cogc.ir.matrix_diff import table_change
from cogc.ir.matrix_text import render_table

Record = dict[str, Any]
Tables = dict[str, Record]

FORMAT = 1
ROOT = Path(__file__).resolve().parent.parent

# Architecture by the tag in a wheel's name; `any` is a wheel without machine code.
ARCHES_OF_TAG = {
    "linux_x86_64": ("amd64",),
    "linux_aarch64": ("arm64",),
    "any": ("amd64", "arm64"),
}
MACHINE_OF_ARCH = {"amd64": "x86_64", "arm64": "aarch64"}

# Requirements worth keeping: packages that have a table of their own.
KNOWN_REQUIREMENTS = ("torch", "torchvision", "torchaudio", "xformers", "triton", "numpy")

# First patch release with an official image python:X.Y.Z-slim-<Debian release>, and the
# last one for a Debian release whose images ended before the Python branch did. From
# general knowledge, on the safe side: an older patch may have had the image as well.
SLIM_FIRST = {
    "3.7": {"bullseye": "3.7.12", "bookworm": "3.7.17"},
    "3.8": {"bullseye": "3.8.12", "bookworm": "3.8.17"},
    "3.9": {"bullseye": "3.9.7", "bookworm": "3.9.17", "trixie": "3.9.24"},
    "3.10": {"bullseye": "3.10.0", "bookworm": "3.10.12", "trixie": "3.10.19"},
    "3.11": {"bullseye": "3.11.0", "bookworm": "3.11.4", "trixie": "3.11.14"},
    "3.12": {"bullseye": "3.12.0", "bookworm": "3.12.0", "trixie": "3.12.12"},
    "3.13": {"bookworm": "3.13.0", "trixie": "3.13.7"},
    "3.14": {"bookworm": "3.14.0", "trixie": "3.14.0"},
    "3.15": {"trixie": "3.15.0"},
}
SLIM_LAST = {
    "3.7": {"bullseye": "3.7.17", "bookworm": "3.7.17"},
    "3.8": {"bullseye": "3.8.20", "bookworm": "3.8.20"},
    "3.9": {"bullseye": "3.9.23"},
    "3.10": {"bullseye": "3.10.18"},
    "3.11": {"bullseye": "3.11.13"},
    "3.12": {"bullseye": "3.12.11"},
}
FIRST_PYTHON_ON_TRIXIE = Version("3.13")

TORCH_SOURCES = {
    "page": ("transcribed", "PyTorch's page of previous versions"),
    "builds": ("transcribed", "release channel of the PyTorch binary build matrix"),
    "candidate": (
        "transcribed",
        "candidate channel of the PyTorch binary build matrix, before the release",
    ),
}
TENSORFLOW_SOURCES = {
    "tested": (
        "transcribed",
        "TensorFlow's tested GPU configurations for CUDA and the minimum cuDNN; the kernels "
        "and, where the wheel says it, CUDA are measured in platform/build_info.py",
    ),
    "arm64": ("inferred", "aarch64 wheels taken as CPU only; no file inside them was read"),
}
PACKAGE_SOURCES: dict[str, dict[str, tuple[str, str]]] = {
    "torch": {
        "wheel": (
            "measured",
            "wheel file names, core metadata, torch/version.py, kernel list in libtorch_python",
        ),
        **TORCH_SOURCES,
    },
    "torchvision": {"wheel": ("measured", "wheel file names and core metadata")},
    "torchaudio": {"wheel": ("measured", "wheel file names and core metadata")},
    "tensorflow": {
        "wheel": ("measured", "wheel file names, core metadata and platform/build_info.py"),
        **TENSORFLOW_SOURCES,
    },
    "tensorflow-cpu": {
        "wheel": ("measured", "wheel file names, core metadata and platform/build_info.py"),
    },
    "tensorflow-gpu": {
        "wheel": ("measured", "wheel file names, core metadata and platform/build_info.py"),
        **TENSORFLOW_SOURCES,
    },
    "onnxruntime-gpu": {
        "wheel": ("measured", "wheel file names, core metadata, build_and_package_info.py"),
        "sonames": (
            "measured",
            "library names in the CUDA provider; they tell the major version only, so the "
            "minor is the lowest of that major",
        ),
    },
    "jax": {
        "wheel": ("measured", "wheel file names and core metadata of jax, jaxlib and plugins"),
    },
    "vllm": {
        "wheel": ("measured", "wheel file names and core metadata"),
        "sdist": ("measured", "file names; the source distribution has no metadata to read"),
    },
    "xformers": {
        "wheel": ("measured", "wheel file names and core metadata"),
        "tagless": ("inferred", "wheel without a Python tag; Pythons from Requires-Python"),
    },
    "flash-attn": {
        "sdist": ("measured", "file names; the source distribution has no metadata to read"),
    },
    "triton": {"wheel": ("measured", "wheel file names")},
    "numpy": {"wheel": ("measured", "wheel file names")},
}

CUDA_SOURCES = {
    "metapackage": ("measured", "core metadata of the toolkit meta-package"),
    "files": ("measured", "wheel file names"),
    "notes": ("transcribed", "CUDA release notes, driver tables of 13.1"),
    "row13": (
        "transcribed",
        "the 13.x row of the driver tables of 13.1; the driver shipped was not looked up",
    ),
    "gpus": ("transcribed", "NVIDIA GPU documentation"),
    "names": ("inferred", "names of products and their architecture, from general knowledge"),
}
CUDA_SOURCE_OF = {
    "measured: core metadata of the toolkit meta-package": "metapackage",
    "measured: file names": "files",
    "transcribed: CUDA Toolkit 13.1 release notes, driver tables": "notes",
    "transcribed: CUDA Toolkit 13.1 release notes, driver tables (13.x row); "
    "the driver shipped with this release was not looked up": "row13",
    "transcribed: NVIDIA GPU documentation": "gpus",
    "transcribed: CUDA release notes": "notes",
}
IMAGE_SOURCES = {
    "tags": ("transcribed", "history of NVIDIA's list of supported tags, to 2025-08-18"),
    "listing": ("transcribed", "registry listings of 2026-05 and 2026-06, cuDNN devel tags only"),
    "dockerfiles": ("transcribed", "tags named in public Dockerfiles of 2026; unverified"),
}
PYTHON_SOURCES = {
    "guide": ("transcribed", "Python developer guide, status of versions"),
    "slim": ("inferred", "which slim images exist, from general knowledge; no registry was read"),
}


def version_key(text: str) -> Version:
    """The order of versions, as packaging defines it."""
    return Version(text)


def minor_of(version: str) -> str:
    """`12.5.1` to `12.5`."""
    return ".".join(version.split(".")[:2])


def cuda_of_variant(variant: str) -> str | None:
    """`cu118` to `11.8`, `cu92` to `9.2`, `cpu` to None."""
    digits = variant.removeprefix("cu")
    return f"{digits[:-1]}.{digits[-1]}" if digits.isdigit() else None


def expand_pythons(listed: Iterable[str], requires: str | None, known: list[str]) -> list[str]:
    """Python minors a wheel can be installed on, oldest first.

    `listed` holds minors (`3.11`), stable-ABI floors (`3.8+`) or `py3`; the last two
    stand for every known minor that `requires` (Requires-Python) allows.
    """
    allowed = SpecifierSet(requires or "")
    minors: set[str] = set()
    for tag in listed:
        if tag == "py3":
            minors.update(known)
        elif tag.endswith("+"):
            minors.update(m for m in known if Version(m) >= Version(tag[:-1]))
        else:
            minors.add(tag)
    # A minor counts when its last patch release is allowed; `!=3.14.1` excludes no minor.
    return sorted((m for m in minors if allowed.contains(f"{m}.99")), key=version_key)


def clauses_for(entry: str, arch: str, python: str) -> set[str]:
    """The version clauses of one requirement on one platform; none when it does not apply."""
    spec, _, marker = entry.partition(" ; ")
    environment = {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": MACHINE_OF_ARCH[arch],
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.99",
        "python_version": python,
        "sys_platform": "linux",
    }
    if spec == "any" or (marker and not Marker(marker).evaluate(environment)):
        return set()
    return {str(clause) for clause in SpecifierSet(spec)}


def specifier_for(entries: Iterable[str], arch: str, pythons: list[str]) -> str | None:
    """One specifier that holds on every Python of a row.

    Where the requirement differs between Pythons only the clauses they share are kept:
    a row never claims more than all of its wheels do. None when nothing is left.
    """
    listed = list(entries)
    per_python = [set().union(*(clauses_for(entry, arch, python) for entry in listed)) for python in pythons]
    shared = set.intersection(*per_python) if per_python else set()
    return str(SpecifierSet(",".join(shared))) if shared else None


def requirements_for(raw: Record, arch: str, pythons: list[str]) -> Record:
    """The known requirements of a raw row, for one architecture."""
    found: Record = {}
    for name in KNOWN_REQUIREMENTS:
        spec = specifier_for((raw.get("requires") or {}).get(name, ()), arch, pythons)
        if spec:
            found[name] = spec
    return found


def pins_of(raw_pins: Record | None) -> Record:
    """Pinned or bounded CUDA packages, as name to specifier; extras and free ones left out."""
    pins = {}
    for name, spec in (raw_pins or {}).items():
        if spec in ("any", ""):
            continue
        exact = spec if spec[0] in "<>=~!" else f"=={spec}"
        pins[name.partition("[")[0]] = str(SpecifierSet(exact))
    return dict(sorted(pins.items()))


def lower_bound(spec: str) -> str | None:
    """The version of the `>=`, `==` or `~=` clause."""
    floors = [c.version for c in SpecifierSet(spec) if c.operator in (">=", "==", "~=")]
    return max(floors, key=version_key) if floors else None


def drop_empty(record: Record) -> Record:
    """Without the optional keys that have nothing to say; `cuda` says something as null."""
    return {key: value for key, value in record.items() if key == "cuda" or value not in (None, {}, [], False)}


def wheels_by_arch(raw: Record) -> Iterator[tuple[str, Record]]:
    """(architecture, wheel facts) for each architecture a raw row has wheels for."""
    for tag, wheel in (raw.get("wheels") or {}).items():
        for arch in ARCHES_OF_TAG[tag]:
            yield arch, wheel


def make_row(raw: Record, arch: str, pythons: list[str], builds: list[Record]) -> Record:
    """The part of a row every package has; `requires`, `with` and `src` may be replaced."""
    return {
        "version": raw["version"],
        "released": raw["released"],
        "yanked": raw.get("yanked", False),
        "arch": arch,
        "python": pythons,
        "glibc": None,
        "builds": [drop_empty(build) for build in builds],
        "with": {},
        "requires": requirements_for(raw, arch, pythons),
        "src": "wheel",
    }


def wheel_rows(table: Record, known: list[str], builds_of: Callable[[Record, str], list[Record]]) -> Iterator[Record]:
    """One row per release and architecture with a wheel."""
    for raw in table["rows"]:
        for arch, wheel in wheels_by_arch(raw):
            pythons = expand_pythons(wheel["python"], raw["requires_python"], known)
            if pythons:
                row = make_row(raw, arch, pythons, builds_of(raw, arch))
                yield row | {"glibc": wheel.get("glibc")}


def source_rows(table: Record, known: list[str]) -> Iterator[Record]:
    """Rows for releases that exist only as source: compiled against the image's CUDA."""
    for raw in table["rows"]:
        if raw.get("sdist") and not raw["wheels"]:
            pythons = expand_pythons(["py3"], raw["requires_python"], known)
            build = {"id": "source", "cuda": None, "cuda_from": "source", "src": "sdist"}
            for arch in MACHINE_OF_ARCH:
                yield make_row(raw, arch, pythons, [build]) | {"src": "sdist"}


def plain_build(cuda_from: str) -> Callable[[Record, str], list[Record]]:
    """A function giving the single build of a package that brings no CUDA itself."""

    def builds_of(raw: Record, arch: str) -> list[Record]:
        size = raw.get("size_mib") if arch == "amd64" else None
        build = {"id": "default", "cuda": None, "cuda_from": cuda_from, "size_mib": size}
        return [build | {"src": "wheel"}]

    return builds_of


def torch_source(raw: Record) -> str:
    """Which document the index variants of a release were taken from."""
    text = raw["source"]["index_variants,table_pairs"]
    if "candidate" in text:
        return "candidate"
    return "builds" if "build matrix" in text else "page"


def torch_builds(raw: Record, arch: str) -> list[Record]:
    """What the package index serves, then the variants of PyTorch's own index (amd64 only)."""
    fact = raw["default"][f"linux_{MACHINE_OF_ARCH[arch]}"]
    pins = pins_of(fact["nvidia_pins"])
    default = {
        "id": "default",
        "cuda": fact["cuda"],
        "cudnn": fact["cudnn"],
        "cuda_from": "none" if fact["cuda"] is None else "pip" if pins else "wheel",
        "kernels": fact["kernels"],
        "pins": pins,
        "size_mib": fact["size_mib"],
        "src": "wheel",
    }
    variants = (raw["index_variants"] or []) if arch == "amd64" else []
    # By the size of the wheels there: over 2 GB with the libraries inside, under 1 GB without. From general knowledge.
    brought_by = "pip" if Version(raw["version"]) >= Version("2.2") else "wheel"
    return [default] + [
        {
            "id": variant,
            "cuda": cuda_of_variant(variant),
            "cuda_from": "none" if variant == "cpu" else brought_by,
            "src": torch_source(raw),
        }
        for variant in variants
    ]


def companion_range(versions: Iterable[str], table: list[str]) -> str | None:
    """A specifier that names exactly `versions` among the rows of a companion's table.

    Several releases are written as a range; if they do not lie side by side only the
    newest is named.
    """
    wanted = sorted((v for v in versions if v in table), key=version_key)
    if not wanted:
        return None
    start, end = table.index(wanted[0]), table.index(wanted[-1])
    if len(wanted) == 1 or table[start : end + 1] != wanted:
        return f"=={wanted[-1]}"
    return f">={wanted[0]},<={wanted[-1]}"


def torch_rows(tables: Tables, known: list[str]) -> Iterator[Record]:
    """torch, with the torchvision and torchaudio releases that demand it."""
    companions = {
        name: {
            arch: [row["version"] for row in sort_rows(package_rows(name, tables, known), arch)]
            for arch in MACHINE_OF_ARCH
        }
        for name in ("torchvision", "torchaudio")
    }
    raw_by_version = {raw["version"]: raw for raw in tables["torch"]["rows"]}
    for row in wheel_rows(tables["torch"], known, torch_builds):
        raw, arch = raw_by_version[row["version"]], row["arch"]
        for name, versions in companions.items():
            named = raw[name] or raw.get(f"{name}_open") or []
            row["with"][name] = companion_range(named, versions[arch])
        row["with"] = drop_empty(row["with"])
        fact = raw["default"][f"linux_{MACHINE_OF_ARCH[arch]}"]
        if fact["triton"]:
            marker = f" ; {fact['triton_marker']}" if fact["triton_marker"] else ""
            entry = fact["triton"] + marker
            row["requires"] = drop_empty({"triton": specifier_for([entry], arch, row["python"])})
        yield row


def torch_companion_rows(table: Record, known: list[str]) -> Iterator[Record]:
    """Torchvision or torchaudio, with the torch each release demands per architecture."""
    raw_by_version = {raw["version"]: raw for raw in table["rows"]}
    for row in wheel_rows(table, known, plain_build("torch")):
        raw = raw_by_version[row["version"]]
        tag = f"linux_{MACHINE_OF_ARCH[row['arch']]}"
        spec = (raw.get("torch_by_arch") or {}).get(tag, raw["torch"])
        found = specifier_for([spec], row["arch"], row["python"]) if spec else None
        yield row | {"requires": drop_empty({"torch": found})}


def tensorflow_builds(raw: Record, arch: str) -> list[Record]:
    """The wheel on its own (CUDA from the image) and, where it exists, its `and-cuda` extra."""
    facts = raw.get("build") or {}
    if arch == "arm64":
        return [{"id": "default", "cuda": None, "cuda_from": "none", "src": "arm64"}]
    size = raw["size_mib"]
    if not facts.get("is_cuda_build"):
        plain = {"id": "default", "cuda": None, "cuda_from": "none"}
        return [plain | {"size_mib": size, "src": "wheel"}]
    default = {
        "id": "default",
        "cuda": raw["tested"]["cuda"],
        "cudnn": raw["tested"]["cudnn"],
        "cuda_from": "system",
        "kernels": facts.get("cuda_compute_capabilities"),
        "size_mib": size,
        "src": "tested",
    }
    if not raw.get("and_cuda"):
        return [default]
    and_cuda = {
        "id": "and-cuda",
        "cuda": raw["and_cuda_cuda"],
        "cudnn": raw["and_cuda_cudnn"],
        "cuda_from": "extra",
        "extra": "and-cuda",
        "kernels": facts.get("cuda_compute_capabilities"),
        "pins": pins_of(raw["and_cuda"]),
        "size_mib": size,
        "src": "wheel",
    }
    return [default, and_cuda]


def onnxruntime_builds(raw: Record, arch: str) -> list[Record]:
    """CUDA and cuDNN from the image, or from the extras `cuda` and `cudnn` (1.21 and later)."""
    majors = {name.partition(".so.")[0]: name.partition(".so.")[2] for name in raw["needs"]}
    extras = raw["extras"]
    pins = pins_of(extras.get("cuda", {}) | extras.get("cudnn", {}))
    cudnn_pin = next((spec for name, spec in pins.items() if "cudnn" in name), "~=9.0")
    stated = (raw["build"] or {}).get("cuda_version")
    default = {
        "id": "default",
        "cuda": minor_of(stated) if stated else f"{majors['libcudart']}.0",
        "cudnn": f"{majors['libcudnn']}.0" if "libcudnn" in majors else lower_bound(cudnn_pin),
        "cuda_from": "system",
        "size_mib": raw["size_mib"] if arch == "amd64" else None,
        "src": "wheel" if stated else "sonames",
    }
    if not pins:
        return [default]
    with_extras = default | {"id": "cuda-cudnn", "cuda_from": "extra", "extra": "cuda,cudnn"}
    return [default, with_extras | {"pins": pins}]


def jax_wheels(raw: Record, table: Record) -> Record:
    """The jaxlib wheels of a jax release; when it has none, those of the newest allowed one."""
    if raw["jaxlib_wheels"]:
        wheels: Record = raw["jaxlib_wheels"]
        return wheels
    allowed = SpecifierSet((raw["requires"].get("jaxlib") or ["==0"])[0].partition(" ;")[0])
    usable = [r for r in table["rows"] if r.get("jaxlib_wheels") and r["version"] in allowed]
    if not usable:
        return {}
    newest: Record = max(usable, key=lambda row: version_key(row["version"]))["jaxlib_wheels"]
    return newest


def jax_builds(raw: Record, arch: str) -> list[Record]:
    """Jax on the CPU, then a build for each extra that brings a GPU; extras that mean the same share one.

    From 0.4.25 on plugins do, which are on the package index. Before them a jaxlib with a local version did, from an
    index of jax's own. `-local` extras, and the oldest ones, take CUDA from the image; cuDNN is in the local version.
    """
    builds: dict[str, Record] = {}
    extras = {canonicalize_name(extra): pins for extra, pins in raw["cuda_extras"].items()}
    for extra in sorted(extras, key=lambda name: (not re.fullmatch(r"cuda\d\d(-pip|-local)?", name), name)):
        build = jax_build(raw, arch, extras, extra)
        if build is None:
            continue
        same = next(
            (
                b
                for b in builds.values()
                if {**b, "id": "", "extra": "", "also": []} == {**build, "id": "", "extra": "", "also": []}
            ),
            None,
        )
        if same is not None:
            same["also"].append(extra)
        else:
            builds[extra] = build
    default = {"id": "default", "cuda": None, "cuda_from": "none", "src": "wheel"}
    return [default, *(builds[extra] for extra in sorted(builds))]


def jax_build(raw: Record, arch: str, extras: Record, extra: str) -> Record | None:
    """The build of one extra; None where it has none for the architecture, or nothing says which CUDA it is for."""
    demands = extras[extra]
    plugin = next((re.fullmatch(r"jax-(cuda\d\d)-plugin(\[.*\])?", name) for name in demands if "plugin" in name), None)
    local = re.search(r"\+cuda(\d\d)\.cudnn(\d)(\d)", demands.get("jaxlib", ""))
    if plugin is not None:
        known = raw["plugins"].get(plugin[1])
        if known is None or f"linux_{MACHINE_OF_ARCH[arch]}" not in known["wheels"]:
            return None
        major, libraries = plugin[1].removeprefix("cuda"), known["with_cuda"]
        own = (
            pins_of(libraries) if plugin[2] else pins_of({n: s for n, s in demands.items() if n.startswith("nvidia-")})
        )
        reference = pins_of(libraries) or own
    elif local is not None and arch == "amd64":
        major = local[1]
        own = pins_of({name: spec for name, spec in demands.items() if name.startswith("nvidia-")})
        reference = own or pins_of(extras.get(f"cuda{major}-pip", {}))
    else:
        return None
    runtime = next((s for n, s in reference.items() if n.startswith("nvidia-cuda-runtime")), None)
    floor = lower_bound(runtime) if runtime else None
    cudnn = next((lower_bound(s) for n, s in reference.items() if n.startswith("nvidia-cudnn")), None)
    if local is not None and not own:
        cudnn = f"{local[2]}.{local[3]}"
    if floor is None or cudnn is None or minor_of(floor).split(".")[0] != major:
        return None
    build = {"id": extra, "cuda": minor_of(floor), "cudnn": cudnn, "cuda_from": "extra" if own else "system"}
    return build | {"extra": extra, "also": [], "pins": own, "src": "wheel"}


def jax_rows(table: Record, known: list[str]) -> Iterator[Record]:
    """Jax releases for which a jaxlib wheel is on the index."""
    with_metadata = [raw for raw in table["rows"] if "requires" in raw]
    prepared = [raw | {"wheels": jax_wheels(raw, table)} for raw in with_metadata]
    return wheel_rows(table | {"rows": prepared}, known, jax_builds)


def xformers_rows(table: Record, known: list[str]) -> Iterator[Record]:
    """xformers; a wheel without a Python tag serves whatever Requires-Python allows."""
    tagless = set()
    rows = []
    for raw in table["rows"]:
        wheels = {tag: dict(wheel) for tag, wheel in raw["wheels"].items()}
        for wheel in wheels.values():
            if not wheel["python"]:
                tagless.add(raw["version"])
                wheel["python"] = ["py3"]
        rows.append(raw | {"wheels": wheels})
    for row in wheel_rows(table | {"rows": rows}, known, plain_build("torch")):
        yield row | {"src": "tagless" if row["version"] in tagless else "wheel"}


def package_rows(name: str, tables: Tables, known: list[str]) -> list[Record]:
    """All rows of one package, in no particular order."""
    table = tables[name]
    match name:
        case "torch":
            rows = torch_rows(tables, known)
        case "torchvision" | "torchaudio":
            rows = torch_companion_rows(table, known)
        case "tensorflow" | "tensorflow-cpu" | "tensorflow-gpu":
            rows = wheel_rows(table, known, tensorflow_builds)
        case "onnxruntime-gpu":
            numpy_required = [r | {"requires": {"numpy": r["numpy"]}} for r in table["rows"]]
            rows = wheel_rows(table | {"rows": numpy_required}, known, onnxruntime_builds)
        case "jax":
            rows = jax_rows(table, known)
        case "xformers":
            rows = xformers_rows(table, known)
        case "vllm":
            wheels = list(wheel_rows(table, known, plain_build("torch")))
            return wheels + list(source_rows(table, known))
        case "flash-attn":
            rows = source_rows(table, known)
        case _:
            rows = wheel_rows(table, known, plain_build("none"))
    return list(rows)


def sort_rows(rows: Iterable[Record], arch: str | None = None) -> list[Record]:
    """Rows by version, then architecture; only those of `arch` when it is given."""
    chosen = (row for row in rows if arch in (None, row["arch"]))
    return sorted(chosen, key=lambda row: (version_key(row["version"]), row["arch"]))


def cuda_tables(raw: Record) -> dict[str, list[Record]]:
    """Lists of `cuda.json`: toolkit, cudnn, drivers, gpus, architectures."""
    src = CUDA_SOURCE_OF
    by_cuda = sorted(raw["drivers"], key=lambda row: version_key(row["cuda"]))
    by_capability = sorted(raw["gpus"], key=lambda row: version_key(row["compute_capability"]))
    cudnn = sorted(raw["cudnn"], key=lambda r: (version_key(r["cudnn"]), int(r["cuda_major"])))
    return {
        "toolkit": [
            {
                "cuda": row["cuda"],
                "released_as_wheels": row["released_on_index"],
                "components": dict(sorted(row["components"].items())),
                "src": src[row["source"]],
            }
            for row in sorted(raw["toolkit"], key=lambda row: version_key(row["cuda"]))
        ],
        "cudnn": [
            {
                "cudnn": row["cudnn"],
                "cuda_major": int(row["cuda_major"]),
                "released": row["released"],
                "arch": sorted(ARCHES_OF_TAG[tag][0] for tag in row["wheels"]),
                "src": src[row["source"]],
            }
            for row in cudnn
            if row["wheels"]  # a few releases have none for Linux
        ],
        "drivers": [
            {
                "cuda": row["cuda"],
                "minimum": row["minimum"],
                "shipped_with": row["shipped_with"],
                "src": src[row["source"]],
            }
            for row in by_cuda
        ],
        "gpus": [
            {
                "sm": row["sm"],
                "compute_capability": row["compute_capability"],
                "generation": row["generation"],
                "models": [name.partition(" (")[0] for name in row["examples"].split(", ")],
                "src": src[row["source"]],
                **({"also": row["also"], "also_src": "names"} if row.get("also") else {}),
            }
            for row in by_capability
        ],
        "architectures": [
            {key: row[key] for key in ("cuda_from", "cuda_to", "min", "max")} | {"src": src[row["source"]]}
            for row in sorted(raw["toolkit_architectures"], key=lambda row: version_key(row["cuda_from"]))
        ],
    }


def image_source(raw: Record) -> str:
    """Id of the document an image row rests on."""
    text = raw["source"]
    if "supported-tags" in text:
        return "tags"
    return "listing" if "registry listing" in text else "dockerfiles"


def last_seen(raw: Record) -> str | None:
    """Year and month of the newest evidence that an image exists; None if only rumoured."""
    if "listing of 2026-06" in raw["source"]:
        return "2026-06"
    if raw["listed_2026_05"]:
        return "2026-05"
    return raw["last_listed"][:7] if raw["last_listed"] else None


def image_rows(raw: Record) -> list[Record]:
    """nvidia/cuda images, one row per CUDA release and Ubuntu release."""
    kept = ("cuda", "ubuntu", "plain", "cudnn", "cudnn_version")
    rows = [
        {key: row[key] for key in kept} | {"listed": last_seen(row), "src": image_source(row)} for row in raw["rows"]
    ]
    return sorted(rows, key=lambda r: (version_key(r["cuda"]), version_key(r["ubuntu"])))


def python_rows(raw: Record) -> list[Record]:
    """Python minors: dates, the Ubuntu and Debian releases that carry them, slim images."""
    return [
        {
            "python": row["python"],
            "released": row["released"],
            "end_of_life": row["end_of_life"],
            "ubuntu_apt": row["ubuntu_apt"],
            "debian": "trixie" if version_key(row["python"]) >= FIRST_PYTHON_ON_TRIXIE else "bookworm",
            "slim": SLIM_FIRST[row["python"]],
            "slim_last": SLIM_LAST.get(row["python"], {}),
            "src": "guide",
            "slim_src": "slim",
        }
        for row in sorted(raw["rows"], key=lambda row: version_key(row["python"]))
    ]


def source_entries(sources: dict[str, tuple[str, str]], raw: Record, cited: set[str]) -> Record:
    """The sources a file cites, each with the day its raw table was made, or the typed part of it."""
    days = {"transcribed": raw.get("transcribed", raw["collected"])}
    return {
        key: {"kind": kind, "what": what, "date": days.get(kind, raw["collected"])}
        for key, (kind, what) in sources.items()
        if key in cited
    }


def sources_cited(value: Any) -> set[str]:
    """All values of `src` and `*_src` members, at any depth."""
    if isinstance(value, list):
        return set().union(*(sources_cited(item) for item in value))
    if isinstance(value, dict):
        own = {v for k, v in value.items() if k == "src" or k.endswith("_src")}
        return own.union(*(sources_cited(v) for v in value.values()))
    return set()


def package_file(name: str, tables: Tables, matrix: str) -> str:
    """Text of one package's table."""
    rows = [drop_empty(row) for row in sort_rows(package_rows(name, tables, known_pythons(tables)))]
    sources = source_entries(PACKAGE_SOURCES[name], tables[name], sources_cited(rows))
    return render_table({"schema": FORMAT, "matrix": matrix, "package": name, "sources": sources, "rows": rows})


def list_file(
    raw: Record,
    matrix: str,
    lists: dict[str, list[Record]],
    sources: dict[str, tuple[str, str]],
) -> str:
    """Text of a table whose rows fit on a line."""
    entries = source_entries(sources, raw, sources_cited(list(lists.values())))
    return render_table({"schema": FORMAT, "matrix": matrix, "sources": entries, **lists})


def known_pythons(tables: Tables) -> list[str]:
    """Python minors of the raw Python table, oldest first."""
    return sorted((row["python"] for row in tables["python"]["rows"]), key=version_key)


def build_files(tables: Tables, matrix: str) -> dict[str, str]:
    """File name to text, for every table of the matrix that is generated."""
    files = {f"{name}.json": package_file(name, tables, matrix) for name in PACKAGE_SOURCES if name in tables}
    if (cuda := tables.get("cuda")) is not None:
        files["cuda.json"] = list_file(cuda, matrix, cuda_tables(cuda), CUDA_SOURCES)
    if (images := tables.get("cuda-images")) is not None:
        files["cuda-images.json"] = list_file(images, matrix, {"rows": image_rows(images)}, IMAGE_SOURCES)
    if (python := tables.get("python")) is not None:
        files["python.json"] = list_file(python, matrix, {"rows": python_rows(python)}, PYTHON_SOURCES)
    return files


def changes_of_old_rows(files: dict[str, str], folder: Path) -> list[str]:
    """What would change in rows that are in the tables of a folder already, one line each."""
    found = []
    for name, text in files.items():
        path = folder / name
        if not path.is_file():
            continue
        change = table_change(path.stem, json.loads(path.read_bytes()), json.loads(text))
        for row in change.rows:
            if row.kind != "added":
                found.append(f"{path.stem} {row.row}: {'; '.join(row.details) or row.kind}")
    return found


def read_tables(folder: Path) -> Tables:
    """The raw tables of a folder, by file name without the ending."""
    names = [*PACKAGE_SOURCES, "cuda", "cuda-images", "python"]
    files = {name: folder / f"{name}.json" for name in names}
    return {name: json.loads(path.read_text("utf-8")) for name, path in files.items() if path.is_file()}


def main(arguments: list[str]) -> int:
    """Write the tables; 0 when done, 1 where rows that are there would change."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("raw", type=Path, help="folder of raw tables")
    parser.add_argument("--out", type=Path, default=ROOT / "compatibility")
    parser.add_argument("--allow-changes", action="store_true", help="also change rows that are there already")
    options = parser.parse_args(arguments)
    matrix = (options.out / "MATRIX").read_text("utf-8").strip()
    files = build_files(read_tables(options.raw), matrix)
    changes = changes_of_old_rows(files, options.out)
    for change in changes:
        print(change, file=sys.stderr)
    if changes and not options.allow_changes:
        print(f"{len(changes)} rows that are there would change: nothing was written", file=sys.stderr)
        return 1
    for name, text in files.items():
        (options.out / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
