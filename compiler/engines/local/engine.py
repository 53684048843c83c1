"""The local engine: models run in virtual environments on this machine, without containers.

The environment of a project is below `.cog/local` beside its cog.yaml; the HTTP server's own and the SDK are shared by
all projects of the user. System packages, `build.run` and the CUDA of base images are not provided: that is said.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...diagnostics import report
from ...disk import write_atomically
from .. import EngineFailure, Environment, Gpus, Preparation, ProgramRequest, Reporter, ServerRequest
from .differences import differences
from .gpus import gpu_variables
from .packages import Installer, PackageList, package_list
from .python import Interpreter, is_wanted, nearest_python, wanted_python

if TYPE_CHECKING:
    from ...frontend.config import Config
    from .server import LocalServer
    from .store import Lease

__all__ = ["STATE", "LocalEngine", "connect"]

STATE = ".cog/local"

# Variables that change what an interpreter or an installer does, and those that are settings of a server.
_NOT_INHERITED = (
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONEXECUTABLE", "PYTHONUSERBASE", "PYTHONSAFEPATH",
    "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "CONDA_DEFAULT_ENV",
    "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON",
    "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_TARGET", "UV_PREFIX",
    "PORT", "LOG_FORMAT", "WEBHOOK_AUTH_TOKEN", "KUBERNETES_SERVICE_HOST",
)  # fmt: skip
_PREFIXES_NOT_INHERITED = ("COG_", "COGC_")


def connect(reporter: Reporter) -> LocalEngine:
    """The engine; it needs nothing but this machine. Error: COG704 where it cannot work."""
    if os.name != "posix":
        raise EngineFailure(report("COG704", "the local engine runs on Linux and macOS", hint="use WSL, or Docker"))
    return LocalEngine(reporter)


class LocalEngine:
    """See the module. What was prepared stays in use until this process ends."""

    name = "local"

    def __init__(self, reporter: Reporter) -> None:
        from .runtime import SharedRuntime

        self._reporter = reporter
        self._inherited = _inherited(os.environ)
        self._uv = shutil.which("uv")
        self._runtime = SharedRuntime(self._uv, self._inherited, reporter)
        self._leases: list[Lease] = []

    # -- environments ------------------------------------------------------------------------------

    def prepare(self, preparation: Preparation) -> Environment:
        """The virtual environment of the project, made when it is not there. Errors: COG702, COG703, COG704."""
        compilation = preparation.compilation
        config, resolved = compilation.config, compilation.resolved
        assert config is not None
        assert resolved is not None
        packages = package_list(compilation, preparation.root, platform.machine(), has_uv=self._uv is not None)
        lease = self._lease(preparation, packages, resolved.resolution.python)
        self._leases.append(lease)
        self._reporter.diagnose(differences(compilation, _interpreter_of(lease)))
        return Environment(
            reference=str(lease.folder),
            root=preparation.root,
            is_gpu=resolved.summary.is_gpu,
            schema=resolved.summary.openapi_schema,
            variables=tuple(_variables(config)),
        )

    def open_image(self, reference: str) -> Environment:
        """Error: COG601, always."""
        hint = "leave the image out to run the project, or use --engine docker"
        raise EngineFailure(report("COG601", f"the image {reference} cannot be used without containers", hint=hint))

    def _lease(self, preparation: Preparation, packages: PackageList, wanted: str) -> Lease:
        from .runtime import has_python, not_made
        from .store import Store

        root = preparation.root
        better: Interpreter | None = None

        def make(folder: Path) -> Mapping[str, Any]:
            interpreter = better or nearest_python(wanted, self._uv, self._inherited, self._reporter)
            return self._make(folder, interpreter, packages, preparation)

        def lease(*, remakes: bool) -> Lease:
            return store.lease(recipe, make, is_usable=has_python, on_wait=self._wait, remakes=remakes)

        recipe = {"python": wanted, "machine": platform.machine(), **packages.recipe()}
        store = Store(root / STATE)
        try:
            _keep_out_of_version_control(root)
            found = lease(remakes=not preparation.uses_cache)
            if not is_wanted(_interpreter_of(found), wanted):
                # The wanted one may have come to the machine since.
                better = wanted_python(wanted, self._uv, self._inherited, self._reporter)
                if better is not None:
                    found.close()
                    found = lease(remakes=True)
        except OSError as error:
            raise not_made(error, root / STATE) from error
        return found

    def _make(
        self, folder: Path, interpreter: Interpreter, packages: PackageList, preparation: Preparation
    ) -> Mapping[str, Any]:
        installer = Installer(
            uv=self._uv if packages.installer == "uv" else None,
            environment=self._inherited,
            reporter=self._reporter,
            shows=preparation.progress != "quiet",
        )
        count = sum(not line.startswith("-") for line in packages.requirements)
        what = f" with {count} package{'s' if count != 1 else ''} from cog.yaml" if count else ""
        place = os.path.relpath(folder, preparation.root)
        self._reporter.notice(f"Making an environment of Python {interpreter.version_text}{what} in {place}...")
        installer.make(folder, interpreter, needs_pip=bool(packages.requirements))
        installer.install(folder, packages, preparation.root)
        return {"path": interpreter.path, "version": interpreter.version_text}

    def _wait(self) -> None:
        self._reporter.notice("Waiting for another cogc that makes the same environment...")

    # -- running -----------------------------------------------------------------------------------

    def serve(self, environment: Environment, request: ServerRequest) -> LocalServer:
        """Start the server. Errors: COG602, COG603, COG704."""
        from .server import check_port, free_port

        port = request.port if request.port is not None else free_port(request.host)
        check_port(request.host, port)
        variables = self._environment(environment, request.variables, request.gpus)
        variables["COGC_SERVER_PYTHON"] = self._runtime.server_python()
        words = [f"{environment.reference}/bin/python", "-m", "cog.server.http"]
        words += ["--host", request.host, "--port", str(port)]
        words += ["--x-mode", "train"] if request.mode == "train" else []
        words += ["--upload-url", request.upload_url] if request.upload_url else []
        self._reporter.program(words, request.variables)
        scratch = tempfile.mkdtemp(prefix="cogc-")
        try:
            variables["COGC_OPENAPI_SCHEMA"] = _write_schema(environment.schema, scratch)
            return self._start(words, environment, variables, _url(request.host, port), scratch)
        except BaseException as error:
            shutil.rmtree(scratch, ignore_errors=True)
            if isinstance(error, OSError):
                reason = (error.strerror or str(error)).lower()
                raise EngineFailure(report("COG704", f"the server could not be started: {reason}")) from error
            raise

    def _start(
        self, words: list[str], environment: Environment, variables: Mapping[str, str], url: str, scratch: str
    ) -> LocalServer:
        from .server import LocalServer

        def release() -> None:
            shutil.rmtree(scratch, ignore_errors=True)

        return LocalServer(words, directory=str(environment.root), environment=variables, url=url, on_end=release)

    def run(self, environment: Environment, request: ProgramRequest) -> int:
        """Run a program in the project's folder. Errors: COG603, COG604."""
        from ..processes import run_program

        if request.ports:
            self._reporter.notice("A program on this machine opens its ports itself: -p has no effect.")
        variables = self._environment(environment, request.variables, request.gpus)
        self._reporter.program(request.words, request.variables)
        return run_program(request.words, directory=str(environment.root), environment=variables)

    def _environment(
        self, environment: Environment, given: Iterable[tuple[str, str]], gpus: Gpus | None
    ) -> dict[str, str]:
        """All variables of a process: this machine's, those of every image, cog.yaml's, and those of the command."""
        variables = {**self._inherited, "VIRTUAL_ENV": environment.reference, "PYTHONUNBUFFERED": "1"}
        variables["PATH"] = _joined(f"{environment.reference}/bin", variables.get("PATH"))
        variables |= gpu_variables(gpus, self._inherited, self._say_no_gpu)
        variables |= dict(environment.variables)
        variables |= dict(given)
        variables["PYTHONPATH"] = _joined(self._runtime.sdk(), variables.get("PYTHONPATH"))
        return variables

    def _say_no_gpu(self) -> None:
        self._reporter.notice("There is no NVIDIA GPU on this machine: running without one.")


