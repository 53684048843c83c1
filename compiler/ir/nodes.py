"""Every node of the intermediate representation; no behaviour.

A build is a small graph of named stages. A stage is a base and a tuple of steps; a step says *what* is
wanted, the back ends decide how it is spelled. Two levels share most steps:

- `Build`: what lowering makes of a configuration. Some things are open (`OpenBase`, `WantedPython`, …).
- `ResolvedBuild`: nothing is open. Passes and back ends work on this one.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from ..record import record
from ..source import Span
from .node import Cause, Node
from .requirement import Requirement

__all__ = [
    "DEFAULT_PYTHON",
    "Base",
    "BindMount",
    "Build",
    "CaCertificate",
    "CacheMount",
    "ConfigSummary",
    "Copy",
    "Env",
    "Expose",
    "ImageBase",
    "InitProcess",
    "InstallPython",
    "Label",
    "LinkerCache",
    "ModelSchema",
    "Mount",
    "OpenBase",
    "OpenStage",
    "OpenStep",
    "Precompile",
    "Process",
    "PythonPackages",
    "PythonSource",
    "Request",
    "Resolution",
    "ResolvedBuild",
    "Run",
    "Runtime",
    "ScratchBase",
    "SecretMount",
    "ServerEnvironment",
    "SharedStep",
    "SourceCode",
    "SshMount",
    "Stage",
    "StageBase",
    "StagedFile",
    "Step",
    "SystemPackages",
    "User",
    "UserAccount",
    "Variable",
    "WantedGpu",
    "WantedPython",
    "WantedPythonPackages",
    "WantedServerEnvironment",
    "WantedSystemPackage",
    "WantedSystemPackages",
    "WeightLayer",
    "Workdir",
]

# What an image has when neither the user nor a pinned package says otherwise.
DEFAULT_PYTHON = "3.12"

PythonSource: TypeAlias = Literal["base", "uv", "apt", "image"]


# -- mounts ------------------------------------------------------------------------------------


@record
class SecretMount(Node):
    """A secret, as a file at `target` or as the environment variable `env`; at least one is set."""

    id: str
    target: str | None = None
    env: str | None = None
    is_required: bool = True


@record
class SshMount(Node):
    """The ssh agent given as `id`, as a socket that SSH_AUTH_SOCK names (`target` None: where there is room)."""

    id: str = "default"
    target: str | None = None
    is_required: bool = True


@record
class CacheMount(Node):
    """A directory kept between builds under `id`."""

    id: str
    target: str
    sharing: Literal["shared", "private", "locked"] = "shared"


@record
class BindMount(Node):
    """A file or directory of the build context, read-only."""

    source: str
    target: str


Mount: TypeAlias = SecretMount | SshMount | CacheMount | BindMount


# -- steps of both levels ------------------------------------------------------------------------


@record
class Variable(Node):
    """One environment variable. `mode` says whether `value` is added before or after what the base has set.

    Added values are separated by a colon, as in PATH.
    """

    name: str
    value: str
    mode: Literal["set", "prepend", "append"] = "set"


@record
class Env(Node):
    """Environment variables, for all later steps and the container."""

    variables: tuple[Variable, ...]


@record
class CaCertificate(Node):
    """Trust the certificates in the staged file `file` (PEM)."""

    file: str


@record
class Run(Node):
    """A shell command of the user."""

    command: str
    mounts: tuple[Mount, ...] = ()


@record
class Copy(Node):
    """Copy `sources` to `destination`, from the build context or from another stage.

    A linked copy is a layer of its own that does not depend on the layers before it.
    """

    sources: tuple[str, ...]
    destination: str
    from_stage: str | None = None
    is_linked: bool = False


@record
class Runtime(Node):
    """The bundled runtime (the SDK and, later, the server) as the directory `destination`."""

    destination: str


@record
class InitProcess(Node):
    """A static tini at the path `destination`, to be process 1. `cache_id` names the cache of its download."""

    destination: str
    cache_id: str = "apt-tools"


@record
class WeightLayer(Node):
    """A directory or file of weights at its own place in the image; `size_bytes` is what was found."""

    source: str
    destination: str
    is_directory: bool
    size_bytes: int


@record
class SourceCode(Node):
    """The project without `excludes` (paths relative to its root), as the directory `destination`.

    `entries` are the same files as a list of copies, for back ends that cannot leave out a path:
    (source, is_directory), relative to the root, none inside another; `links` are the symbolic links beside
    them, as (path, what it says), and `dangling` the paths of those that lead to nothing that the build is sent.
    """

    destination: str
    excludes: tuple[str, ...] = ()
    entries: tuple[tuple[str, bool], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    dangling: tuple[str, ...] = ()
    owner: str | None = None


@record
class Label(Node):
    """Labels of the image: (name, value) pairs, sorted by name."""

    labels: tuple[tuple[str, str], ...]


@record
class Process(Node):
    """What the container runs: the entry point and its arguments, exec form."""

    entrypoint: tuple[str, ...]
    command: tuple[str, ...]


@record
class Workdir(Node):
    """The working directory from here on; it belongs to `owner`, else to root."""

    path: str
    owner: str | None = None


@record
class Expose(Node):
    """A TCP port that the container listens on."""

    port: int


@record
class UserAccount(Node):
    """Make the user `name` with a home directory, and its `group`, unless the image has them. Both may be ids."""

    name: str
    group: str | None = None


@record
class User(Node):
    """The user that the container runs as: a name or id, with an optional group."""

    name: str


@record
class ModelSchema(Node):
    """Import the model and write its OpenAPI document to `destination`; nothing is written if the import fails."""

    destination: str


@record
class Precompile(Node):
    """Compile all Python files to optimised bytecode with fixed times."""

    interpreter: str | None = None


SharedStep: TypeAlias = (
    Env
    | CaCertificate
    | Run
    | Copy
    | Runtime
    | InitProcess
    | WeightLayer
    | SourceCode
    | Label
    | Process
    | Workdir
    | Expose
    | UserAccount
    | User
    | Precompile
    | ModelSchema
)


# -- the open level ------------------------------------------------------------------------------


@record
class WantedPython(Node):
    """The Python interpreter, where the base image does not have it."""


@record
class WantedSystemPackage(Node):
    """One system package: `name`, `name=version` or `name:arch`."""

    name: str


@record
class WantedSystemPackages(Node):
    """System packages by the names the user knows; each with its own origin."""

    packages: tuple[WantedSystemPackage, ...]


@record
class WantedPythonPackages(Node):
    """The requirement lines of the user, in order, and what to do with what they install.

    `strips` removes debugging symbols from extension modules.
    """

    requirements: tuple[Requirement, ...]
    strips: bool = False


@record
class WantedServerEnvironment(Node):
    """The server's private environment at `directory`, for the Python that is chosen."""

    directory: str


