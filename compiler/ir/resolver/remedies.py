"""Ways out of a conflict: one part changed, the nearest change first, and only what was seen to resolve."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from packaging.version import Version

from ...record import record
from ..matrix import Matrix, Release, cuda_tuple
from ..nodes import Request, Resolution
from ..requirement import Requirement
from .clashes import Clash
from .conflict import Conflict, Part, without
from .decide import OLDEST_PYTHON
from .demands import KNOWN, TENSORFLOW_FAMILY, Demand, demands_of, rank

__all__ = ["Remedy", "Resolves", "remedies", "versions_nearby"]

# Makes the resolution of a request, or None where there are errors; with True, where there is any doubt.
Resolves = Callable[[Request, bool], Resolution | None]
_MOST_TRIES = 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@record
class Remedy:
    """A change that was seen to resolve: what to write, the request it makes, and what comes of it.

    `release` is the release that the line now pins, where it does.
    """

    text: str
    part: Part
    request: Request
    resolution: Resolution
    release: Release | None = None


@record
class _Change:
    text: str
    request: Request
    release: Release | None = None
    is_strict: bool = True


def remedies(conflict: Conflict, matrix: Matrix, resolves: Resolves, clash: Clash | None = None) -> tuple[Remedy, ...]:
    """For each part the nearest change that makes the request resolve, settings first, `gpu: false` last.

    `clash` is what the conflict is about, where that is known.
    """
    found: list[Remedy] = []
    for part in sorted(conflict.parts, key=_order):
        for changes in _changes(part, conflict, matrix, clash):
            for tries, change in enumerate(changes):
                if tries == _MOST_TRIES:
                    break
                resolution = resolves(change.request, change.is_strict)
                if resolution is not None:
                    remedy = Remedy(
                        text=change.text,
                        part=part,
                        request=change.request,
                        resolution=resolution,
                        release=change.release,
                    )
                    found.append(remedy)
                    break
    return tuple(found)


def versions_nearby(releases: Iterable[Release], version: Version | None) -> list[Release]:
    """Releases by their distance from a version, newer ones first where it is the same; without one newest first."""
    ordered = sorted(releases, key=lambda release: release.version)
    if version is None:
        return ordered[::-1]
    older = [release for release in ordered if release.version < version]
    newer = [release for release in ordered if release.version > version]
    near = [(distance, 0, release) for distance, release in enumerate(newer, 1)]
    near += [(distance, 1, release) for distance, release in enumerate(reversed(older), 1)]
    return [release for _, _, release in sorted(near, key=lambda each: each[:2])]


def _order(part: Part) -> tuple[int, int, str]:
    kinds = ("python_version", "cuda", "cudnn", "driver", "target", "line", "gpu")
    name = part.line.name or "" if part.line else ""
    return kinds.index(part.kind), -rank(name), part.line.text if part.line else ""


def _changes(part: Part, conflict: Conflict, matrix: Matrix, clash: Clash | None) -> Iterator[Iterator[_Change]]:
    """Groups of changes, from each of which the first that resolves is taken."""
    request = conflict.whole
    match part.kind:
        case "python_version":
            yield _pythons(request, matrix)
        case "cuda":
            yield _cudas(request, matrix, clash)
            yield iter([_Change(text="remove `cuda`", request=without(request, part))])
        case "cudnn":
            yield iter([_Change(text="remove `cudnn`", request=without(request, part))])
            others = (str(image.cudnn_major) for image in reversed(matrix.cuda_images))
            yield (_Change(text=f'cudnn: "{m}"', request=replace(request, cudnn=m)) for m in dict.fromkeys(others))
        case "driver":
            yield _drivers(request, matrix)
        case "target":
            assert part.target is not None
            text = f"no {part.target.name} in `gpu_model`"
            yield iter([_Change(text=text, request=without(request, part))])
        case "gpu":
            if clash is None or clash.kind == "gpu":
                yield iter([_Change(text="gpu: false", request=without(request, part))])
        case "line":
            assert part.line is not None
            yield from _lines(part.line, request, matrix, clash)


def _pythons(request: Request, matrix: Matrix) -> Iterator[_Change]:
    written = _numbers(request.python_version or "3.12")
    known = [row.version for row in matrix.pythons if _numbers(row.version) >= OLDEST_PYTHON]
    for version in sorted(known, key=lambda v: (abs(_numbers(v)[1] - written[1]), -_numbers(v)[1])):
        if _numbers(version) != written:
            yield _Change(text=f'python_version: "{version}"', request=replace(request, python_version=version))


def _cudas(request: Request, matrix: Matrix, clash: Clash | None) -> Iterator[_Change]:
    """The CUDA that TensorFlow is tested with; where there is no image of the written one, the nearest that has one."""
    if clash is not None:
        build = clash.first.build
        if clash.first.package in TENSORFLOW_FAMILY and build is not None and build.cuda is not None:
            yield _Change(text=f'cuda: "{build.cuda}"', request=replace(request, cuda=build.cuda))
        return
    wanted = cuda_tuple(request.cuda or "11.8")
    known = {cuda_tuple(image.cuda) for image in matrix.cuda_images if cuda_tuple(image.cuda) >= (11, 0)}
    for major, minor in sorted(known, key=lambda v: (abs(v[0] - wanted[0]), abs(v[1] - wanted[1]), v[1])):
        if (major, minor) != wanted:
            text = f"{major}.{minor}"
            yield _Change(text=f'cuda: "{text}"', request=replace(request, cuda=text))


def _drivers(request: Request, matrix: Matrix) -> Iterator[_Change]:
    minimums = {matrix.minimum_driver(f"{major}.0") for major in range(10, 20)} - {None}
    for minimum in sorted((text for text in minimums if text), key=Version):
        branch = minimum.split(".")[0]
        if Version(branch) > Version(request.driver or "0"):
            yield _Change(text=f'driver: "{branch}"', request=replace(request, driver=branch))


def _lines(line: Requirement, request: Request, matrix: Matrix, clash: Clash | None) -> Iterator[Iterator[_Change]]:
    demand = _demand_of(line)
    if demand is None or demand.asked in ("wheel", "opaque"):
        return
    if demand.package.startswith("nvidia-"):
        yield _pinned_library(line, request, clash)
        yield iter([_without_line(line, request)])
        return
    if clash is None:  # lines that exclude each other
        yield iter([_without_line(line, request)])
        return
    if clash is not None and clash.kind == "index":
        yield _build_of_index(line, demand, request, clash)
        return
    yield _versions(line, demand, request, matrix, clash)
    if "and-cuda" in demand.extras and demand.version is not None:
        yield _without_gpu(line, demand, request, matrix)
    if demand.package == "torch" and demand.version is not None and demand.build is None:
        yield _of_pytorch(line, demand, request, matrix)
    if demand.package == "triton":
        yield iter([_without_line(line, request)])


def _pinned_library(line: Requirement, request: Request, clash: Clash | None) -> Iterator[_Change]:
    """The release of NVIDIA's package that the framework pins."""
    for name, pinned in clash.about if clash is not None and clash.kind == "library" else ():
        if name == line.name and pinned.startswith("=="):
            text = f"{name}{pinned}"
            changed = replace(line, text=text, specifier=pinned, options=_kept_options(line))
            yield _Change(text=text, request=_replaced(request, line, changed))


