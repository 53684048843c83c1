"""Checks of `cogc doctor` that look at this machine: the container engine, disk, Python, GPUs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from typing import Any

from ..diagnostics import Diagnostic
from ..engines.docker.cli import DockerCli
from ._checks_project import Examined
from ._checkup import Check, Finding, Skipped, findings_of

__all__ = ["environment_checks"]

_LIMIT_SECONDS = 5.0
_LEAST_FREE_BYTES = 10 * 10**9
_OLDEST_ENGINE = (24,)
_OLDEST_BUILDX = (0, 13)
# Compute capability, the first release of torch and the first CUDA with code for it, where the tables have no list.
_FLOORS = (((10, 0), "2.7.0", "12.8"), ((9, 0), "2.0.1", "11.8"))


def environment_checks(docker: DockerCli, examined: Examined) -> tuple[Check, ...]:
    """The checks of the group Environment, in the order in which they are shown."""
    engine = _Engine(docker)
    return (
        Check("env-docker", "Environment", engine.answers),
        Check("env-buildx", "Environment", engine.buildx),
        Check("env-disk", "Environment", engine.disk),
        Check("env-python-version", "Environment", lambda: _python(examined)),
        Check("env-gpu-runtime", "Environment", lambda: engine.gpu_runtime(examined)),
        Check("env-gpu-compat", "Environment", lambda: _gpu(examined)),
    )


class _Engine:
    """What `docker info` says, asked once."""

    def __init__(self, docker: DockerCli) -> None:
        self._docker = docker
        self._info: dict[str, Any] | None = None
        self._problem: Diagnostic | None = None
        self._is_asked = False

    def _ask(self) -> dict[str, Any]:
        from ..engines import EngineFailure
        from ..engines.docker.problems import diagnose

        if os.environ.get("COG_SKIP_DOCKER_CHECK"):
            raise Skipped("COG_SKIP_DOCKER_CHECK is set")
        if not self._is_asked:
            self._is_asked = True
            try:
                done = self._docker.attempt("info", "--format={{json .}}", timeout_seconds=_LIMIT_SECONDS)
                document = json.loads(done.output) if done.output.startswith("{") else {}
                said = "\n".join(document.get("ServerErrors") or ()) or done.errors
                if done.status or (said and not (document.get("ServerVersion") or self._is_podman)):
                    self._problem = diagnose(said, "info")
                self._info = document
            except EngineFailure as failure:
                self._problem = failure.diagnostics[0]
            except subprocess.TimeoutExpired:
                self._problem = diagnose(f"Is the docker daemon running? No answer in {_LIMIT_SECONDS:g} s", "info")
        if self._problem is not None or self._info is None:
            raise Skipped("no container engine answers")
        return self._info

    @property
    def _is_podman(self) -> bool:
        from ..engines.docker.podman import is_podman

        return is_podman(self._docker.program)

    def answers(self) -> str | Iterable[Finding]:
        try:
            info = self._ask()
        except Skipped:
            if self._problem is None:
                raise
            return findings_of([self._problem])
        if self._is_podman:
            version = str((info.get("version") or {}).get("Version", "of an unknown version"))
            return f"Podman {version} in Docker's place"
        version = str(info.get("ServerVersion", ""))
        if _numbers(version) < _OLDEST_ENGINE:
            return [Finding(level="warning", message=f"Docker {version} is older than 24", remedy="update Docker")]
        return f"Docker {version} on {info.get('OperatingSystem', 'an unknown system')}, {info.get('Architecture', '')}"

    def buildx(self) -> str | Iterable[Finding]:
        from ..engines import EngineFailure
        from ..engines.docker.objects import objects_of, translated

        if self._is_podman:
            raise Skipped("Podman builds without buildx")
        try:
            with translated(self._docker, "buildx version"):
                said = objects_of(self._docker).buildx.version()
        except EngineFailure as failure:
            if failure.diagnostics[0].code == "COG620":
                raise Skipped("there is no docker program") from failure
            return findings_of(failure.diagnostics)
        words = said.split()
        version = words[1].removeprefix("v") if len(words) > 1 else said
        if _numbers(version) < _OLDEST_BUILDX:
            message = f"buildx {version} is older than 0.13, which `cogc build` needs"
            return [Finding(level="error", message=message, remedy="update the package docker-buildx-plugin")]
        return f"buildx {version}"

    def disk(self) -> str | Iterable[Finding]:
        info = self._ask()
        folder = str(info.get("DockerRootDir") or (info.get("store") or {}).get("graphRoot") or "")
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise Skipped("the engine's disk is not on this machine") from error
        from ._sizes import size_text

        if free < _LEAST_FREE_BYTES:
            message = f"{size_text(free)} are free where the engine keeps images ({folder})"
            return [Finding(level="warning", message=message, remedy="docker buildx prune; docker image prune")]
        return f"{size_text(free)} free"

    def gpu_runtime(self, examined: Examined) -> str | Iterable[Finding]:
        """Whether containers can have GPUs, where the model wants one and the machine has one."""
        if examined.config is None or not (examined.config.build.gpu and examined.config.build.gpu.value):
            raise Skipped("the model wants no GPU")
        if os.environ.get("COG_SKIP_GPU_CHECK"):
            raise Skipped("COG_SKIP_GPU_CHECK is set")
        info = self._ask()
        devices = [str(device.get("ID", "")) for device in info.get("DiscoveredDevices") or ()]
        if "nvidia" in (info.get("Runtimes") or {}) or any("nvidia" in device for device in devices):
            return "the engine can give GPUs to containers"
        message = "the model wants a GPU, and the engine cannot give one to containers"
        return [Finding(level="warning", message=message, remedy="install the NVIDIA container toolkit")]


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version.

    >>> _numbers("28.5.2+dfsg4"), _numbers("0.29.1+ds1")
    ((28, 5, 2), (0, 29, 1))
    """
    found: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        found.append(int(digits))
        if digits != part:
            break
    return tuple(found)