@record
class OpenBase(Node):
    """A base image that is still to be chosen: for the model, or a plain Python for tools."""

    purpose: Literal["model", "tools"]


@record
class ImageBase(Node):
    """A base image by name, with an optional platform such as `linux/amd64`."""

    reference: str
    platform: str | None = None


@record
class StageBase(Node):
    """Another stage of the same build."""

    stage: str


@record
class ScratchBase(Node):
    """Nothing at all."""


OpenStep: TypeAlias = SharedStep | WantedPython | WantedSystemPackages | WantedPythonPackages | WantedServerEnvironment


@record
class OpenStage(Node):
    """A stage whose base or steps may be open."""

    name: str
    base: OpenBase | ImageBase | StageBase | ScratchBase
    steps: tuple[OpenStep, ...]


@record
class WantedGpu(Node):
    """A GPU that the model must run on: the name of a product, or an architecture such as `sm_86`."""

    name: str


@record
class Request(Node):
    """What the resolver is asked: everything in the configuration that bears on versions.

    `python_version`, `cuda`, `cudnn` are as written, None when left open. `gpu_models` are the GPUs that the model
    must run on, `driver` the oldest driver there. `commands` are those of `build.run`, whose text may give away what
    they need. `spans` are pairs of a field's name and where it stands.
    """

    is_gpu: bool = False
    python_version: str | None = None
    cuda: str | None = None
    cudnn: str | None = None
    architecture: Literal["amd64", "arm64"] = "amd64"
    platform: str | None = None
    requirements: tuple[Requirement, ...] = ()
    commands: tuple[Run, ...] = ()
    system_packages: tuple[WantedSystemPackage, ...] = ()
    base_image: str | None = None
    use_cuda_base: Literal["auto", "true", "false"] = "auto"
    installer: Literal["auto", "uv", "pip"] = "auto"
    cuda_python: Literal["uv", "apt", "image"] = "uv"
    installs_tools: bool = True
    gpu_models: tuple[WantedGpu, ...] = ()
    driver: str | None = None
    spans: tuple[tuple[str, Span], ...] = field(default=(), compare=False, repr=False)


