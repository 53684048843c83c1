"""The resolver's one entry: request × matrix → resolution, with everything it has to say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...diagnostics import Diagnostic, has_errors, report
from ..matrix import Matrix
from ..node import Cause
from ..nodes import PythonSource, Request, Resolution
from .cuda import BaseChoice, ChosenBuild, choose_base, choose_builds, slim_image
from .packages import known_packages
from .python import choose_python, minor_of
from .requirements import rewrite_requirements
from .system import expected_tools, rename_system_packages

__all__ = ["resolve"]


def resolve(request: Request, matrix: Matrix) -> tuple[Resolution | None, tuple[Diagnostic, ...]]:
    """Decide everything that the request leaves open; None where that is impossible.

    Pure: the same request and matrix give the same answer. What is unknown to the matrix is a warning and is
    passed on; only contradictions are errors. Codes: COG131, COG132, COG206, COG220–COG233, COG302, COG303.
    """
    packages, found = known_packages(request, matrix)
    python, python_causes, remarks = choose_python(request, packages, matrix)
    found += remarks
    if python is None:
        return None, found
    if request.base_image is not None and request.python_version is None:
        assumed = f"python {python} is assumed, which the base image should have"
        python_causes = (Cause(kind="default", text=assumed),)
    packages = tuple(package.narrowed(minor_of(python)) for package in packages)
    builds, remarks = choose_builds(request, packages, matrix)
    found += remarks
    base = choose_base(request, python, builds, matrix)
    found += base.diagnostics
    if has_errors(found):
        return None, found
    lines = rewrite_requirements(request, python, builds)
    names, renamed = rename_system_packages(request.system_packages, base.distribution, matrix)
    wanted_tools, tool_causes, missing = expected_tools(request)
    tools = tuple(tool for tool in wanted_tools if tool not in names)
    found += (*lines.diagnostics, *renamed, *missing, *_base_remarks(request, base), *_tools_remark(request, tools))
    source: PythonSource = request.cuda_python if base.cuda_from == "image" else "base"
    if source == "apt":
        found += _apt_has_python(request, python, base, matrix)
    resolution = Resolution(
        matrix=matrix.version,
        python=python,
        base_image=base.reference,
        tools_image=slim_image(minor_of(python), matrix)[0],
        distribution=base.distribution,
        cuda=base.cuda,
        cudnn=base.cudnn,
        cuda_from=base.cuda_from,
        packages=tuple(_chosen(builds)),
        requirements=lines.requirements,
        constraints=lines.constraints,
        system_packages=names,
        tools=tools,
        installer=lines.installer,
        installer_options=lines.installer_options,
        python_source=source,
        requirements_because=lines.causes,
        tools_because=tool_causes,
        because=(*python_causes, *base.causes),
    )
    return resolution, found


def _chosen(builds: Sequence[ChosenBuild]) -> Iterator[tuple[str, str, str]]:
    for chosen in builds:
        package, build = chosen.package, chosen.build
        if package.release is not None:
            yield package.name, str(package.release.version), build.id if build else package.local or "unknown"


def _base_remarks(request: Request, base: BaseChoice) -> tuple[Diagnostic, ...]:
    """COG228: why this image, where a GPU makes the choice worth a word."""
    if not request.is_gpu or request.base_image is not None or not base.causes:
        return ()
    why = "; ".join(cause.text for cause in base.causes)
    spans = dict(request.spans)
    hint = None if base.cuda_from == "image" else "--use-cuda-base-image=true takes an nvidia/cuda image instead"
    return (report("COG228", f"the base image is {base.reference}: {why}", spans.get("gpu"), hint=hint),)


def _tools_remark(request: Request, tools: tuple[str, ...]) -> tuple[Diagnostic, ...]:
    """COG233: packages that nobody asked for by name."""
    if not tools:
        return ()
    names = ", ".join(tools)
    message = f"system packages are added that Cog's images have: {names}"
    return (report("COG233", message, dict(request.spans).get("gpu"), hint="--no-tools leaves them out"),)


def _apt_has_python(request: Request, python: str, base: BaseChoice, matrix: Matrix) -> tuple[Diagnostic, ...]:
    """COG232: `--cuda-python apt` with a Python that the Ubuntu release does not package."""
    row = next((row for row in matrix.pythons if row.version == minor_of(python)), None)
    if row is None or base.distribution == f"ubuntu{row.ubuntu_apt}":
        return ()
    message = f"{base.distribution} has no packages of Python {minor_of(python)}, which --cuda-python apt installs"
    spans = dict(request.spans)
    return (report("COG232", message, spans.get("python_version", spans.get("gpu")), hint="--cuda-python uv"),)