# -- Python -------------------------------------------------------------------------------------------


def _python(examined: Examined) -> str | Iterable[Finding]:
    """Whether this machine has the model's Python, for `--engine local` and for editors."""
    version = _wanted_python(examined)
    minor = ".".join(version.split(".")[:2])
    if shutil.which(f"python{minor}") or shutil.which("uv"):
        return f"Python {minor} is here, or uv fetches it"
    message = f"the model wants Python {minor}, which this machine does not have"
    return [Finding(level="warning", message=message, remedy="only --engine local needs it; uv can fetch it")]


def _wanted_python(examined: Examined) -> str:
    resolved = examined.resolved
    if resolved is None:
        raise Skipped("cog.yaml cannot be read")
    return resolved.resolution.python


# -- GPUs ---------------------------------------------------------------------------------------------


def _gpu(examined: Examined) -> str | Iterable[Finding]:
    """Whether the chosen torch has code for the GPU of this machine."""
    if os.environ.get("COG_SKIP_GPU_CHECK"):
        raise Skipped("COG_SKIP_GPU_CHECK is set")
    resolved = examined.resolved
    if resolved is None:
        raise Skipped("cog.yaml cannot be read")
    torch = next((package for package in resolved.resolution.packages if package[0] == "torch"), None)
    if torch is None or not resolved.summary.is_gpu:
        raise Skipped("the model has no torch for a GPU")
    gpus = _gpus()
    if not gpus:
        raise Skipped("there is no NVIDIA GPU on this machine")
    name, capability = gpus[0]
    problem = gpu_problem(torch[1], torch[2], resolved.resolution.cuda, capability)
    if problem is None:
        return f"torch {torch[1]} runs on {name} (compute capability {capability[0]}.{capability[1]})"
    message = f"torch {torch[1]} has no code for {name} (compute capability {capability[0]}.{capability[1]})"
    return [Finding(level="warning", message=message, remedy=problem)]


def gpu_problem(version: str, build: str, cuda: str | None, capability: tuple[int, int]) -> str | None:
    """What to do when a build of torch cannot use a GPU; None when it can, or when nothing is known.

    The tables list the architectures of a build; a device runs those of its own major version up to its minor one.
    """
    from packaging.version import Version

    kernels = _kernels(version, build)
    if kernels:
        usable = any(major == capability[0] and minor <= capability[1] for major, minor in kernels)
        return None if usable else "take a release of torch that lists this GPU"
    for floor, torch, least in _FLOORS:
        if capability >= floor:
            if Version(version) < Version(torch) or (cuda is not None and Version(cuda) < Version(least)):
                return f"take torch {torch} or newer, with CUDA {least} or newer"
            return None
    return None


def _kernels(version: str, build: str) -> list[tuple[int, int]]:
    """The compute capabilities that a build of torch has code for; empty where the tables do not say."""
    from .._data import load_table

    for row in load_table("torch")["rows"]:
        if row["version"] == version and row["arch"] == "amd64":
            for variant in row["builds"]:
                if variant["id"] == build:
                    names = [str(name).removeprefix("sm_") for name in variant.get("kernels", ())]
                    return [(int(name[:-1]), int(name[-1])) for name in names if name.isdigit()]
    return []


def _gpus() -> list[tuple[str, tuple[int, int]]]:
    """The GPUs by name, with their compute capability."""
    words = ["nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_LIMIT_SECONDS, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = []
    for line in done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else ():
        name, _, capability = line.rpartition(",")
        numbers = _numbers(capability.strip())
        if len(numbers) == 2:
            found.append((name.strip(), (numbers[0], numbers[1])))
    return found
