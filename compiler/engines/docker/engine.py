"""The docker engine: models run in containers, with the project's folder as /src or the code of an image.

What a container needs is in one `docker run`; the container is named here, so that it can be asked about and removed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ...diagnostics import report
from ...ir.outputs import environment_build
from .. import (
    PROJECT,
    EngineFailure,
    Environment,
    Gpus,
    Preparation,
    ProgramRequest,
    PublishedPort,
    Reporter,
    ServerRequest,
)
from .cli import DockerCli
from .objects import objects_of, remove_container, translated
from .podman import is_podman
from .problems import diagnose

if TYPE_CHECKING:
    from .server import DockerServer

__all__ = ["DockerEngine", "connect"]

T = TypeVar("T")

_SHARED_MEMORY = "6G"
_SCHEMA = "/opt/cogc/openapi_schema.json"
_SERVER = ("python", "-m", "cog.server.http")
_PORT = 5000


def connect(reporter: Reporter) -> DockerEngine:
    """The engine, when it answers. Errors: COG620–COG622, COG625."""
    docker = DockerCli(reporter)
    if is_podman(docker.program):  # which is its own engine
        docker.capture("version")
        return DockerEngine(docker)
    done = docker.attempt("version", "--format={{.Server.Version}}\t{{.Client.Context}}")
    version, _, context = done.output.strip().partition("\t")
    if done.status or not version:
        raise EngineFailure(diagnose(done.errors or "Cannot connect to the Docker daemon", "version"))
    return DockerEngine(docker, _remote_host(docker, context))


def _remote_host(docker: DockerCli, context: str) -> str | None:
    """Where the engine is, when that is another machine."""
    host = os.environ.get("DOCKER_HOST", "")
    if not host and context not in ("", "default"):
        with translated(docker, "context inspect"):
            endpoint = (objects_of(docker).context.inspect(context).endpoints or {}).get("docker")
        host = (endpoint.host if endpoint is not None else None) or ""
    return host if re.match(r"(?:tcp|https?|ssh)://(?!localhost|127\.)", host) else None


class DockerEngine:
    """See the module."""

    name = "docker"

    def __init__(self, docker: DockerCli, remote_host: str | None = None) -> None:
        self._docker = docker
        self._remote_host = remote_host

    # -- environments ------------------------------------------------------------------------------

    def prepare(self, preparation: Preparation) -> Environment:
        """An image with everything but the code. Errors: those of a build."""
        from dataclasses import replace

        from ...frontend.values import derived_image_name
        from .build import BuildRequest
        from .build_display import progress_mode
        from .model_image import ImageRequest, ModelSource, build_image

        compilation = preparation.compilation
        assert compilation.resolved is not None
        resolved = compilation.resolved
        mode = progress_mode(preparation.progress)
        if mode != "quiet":
            name = preparation.config_file
            self._docker.reporter.notice(f"Building Docker image from environment in {name}...")
        image = f"{derived_image_name(preparation.root.name)}-base"
        build = BuildRequest(context=preparation.root, dockerfile="", uses_cache=preparation.uses_cache)
        source = ModelSource(
            root=preparation.root,
            config_file=preparation.config_file,
            compilation=replace(compilation, resolved=environment_build(resolved)),
        )
        request = ImageRequest(name=image, build=build, freezes=False, shows_cached=False)
        built = build_image(self._docker, source, request, mode)
        return Environment(
            reference=built.digest or image,
            root=preparation.root,
            is_gpu=resolved.summary.is_gpu,
            schema=resolved.summary.openapi_schema,
        )

    def open_image(self, reference: str) -> Environment:
        """The environment of an image, pulled when it is not here. Errors: COG640–COG643."""
        from .image_facts import local_image, model_schema, require_model

        if "=" in reference:
            message = f"Invalid image name '{reference}'. Did you forget '-i'?"
            raise EngineFailure(report("COG503", message, hint=f"cogc predict -i {reference}"))
        image = local_image(self._docker, reference)
        if image is None:
            self._pull(reference)
            image = local_image(self._docker, reference)
        if image is None:
            raise EngineFailure(report("COG642", f"there is no such image: {reference}"))
        config = require_model(image)
        schema = model_schema(image)
        return Environment(
            reference=reference,
            is_gpu=bool((config.get("build") or {}).get("gpu")),
            schema=json.dumps(schema) if schema is not None else None,
        )

    def _pull(self, reference: str) -> None:
        self._docker.reporter.notice(f"Pulling {reference}...")
        if sys.stderr.isatty():
            self._docker.follow("pull", reference)
            return
        with translated(self._docker, "pull"):
            objects_of(self._docker).image.pull(reference, quiet=True)

    # -- running -----------------------------------------------------------------------------------

    def serve(self, environment: Environment, request: ServerRequest) -> DockerServer:
        """Start the server. Errors: COG602, COG603, COG62x."""
        from .server import start_server

        if self._remote_host is not None:
            self._docker.reporter.notice(
                f"The container engine is at {self._remote_host}: ports open there, and folders are looked for there."
            )
        port = int(dict(request.variables).get("PORT") or _PORT)
        host = f"[{request.host}]" if ":" in request.host else request.host
        published = f"{host}:{request.port or ''}:{port}"
        words = ["--publish", published]
        if not is_podman(self._docker.program):  # which gives containers this name itself
            words += ["--add-host", "host.docker.internal:host-gateway"]
        command = [*_SERVER, *(["--x-mode", "train"] if request.mode == "train" else [])]
        command += ["--upload-url", request.upload_url] if request.upload_url else []
        command = [] if len(command) == len(_SERVER) and environment.root is None else command
        scratch = tempfile.TemporaryDirectory(prefix="cogc-")
        try:
            if environment.schema is not None and environment.root is not None:
                path = Path(scratch.name, "openapi_schema.json")
                path.write_text(environment.schema, "utf-8")
                Path(scratch.name).chmod(0o755)  # the model may run as any user
                words += ["--mount", _mount(path, _SCHEMA, "readonly"), "--env", f"COGC_OPENAPI_SCHEMA={_SCHEMA}"]

            def start(gpus: Gpus | None) -> DockerServer:
                name = _new_name()
                options = self._options(environment, request.variables, gpus, Path(scratch.name), name)
                run = ["run", "--rm", "--pull=never", *options, *words, environment.reference, *command]
                return start_server(self._docker, name, run, port=port, host=request.host, on_end=scratch.cleanup)

            return self._with_gpus(start, request.gpus)
        except BaseException:
            scratch.cleanup()
            raise

    def run(self, environment: Environment, request: ProgramRequest) -> int:
        """Run a program with this process's streams; its exit code. Errors: COG602, COG603, COG62x."""
        from ..processes import run_program

        gpus = self._gpus_of_program(environment, request.gpus)
        is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        name = _new_name()
        with tempfile.TemporaryDirectory(prefix="cogc-") as scratch:
            options = self._options(environment, request.variables, gpus, Path(scratch), name)
            words = ["run", "--rm", "--pull=never", "--interactive", *(["--tty"] if is_terminal else []), *options]
            words += [word for port in request.ports for word in ("--publish", _published(port))]
            words += [environment.reference, *request.words]
            self._docker.show(words)
            try:
                return run_program([self._docker.program, *words], directory=os.getcwd(), environment=os.environ)
            finally:
                remove_container(self._docker, name)

    def _options(
        self,
        environment: Environment,
        variables: Sequence[tuple[str, str]],
        gpus: Gpus | None,
        scratch: Path,
        name: str,
    ) -> list[str]:
        """What every container of ours gets. Values of variables are in a file, not on the command line."""
        words = ["--name", name, "--label", "run.cogc.container=1", "--shm-size", _SHARED_MEMORY]
        if environment.root is not None:
            words += ["--mount", _mount(environment.root, PROJECT)]
        if gpus is not None:
            words += ["--gpus", _gpus(gpus)]
        lines = []
        for variable, value in (*environment.variables, *variables):
            if "\n" in value:
                words += ["--env", f"{variable}={value}"]  # a file of variables has no room for line breaks
            else:
                lines.append(f"{variable}={value}\n")
        if lines:
            path = scratch / f"{name}.env"
            path.touch(mode=0o600)
            path.write_text("".join(lines), "utf-8")
            words += ["--env-file", str(path)]
        return words

    # -- GPUs --------------------------------------------------------------------------------------

    def _with_gpus(self, start: Callable[[Gpus | None], T], gpus: Gpus | None) -> T:
        """Start with GPUs, and without where nobody asked for them and there are none. Error: COG603."""
        try:
            return start(gpus)
        except EngineFailure as failure:
            if gpus is None or gpus.is_asked or not any(found.code == "COG603" for found in failure.diagnostics):
                raise
        self._docker.reporter.notice("Missing device driver, re-trying without GPU")
        return start(None)

    def _gpus_of_program(self, environment: Environment, gpus: Gpus | None) -> Gpus | None:
        """The GPUs that a container can have; found out by one that does nothing, for those of a program are ours."""
        from .server import container_problem

        if gpus is None:
            return None

        def probe(gpus: Gpus | None) -> Gpus | None:
            if gpus is not None:
                words = ["run", "--rm", "--pull=never", "--network=none", "--gpus", _gpus(gpus), "--entrypoint=true"]
                done = self._docker.attempt(*words, environment.reference)
                if done.status:
                    raise EngineFailure(container_problem(done.errors))
            return gpus

        return self._with_gpus(probe, gpus)


def _new_name() -> str:
    return f"cogc-{uuid.uuid4().hex[:12]}"


def _gpus(gpus: Gpus) -> str:
    """As `--gpus` takes it: a field of CSV, in which a list is quoted."""
    return f'"{gpus.spec}"' if "," in gpus.spec else gpus.spec


def _published(port: PublishedPort) -> str:
    host = f"[{port.host}]" if ":" in port.host else port.host
    return f"{host}:{port.host_port}:{port.port}"


def _mount(source: Path, target: str, *flags: str) -> str:
    """A bind mount as `--mount` takes it: fields of CSV."""
    fields = ["type=bind", f"source={source}", f"target={target}", *flags]
    return ",".join(f'"{field.replace(chr(34), chr(34) * 2)}"' if set(field) & set(',"') else field for field in fields)