def _build_of_index(line: Requirement, demand: Demand, request: Request, clash: Clash) -> Iterator[_Change]:
    """The same release in the build that the index has."""
    assert demand.version is not None
    ((identity,),) = clash.about
    text = f"{_head(line)}=={demand.version}+{identity}"
    yield _Change(text=text, request=_with_line(request, line, text, demand.version, f"+{identity}"))


def _demand_of(line: Requirement) -> Demand | None:
    return next(iter(demands_of((line,))), None)


def _without_line(line: Requirement, request: Request) -> _Change:
    where = f" from {line.origin.file}" if line.kind == "constraint" and line.origin else ""
    return _Change(text=f"remove `{line.text}`{where}", request=without(request, Part(kind="line", line=line)))


def _versions(
    line: Requirement, demand: Demand, request: Request, matrix: Matrix, clash: Clash | None
) -> Iterator[_Change]:
    if clash is not None and clash.kind == "library":
        return
    releases = [release for release in matrix.releases(demand.package, request.architecture) if not release.is_yanked]
    admitted = [release.version for release in releases if demand.asked == "range" and demand.admits(release.version)]
    for release in versions_nearby(releases, demand.version or max(admitted, default=None)):
        if demand.build and release.build(demand.build) is None:
            continue
        if clash is not None and clash.kind == "pins" and not _same_cuda(release, clash):
            continue  # to mix CUDA versions is no way out
        build = f"+{demand.build}" if demand.build else ""
        text = f"{_head(line)}=={release.version}{build}"
        yield _Change(text=text, request=_with_line(request, line, text, release.version, build), release=release)


def _same_cuda(release: Release, clash: Clash) -> bool:
    """Whether a release is made for the major version of CUDA that the clashing builds are made for."""
    build = clash.first.build
    majors = {cuda_tuple(each.cuda)[0] for each in release.builds if each.cuda is not None}
    return build is None or build.cuda is None or cuda_tuple(build.cuda)[0] in majors


def _without_gpu(line: Requirement, demand: Demand, request: Request, matrix: Matrix) -> Iterator[_Change]:
    """The package of TensorFlow that leaves CUDA alone."""
    name = "tensorflow-cpu"
    releases = matrix.releases(name, request.architecture)
    for release in releases:
        if release.version == demand.version:
            text = f"{name}=={release.version}"
            changed = replace(line, text=text, name=name, extras=(), specifier=f"=={release.version}", options=())
            yield _Change(text=text, request=_replaced(request, line, changed), release=release)


def _of_pytorch(line: Requirement, demand: Demand, request: Request, matrix: Matrix) -> Iterator[_Change]:
    """A build of PyTorch's own index that is known for the other architecture only."""
    assert demand.version is not None
    if request.architecture != "arm64":
        return
    for release in matrix.releases("torch", "amd64"):
        cuda = release.default.cuda
        named = next((b.id for b in release.builds if b.id.startswith("cu") and b.cuda == cuda), None)
        if release.version == demand.version and named is not None:
            text = f"{_head(line)}=={release.version}+{named}"
            changed = _with_line(request, line, text, release.version, f"+{named}")
            yield _Change(text=text, request=changed, is_strict=False)


def _with_line(request: Request, line: Requirement, text: str, version: Version, build: str) -> Request:
    marker = f"; {line.marker}" if line.marker else ""
    changed = replace(line, text=text + marker, specifier=f"=={version}{build}", options=_kept_options(line))
    return _replaced(request, line, changed)


def _kept_options(line: Requirement) -> tuple[tuple[str, str], ...]:
    return tuple(option for option in line.options if option[0] != "--hash")


def _replaced(request: Request, old: Requirement, new: Requirement) -> Request:
    return replace(request, requirements=tuple(new if line is old else line for line in request.requirements))


def _head(line: Requirement) -> str:
    """Name and extras as they are written."""
    name = _NAME.match(line.text)
    extras = f"[{','.join(line.extras)}]" if line.extras else ""
    written = name[0] if name else line.name or ""
    return f"{written}{extras}" if line.name in KNOWN else written


def _numbers(python: str) -> tuple[int, int]:
    major, minor = python.split(".")[:2]
    return int(major), int(minor)