@record
class ConfigSummary(Node):
    """What the labels say about the configuration: the parts that resolving does not change.

    `commands` are pairs of a command and its secret mounts, each as (key, value) pairs.
    """

    image: str
    is_gpu: bool = False
    predict: str | None = None
    train: str | None = None
    concurrency: int | None = None
    environment: tuple[str, ...] = ()
    commands: tuple[tuple[str, tuple[tuple[tuple[str, str], ...], ...]], ...] = ()
    system_packages: tuple[str, ...] = ()
    python_packages: tuple[str, ...] = ()
    python_requirements: str | None = None
    openapi_schema: str | None = None


@record
class StagedFile(Node):
    """A generated file that the build needs: `path` relative to the staging directory."""

    path: str
    content: str


@record
class Build(Node):
    """The unresolved IR. `weight_layers` are there also when a separate image holds them."""

    request: Request
    summary: ConfigSummary
    stages: tuple[OpenStage, ...]
    files: tuple[StagedFile, ...] = ()
    weight_layers: tuple[WeightLayer, ...] = ()


# -- the resolved level --------------------------------------------------------------------------


@record
class InstallPython(Node):
    """Install Python `version` into an image that lacks it; afterwards `interpreter` is its path.

    `source` says how: by uv, from the distribution's packages, or copied from the image `image`.
    """

    version: str
    source: Literal["uv", "apt", "image"]
    interpreter: str
    image: str | None = None
    cache_id: str = "apt-python"


@record
class SystemPackages(Node):
    """Install packages with apt. `cache_id` names the cache of this distribution release."""

    packages: tuple[str, ...]
    cache_id: str


@record
class PythonPackages(Node):
    """Install the staged requirements file into the interpreter at `interpreter` (None: the first on PATH).

    `artifacts` are wheels and archives of the project, by their path in it. `strips` removes debugging
    symbols from the installed extension modules. `ssh` is the agent for lines that are fetched over ssh.
    """

    requirements_file: str
    constraints_file: str | None = None
    artifacts: tuple[str, ...] = ()
    interpreter: str | None = None
    installer: Literal["uv", "pip"] = "uv"
    options: tuple[str, ...] = ()
    strips: bool = False
    ssh: SshMount | None = None


@record
class ServerEnvironment(Node):
    """A virtual environment at `directory` with the server's packages.

    `python` is the minor version whose pins are staged as `requirements_file`, or None for the unpinned list;
    `interpreter` is the Python that the environment is made with.
    """

    directory: str
    requirements_file: str
    python: str | None
    interpreter: str


@record
class LinkerCache(Node):
    """Tell the dynamic linker about the directories of Python's extension modules."""


Step: TypeAlias = SharedStep | InstallPython | SystemPackages | PythonPackages | LinkerCache | ServerEnvironment
Base: TypeAlias = ImageBase | StageBase | ScratchBase


@record
class Stage(Node):
    """A stage with nothing open."""

    name: str
    base: Base
    steps: tuple[Step, ...]


@record
class Resolution(Node):
    """What the resolver decided. `because` is about Python and the base image; nodes cite the same causes.

    `python` is `3.12` or `3.12.4`; `cuda_from` says who brings CUDA at run time: nobody, the Python
    packages, or the base image; `min_driver` is the oldest driver that runs it. `packages` are (name, version,
    build) of the known packages that lines ask for, `brought_along` of those that these demand.
    `distribution` is the release of the base image, such as `bookworm` or `ubuntu22.04`. `system_packages` are
    the user's, under the names of that release; `tools` are packages that nobody asked for by name.
    """

    matrix: str
    python: str
    base_image: str
    tools_image: str
    distribution: str | None
    cuda: str | None = None
    cudnn: str | None = None
    cuda_from: Literal["none", "packages", "image"] = "none"
    min_driver: str | None = None
    packages: tuple[tuple[str, str, str], ...] = ()
    brought_along: tuple[tuple[str, str, str], ...] = ()
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    system_packages: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    installer: Literal["uv", "pip"] = "uv"
    installer_options: tuple[str, ...] = ()
    python_source: PythonSource = "base"
    requirements_because: tuple[Cause, ...] = field(default=(), compare=False, repr=False)
    tools_because: tuple[Cause, ...] = field(default=(), compare=False, repr=False)


@record
class ResolvedBuild(Node):
    """The resolved IR: what back ends read. `files` are staged; `stages` are in build order, the image last.

    `digests` are (image, digest) pairs of a lock, for the images that back ends name themselves.
    """

    resolution: Resolution
    summary: ConfigSummary
    stages: tuple[Stage, ...]
    files: tuple[StagedFile, ...] = ()
    weight_layers: tuple[WeightLayer, ...] = ()
    digests: tuple[tuple[str, str], ...] = ()