def _inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What programs of a model see of this machine's variables; in a container they see none."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _NOT_INHERITED and not name.startswith(_PREFIXES_NOT_INHERITED)
    }


def _variables(config: Config) -> Iterator[tuple[str, str]]:
    """What the image of the project would have set."""
    yield from ((variable.name, variable.value) for variable in config.environment)
    for name, target in (("COG_PREDICT_TYPE_STUB", config.predict), ("COG_TRAIN_TYPE_STUB", config.train)):
        if target is not None:
            yield name, target.reference
    if config.concurrency is not None:
        yield "COG_MAX_CONCURRENCY", str(config.concurrency.max.value)


def _interpreter_of(lease: Lease) -> Interpreter:
    major, minor, patch = map(int, str(lease.facts["version"]).split("."))
    return Interpreter(str(lease.facts["path"]), (major, minor, patch))


def _keep_out_of_version_control(root: Path) -> None:
    state = root / STATE.partition("/")[0]
    state.mkdir(exist_ok=True)
    if not (state / ".gitignore").exists():
        write_atomically(state / ".gitignore", b"*\n")


def _write_schema(schema: str | None, directory: str) -> str:
    """The path of the document for the server; empty where it is not known, and the model itself gives it."""
    if schema is None:
        return ""
    path = os.path.join(directory, "openapi_schema.json")
    write_atomically(Path(path), schema.encode(), syncs=False)
    return path


def _url(host: str, port: int) -> str:
    """Where this machine reaches a server that listens on `host`."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _joined(first: str, rest: str | None) -> str:
    return f"{first}{os.pathsep}{rest}" if rest else first
