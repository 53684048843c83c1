"""Close everything that is open: base images, the interpreter, package names and requirement lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...diagnostics import Diagnostic
from ..matrix import Matrix
from ..node import Cause
from ..nodes import (
    Base,
    Build,
    Env,
    ImageBase,
    InitProcess,
    InstallPython,
    LinkerCache,
    OpenBase,
    OpenStage,
    OpenStep,
    Precompile,
    PythonPackages,
    Resolution,
    ResolvedBuild,
    ServerEnvironment,
    SshMount,
    Stage,
    StagedFile,
    Step,
    SystemPackages,
    Variable,
    WantedPython,
    WantedPythonPackages,
    WantedServerEnvironment,
    WantedSystemPackages,
)
from ..requirement import requirement_over_ssh
from ..resolver import resolve
from ..resolver.environment import applies
from ..resolver.python import minor_of

__all__ = ["close_build", "resolve_build"]

SERVER_REQUIREMENTS = "server-requirements.txt"
_LIBRARIES = {"amd64": "/usr/lib/x86_64-linux-gnu", "arm64": "/usr/lib/aarch64-linux-gnu"}


def resolve_build(build: Build, matrix: Matrix) -> tuple[ResolvedBuild | None, tuple[Diagnostic, ...]]:
    """`Build` → `ResolvedBuild`, or None with the errors that prevent it.

    Before: `base: OpenBase(model)`, `WantedPythonPackages([torch==2.3])`. After: `base: python:3.12-slim-bookworm`,
    `PythonPackages(requirements.txt)` with the staged file, whose first line may be an index URL.
    """
    resolution, found = resolve(build.request, matrix)
    return (None if resolution is None else close_build(build, resolution)), found


def close_build(build: Build, resolution: Resolution) -> ResolvedBuild:
    """The same for decisions that are there already, from the resolver or from a lock."""
    resolving = _Resolving(build, resolution)
    stages = tuple(resolving.stage(stage) for stage in build.stages)
    return ResolvedBuild(
        resolution=resolution,
        summary=build.summary,
        stages=stages,
        files=tuple(sorted((*build.files, *resolving.files), key=lambda file: file.path)),
        weight_layers=build.weight_layers,
    )


class _Resolving:
    def __init__(self, build: Build, resolution: Resolution) -> None:
        self._request = build.request
        self._resolution = resolution
        self.files: list[StagedFile] = []

    def stage(self, stage: OpenStage) -> Stage:
        steps = tuple(resolved for step in stage.steps for resolved in self._step(step))
        because = stage.because
        if stage.name == "python":
            because = self._resolution.because
        elif stage.name == "base":
            steps = self._linker_path(steps)
        return Stage(name=stage.name, base=self._base(stage.base), steps=steps, origin=stage.origin, because=because)

    def _base(self, base: Base | OpenBase) -> Base:
        if not isinstance(base, OpenBase):
            return base
        resolution = self._resolution
        image = resolution.base_image if base.purpose == "model" else resolution.tools_image
        return ImageBase(reference=image, platform=self._request.platform)

    def _step(self, step: OpenStep) -> Iterator[Step]:
        match step:
            case WantedPython():
                yield from self._python()
            case WantedSystemPackages():
                yield from self._system_packages(step)
            case WantedPythonPackages():
                yield from self._python_packages(step)
            case InitProcess():
                # A cache of its own: it runs beside the model's apt step, and caches are locked.
                release = self._resolution.distribution or self._tools_release
                yield replace(step, cache_id=f"apt-{release}-tools")
            case WantedServerEnvironment():
                yield self._server_environment(step)
            case Precompile():
                yield replace(step, interpreter=self._interpreter)
            case _:
                yield step

    @property
    def _interpreter(self) -> str | None:
        """The path of the model's Python; None where only the base image knows it."""
        if self._request.base_image is not None:
            return None
        source = self._resolution.python_source
        return "/opt/python/bin/python" if source in ("uv", "apt") else "/usr/local/bin/python"

    def _server_environment(self, step: WantedServerEnvironment) -> ServerEnvironment:
        # Nothing is known about the Python of a base image that the user names, unless they say it too.
        is_known = self._request.base_image is None or self._request.python_version is not None
        return ServerEnvironment(
            directory=step.directory,
            requirements_file=SERVER_REQUIREMENTS,
            python=minor_of(self._resolution.python) if is_known else None,
            interpreter=self._interpreter or "python3",
            because=step.because,
        )

    @property
    def _tools_release(self) -> str:
        """The Debian release that the image of the tools is named after."""
        return self._resolution.tools_image.rpartition("-")[2]

    def _python(self) -> Iterator[Step]:
        resolution = self._resolution
        if resolution.python_source == "base":
            return
        interpreter = self._interpreter
        assert interpreter is not None
        yield InstallPython(
            version=resolution.python,
            source=resolution.python_source,
            interpreter=interpreter,
            image=resolution.tools_image if resolution.python_source == "image" else None,
            cache_id=f"apt-{resolution.distribution or 'base'}",
            because=(Cause(kind="rule", text=f"Python {resolution.python}, which CUDA images do not have"),),
        )
        if interpreter.startswith("/opt/"):
            path = Variable(name="PATH", value=interpreter.rpartition("/")[0], mode="prepend")
            why = Cause(kind="default", text="this Python, and the programs that its packages install, come first")
            yield Env(variables=(path,), because=(why,))

    def _system_packages(self, step: WantedSystemPackages) -> Iterator[Step]:
        resolution = self._resolution
        cache = f"apt-{resolution.distribution or 'base'}"
        if resolution.tools:
            yield SystemPackages(packages=resolution.tools, cache_id=cache, because=resolution.tools_because)
        if resolution.system_packages:
            yield SystemPackages(packages=resolution.system_packages, cache_id=cache, because=step.because)

    def _python_packages(self, step: WantedPythonPackages) -> Iterator[Step]:
        resolution = self._resolution
        if not resolution.requirements:
            return
        self.files.append(StagedFile(path="requirements.txt", content="\n".join(resolution.requirements) + "\n"))
        if resolution.constraints:
            self.files.append(StagedFile(path="constraints.txt", content="\n".join(resolution.constraints) + "\n"))
        yield PythonPackages(
            requirements_file="requirements.txt",
            constraints_file="constraints.txt" if resolution.constraints else None,
            artifacts=tuple(r.path for r in step.requirements if r.kind == "artifact" and r.path),
            interpreter=self._interpreter,
            installer=resolution.installer,
            options=resolution.installer_options,
            strips=step.strips,
            ssh=self._ssh(step),
            origin=step.origin,
            because=(*step.because, *resolution.requirements_because),
        )
        yield LinkerCache(
            because=(Cause(kind="rule", text="libraries inside Python packages, for the dynamic linker"),)
        )

    def _ssh(self, step: WantedPythonPackages) -> SshMount | None:
        """The agent for requirements that are fetched over ssh, from the line of the first."""
        python, architecture = self._resolution.python, self._request.architecture
        line = requirement_over_ssh(line for line in step.requirements if applies(line, python, architecture))
        return None if line is None else SshMount(origin=line.origin)

    def _linker_path(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """CUDA images get the search path that Cog's have; on others it would only do harm.

        Packages that bring CUDA find their libraries by relative path, and other libraries on the path break them.
        """
        if self._resolution.cuda_from != "image" or not isinstance(steps[0], Env):
            return steps
        libraries = _LIBRARIES[self._request.architecture]
        path = f"{libraries}:/usr/local/nvidia/lib64:/usr/local/nvidia/bin"
        variable = Variable(name="LD_LIBRARY_PATH", value=path, mode="append")
        return (replace(steps[0], variables=(*steps[0].variables, variable)), *steps[1:])
