"""`Config` and the facts about the project → unresolved IR: which stages there are, and what each step is for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

from ..diagnostics import Diagnostic
from ..ir.node import Cause
from ..ir.nodes import (
    BindMount,
    Build,
    CaCertificate,
    CacheMount,
    ConfigSummary,
    Copy,
    Env,
    Expose,
    ImageBase,
    InitProcess,
    ModelSchema,
    Mount,
    OpenBase,
    OpenStage,
    OpenStep,
    Precompile,
    Process,
    Request,
    Run,
    Runtime,
    ScratchBase,
    SecretMount,
    SourceCode,
    SshMount,
    StageBase,
    StagedFile,
    User,
    UserAccount,
    Variable,
    WantedGpu,
    WantedPython,
    WantedPythonPackages,
    WantedServerEnvironment,
    WantedSystemPackage,
    WantedSystemPackages,
    WeightLayer,
    Workdir,
)
from ..ir.quantities import readable_size
from ..record import record
from ..source import Span
from . import config as conf
from .values import derived_image_name
from .weights import Weights

__all__ = ["SCHEMA_FILE", "BuildOptions", "ProjectFacts", "lower"]

PROJECT = "/src"
RUNTIME = "/opt/cogc"
INIT = "/sbin/tini"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
CERTIFICATE_FILE = "ca-certificate.crt"
SCHEMA_FILE = "openapi_schema.json"
IMPORTED_SCHEMA = "/tmp/cogc-schema"  # a directory that any user of the image can make
PORT = 5000
MAX_LINE_CHARACTERS = 15_000  # of up to four bytes


@record
class BuildOptions:
    """What the command line says about the build; `budget` is in bytes. The defaults are those of `cogc compile`."""

    platform: str | None = None
    base_image: str | None = None
    use_cuda_base: Literal["auto", "true", "false"] = "auto"
    installer: Literal["auto", "uv", "pip"] = "auto"
    cuda_python: Literal["uv", "apt", "image"] = "uv"
    separate_weights: bool = False
    image_name: str | None = None
    with_source: bool = True
    user: str | None = None
    strips: bool = False
    precompiles: bool = False
    installs_tools: bool = True
    budget: int | None = None
    gpu_models: tuple[str, ...] = ()
    driver: str | None = None


@record
class ProjectFacts:
    """What was found in the project and its environment.

    `entries` are the files and directories to copy when a path cannot be left out of a copy of everything:
    (path, is_directory); `links` are the symbolic links beside them: (path, what it says), and `dangling` the paths
    of those that lead to nothing in the build context. `hidden` are paths
    that must stay out of the code layer besides weights. `certificate` is PEM text, `schema` the compact JSON of
    the OpenAPI document; without it, `schema_gaps` are the findings that leave it open.
    """

    directory: str
    weights: Weights
    entries: tuple[tuple[str, bool], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    dangling: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    certificate: str | None = None
    schema: str | None = None
    schema_gaps: tuple[Diagnostic, ...] = ()


def lower(config: conf.Config, facts: ProjectFacts, options: BuildOptions) -> Build:
    """Make the unresolved IR. Everything that can go wrong has been checked before."""
    return _Lowering(config, facts, options).build()


class _Lowering:
    def __init__(self, config: conf.Config, facts: ProjectFacts, options: BuildOptions) -> None:
        self._config = config
        self._facts = facts
        self._options = options
        self._user = options.user or (config.build.user.value if config.build.user else None)

    def build(self) -> Build:
        stages = [self._python(), self._base(), self._packages(), *self._init(), self._server()]
        if self._weight_layers():
            stages.append(self._weights())
        stages += [self._model(), *self._completion()]
        return Build(
            request=self._request(),
            summary=self._summary(),
            stages=tuple(stages),
            files=tuple(self._files()),
            weight_layers=self._weight_layers(),
        )

    # -- stages --------------------------------------------------------------------------------

    def _python(self) -> OpenStage:
        steps = (*self._certificate(), WantedPython())
        return OpenStage(name="python", base=OpenBase(purpose="model"), steps=steps)

    def _base(self) -> OpenStage:
        steps: list[OpenStep] = [self._base_env()]
        if self._config.environment:
            steps.append(self._user_env())
        if self._user:
            name, _, group = self._user.partition(":")
            steps.append(UserAccount(name=name, group=group or None, because=self._user_causes()))
        steps.append(self._system_packages())
        return OpenStage(name="base", base=StageBase(stage="python"), steps=tuple(steps))

    def _base_env(self) -> Env:
        values = [("DEBIAN_FRONTEND", "noninteractive"), ("PYTHONUNBUFFERED", "1")]
        gpu = self._config.build.gpu
        if gpu is not None and gpu.value:
            values.append(("NVIDIA_VISIBLE_DEVICES", "all"))
        values.append(("NVIDIA_DRIVER_CAPABILITIES", "all"))
        because = (Cause(kind="rule", text="what every image of Cog sets"),)
        return Env(variables=tuple(Variable(name=name, value=value) for name, value in values), because=because)

    def _certificate(self) -> Iterator[OpenStep]:
        if self._facts.certificate is None:
            return
        because = (Cause(kind="flag", text="the certificate authority of COG_CA_CERT"),)
        yield CaCertificate(file=CERTIFICATE_FILE, because=because)
        names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
        settings = _default("where programs look for certificate authorities")
        yield Env(variables=tuple(Variable(name=name, value=CERTIFICATES) for name in names), because=settings)

    def _user_env(self) -> Env:
        variables = sorted(self._config.environment, key=lambda variable: variable.name)
        return Env(
            variables=tuple(
                Variable(name=variable.name, value=variable.value, origin=variable.span) for variable in variables
            ),
            origin=variables[0].span,
            because=(_config("environment", self._config.environment[0].span),),
        )

    def _system_packages(self) -> WantedSystemPackages:
        return WantedSystemPackages(
            packages=self._wanted_system_packages(),
            because=tuple(
                _config("system packages", package.span) for package in self._config.build.system_packages[:1]
            ),
        )

    def _wanted_system_packages(self) -> tuple[WantedSystemPackage, ...]:
        packages = self._config.build.system_packages
        wanted = [WantedSystemPackage(name=package.value, origin=package.span) for package in packages]
        if self._options.strips and not any(package.name == "binutils" for package in wanted):
            wanted.append(WantedSystemPackage(name="binutils"))  # which has `strip`
        return tuple(wanted)

    def _packages(self) -> OpenStage:
        requirements = self._config.build.requirements
        origin = requirements[0].origin if requirements else None
        step = WantedPythonPackages(
            requirements=requirements,
            strips=self._options.strips,
            origin=origin,
            because=(_config("Python packages", origin),) if origin else (),
        )
        steps: list[OpenStep] = [step]
        if self._options.precompiles:
            steps.append(Precompile(because=(Cause(kind="flag", text="--precompile"),)))
        return OpenStage(name="packages", base=StageBase(stage="base"), steps=tuple(steps))

    def _init(self) -> Iterator[OpenStage]:
        """A stage for process 1 where the base image may have no apt to install it with."""
        if self._options.base_image is not None:
            steps = (*self._certificate(), self._init_process())
            because = (Cause(kind="rule", text="process 1, from a distribution that has it"),)
            yield OpenStage(name="init", base=OpenBase(purpose="tools"), steps=steps, because=because)

    def _init_process(self) -> InitProcess:
        why = _default("process 1 passes signals on and collects ended children")
        return InitProcess(destination=f"{RUNTIME}/bin/tini", because=why)

    def _server(self) -> OpenStage:
        init: OpenStep = self._init_process()
        if self._options.base_image is not None:
            tini = f"{RUNTIME}/bin/tini"
            init = Copy(sources=(tini,), destination=tini, from_stage="init", because=_default("process 1"))
        environment = WantedServerEnvironment(
            directory=f"{RUNTIME}/server", because=_default("the server's own packages, which the model never sees")
        )
        runtime = Runtime(destination=RUNTIME, because=_default("the runtime that comes with cogc"))
        because = (Cause(kind="rule", text="the runtime and process 1; the same for every model with this Python"),)
        steps = (init, environment, runtime)
        return OpenStage(name="server", base=StageBase(stage="python"), steps=steps, because=because)

    def _weights(self) -> OpenStage:
        because = (Cause(kind="rule", text=_count_weights(self._facts.weights)),)
        if self._options.separate_weights:
            image = ImageBase(reference=f"{self._image_name()}-weights", platform=self._options.platform)
            flag = (*because, Cause(kind="flag", text="--separate-weights: an image of their own"))
            return OpenStage(name="weights", base=image, steps=(), because=flag)
        return OpenStage(name="weights", base=ScratchBase(), steps=self._weight_layers(), because=because)

    def _weight_layers(self) -> tuple[WeightLayer, ...]:
        weights = self._facts.weights
        directories = set(weights.directories)
        return tuple(
            WeightLayer(
                source=path,
                destination=f"{PROJECT}/{path}",
                is_directory=path in directories,
                size_bytes=dict(weights.sizes).get(path, 0),
                because=_default(f"{path} holds files of 10 MiB or more"),
            )
            for path in (*weights.directories, *weights.root_files)
        )

    def _model(self) -> OpenStage:
        steps: list[OpenStep] = [self._run(command) for command in self._config.build.commands]
        runtime = _default("the runtime, as a layer of its own")
        steps.append(
            Copy(sources=(RUNTIME,), destination=RUNTIME, from_stage="server", is_linked=True, because=runtime)
        )
        init = _default("process 1, where Cog's images have it")
        steps.append(Copy(sources=(f"{RUNTIME}/bin/tini",), destination=INIT, from_stage="server", because=init))
        for layer in self._weight_layers():
            path = layer.destination
            own = _default("weights, as a layer of their own")
            steps.append(Copy(sources=(path,), destination=path, from_stage="weights", is_linked=True, because=own))
        steps += [
            self._runtime_env(),
            Workdir(path=PROJECT, owner=self._user, because=_default("the project's directory in every model")),
            Expose(port=PORT, because=_default("the port of every model")),
            self._process(),
        ]
        if self._facts.schema is not None:
            schema = f"{PROJECT}/.cog/{SCHEMA_FILE}"
            why = _default("the schema that the server publishes")
            steps.append(Copy(sources=(f".cog/build/{SCHEMA_FILE}",), destination=schema, because=why))
        if self._options.with_source:
            steps += self._source()
        if self._user:
            steps.append(User(name=self._user, because=self._user_causes()))
        return OpenStage(name="model", base=StageBase(stage="packages"), steps=tuple(steps))

    def _completion(self) -> Iterator[OpenStage]:
        """Two stages on top of the model: one that imports it, and the image with what came of that.

        What the import leaves behind, caches and downloads, is not in the image. An import that fails copies nothing.
        """
        gaps = self._facts.schema_gaps
        if self._facts.schema is not None or not gaps or not self._options.with_source:
            return
        files = list(dict.fromkeys(gap.span.file for gap in gaps if gap.span))
        if files == [self._config.file]:
            told = "its code is not in the project"
        else:
            told = f"{' and '.join(files)} {'does' if len(files) == 1 else 'do'} not say all of its inputs and outputs"
        why = Cause(kind="rule", text=f"imports the model, because {told}")
        details = tuple(Cause(kind="default", text=gap.message, span=gap.span) for gap in gaps)
        note = Cause(kind="rule", text="where the import fails, the server makes the schema when it starts")
        steps = (ModelSchema(destination=f"{IMPORTED_SCHEMA}/{SCHEMA_FILE}", because=(note, *details)),)
        yield OpenStage(name="schema", base=StageBase(stage="model"), steps=steps, because=(why,))
        copied = Copy(
            sources=(f"{IMPORTED_SCHEMA}/",),
            destination=f"{PROJECT}/.cog/",
            from_stage="schema",
            because=_default("the schema that the server publishes"),
        )
        end = (Cause(kind="rule", text="the model with its schema"),)
        yield OpenStage(name="complete", base=StageBase(stage="model"), steps=(copied,), because=end)

    def _run(self, command: conf.Command) -> Run:
        secrets = [mount.id for mount in command.mounts if isinstance(mount, conf.SecretMount)]
        because = [_config("build.run", command.span)]
        if secrets:
            names = ", ".join(f"`{secret}`" for secret in secrets)
            text = (
                f"the secret {names} is mounted, never stored"
                if len(secrets) == 1
                else f"the secrets {names} are mounted, never stored"
            )
            because.append(Cause(kind="config", text=text))
        for agent in (mount.id for mount in command.mounts if isinstance(mount, conf.SshMount)):
            because.append(Cause(kind="config", text=f"the ssh agent `{agent}` is forwarded, its keys are not seen"))
        mounts = tuple(_mount(mount) for mount in command.mounts)
        return Run(command=command.command, mounts=mounts, origin=command.span, because=tuple(because))

    def _runtime_env(self) -> Env:
        config = self._config
        variables = [Variable(name="PYTHONPATH", value=f"{RUNTIME}/sdk")]
        for name, target in (("COG_PREDICT_TYPE_STUB", config.predict), ("COG_TRAIN_TYPE_STUB", config.train)):
            if target is not None:
                variables.append(Variable(name=name, value=target.reference, origin=target.span))
        if config.concurrency is not None:
            maximum = config.concurrency.max
            variables.append(Variable(name="COG_MAX_CONCURRENCY", value=str(maximum.value), origin=maximum.span))
        return Env(variables=tuple(variables), because=(Cause(kind="rule", text="where the runtime finds the model"),))

    def _process(self) -> Process:
        command = ("python", "-m", "cog.server.http")
        return Process(entrypoint=(INIT, "--"), command=command, because=_default("the command of every model"))

    def _source(self) -> Iterator[OpenStep]:
        weights = self._facts.weights
        yield SourceCode(
            destination=PROJECT,
            excludes=(*self._facts.hidden, *weights.directories, *weights.root_files),
            entries=self._facts.entries,
            links=self._facts.links,
            dangling=self._facts.dangling,
            owner=self._user,
            because=_default("the project's code, last because it changes most"),
        )
        if self._config.file != "cog.yaml":
            because = (Cause(kind="flag", text=f"the configuration is {self._config.file}"),)
            yield Copy(sources=(self._config.file,), destination=f"{PROJECT}/cog.yaml", because=because)

    # -- what the resolver and the labels need -------------------------------------------------

    def _request(self) -> Request:
        build, options = self._config.build, self._options
        located = {"gpu": build.gpu, "python_version": build.python_version, "cuda": build.cuda, "cudnn": build.cudnn}
        if options.driver is None:
            located["driver"] = build.driver
        return Request(
            is_gpu=bool(build.gpu and build.gpu.value),
            python_version=build.python_version.value if build.python_version else None,
            cuda=build.cuda.value if build.cuda else None,
            cudnn=build.cudnn.value if build.cudnn else None,
            architecture="arm64" if options.platform and "arm64" in options.platform else "amd64",
            platform=options.platform,
            requirements=build.requirements,
            commands=tuple(self._run(command) for command in build.commands),
            system_packages=self._wanted_system_packages(),
            base_image=options.base_image,
            use_cuda_base=options.use_cuda_base,
            installer=options.installer,
            cuda_python=options.cuda_python,
            installs_tools=options.installs_tools,
            gpu_models=self._gpu_models(),
            driver=options.driver or (build.driver.value if build.driver else None),
            spans=tuple((name, value.span) for name, value in located.items() if value is not None),
        )

    def _gpu_models(self) -> tuple[WantedGpu, ...]:
        """Those of the command line, else those of the configuration."""
        if self._options.gpu_models:
            return tuple(WantedGpu(name=name) for name in self._options.gpu_models)
        return tuple(WantedGpu(name=model.value, origin=model.span) for model in self._config.build.gpu_models)

    def _summary(self) -> ConfigSummary:
        config, build = self._config, self._config.build
        in_yaml = build.python_requirements is None
        return ConfigSummary(
            image=self._image_name(),
            is_gpu=bool(build.gpu and build.gpu.value),
            predict=config.predict.reference if config.predict else None,
            train=config.train.reference if config.train else None,
            concurrency=config.concurrency.max.value if config.concurrency else None,
            environment=tuple(f"{variable.name}={variable.value}" for variable in config.environment),
            commands=tuple((command.written, tuple(_secrets(command))) for command in build.commands),
            system_packages=tuple(package.value for package in build.system_packages),
            python_packages=tuple(requirement.text for requirement in build.requirements) if in_yaml else (),
            python_requirements=build.python_requirements.value if build.python_requirements else None,
            openapi_schema=self._facts.schema,
        )

    def _files(self) -> Iterator[StagedFile]:
        if self._facts.certificate is not None:
            yield StagedFile(path=CERTIFICATE_FILE, content=self._facts.certificate)
        if self._facts.schema is not None:
            yield StagedFile(path=SCHEMA_FILE, content=_in_lines(self._facts.schema) + "\n")

    def _image_name(self) -> str:
        config = self._config
        chosen = self._options.image_name or (config.image.value if config.image else None)
        return chosen or (config.model.value if config.model else derived_image_name(self._facts.directory))

    def _user_causes(self) -> tuple[Cause, ...]:
        if self._options.user or self._config.build.user is None:
            return (Cause(kind="flag", text="--user"),)
        return (_config("build.user", self._config.build.user.span),)


def _config(text: str, span: Span | None) -> Cause:
    return Cause(kind="config", text=text, span=span)


def _default(text: str) -> tuple[Cause, ...]:
    return (Cause(kind="default", text=text),)


def _in_lines(schema: str) -> str:
    """JSON that can stand in a Dockerfile, where a line has at most 64 KiB."""
    if len(schema) < MAX_LINE_CHARACTERS:
        return schema
    return json.dumps(json.loads(schema), ensure_ascii=False, indent=0)


def _mount(mount: conf.Mount) -> Mount:
    match mount:
        case conf.SecretMount():
            return SecretMount(
                id=mount.id, target=mount.target, env=mount.env, is_required=mount.is_required, origin=mount.span
            )
        case conf.SshMount():
            return SshMount(id=mount.id, target=mount.target, is_required=mount.is_required, origin=mount.span)
        case conf.CacheMount():
            return CacheMount(
                id=mount.id or mount.target, target=mount.target, sharing=mount.sharing, origin=mount.span
            )
        case conf.BindMount():
            return BindMount(source=mount.source, target=mount.target, origin=mount.span)


def _secrets(command: conf.Command) -> Iterator[tuple[tuple[str, str], ...]]:
    """Those of its list of mounts: flags are part of what is written."""
    for mount in command.mounts:
        if isinstance(mount, conf.SecretMount) and mount.span != command.span:
            pairs = (("type", "secret"), ("id", mount.id), ("target", mount.target), ("env", mount.env))
            yield tuple((key, value) for key, value in pairs if value)


def _count_weights(weights: Weights) -> str:
    parts = []
    for count, noun, plural in (
        (len(weights.directories), "directory", "directories"),
        (len(weights.root_files), "file", "files"),
    ):
        if count:
            parts.append(f"{count} {noun if count == 1 else plural}")
    return f"{' and '.join(parts)}, {readable_size(sum(size for _, size in weights.sizes))}"
