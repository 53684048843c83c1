"""The configuration as frozen values, one class per section of cog.yaml; each value knows where it stands."""

from __future__ import annotations

from typing import Generic, Literal, TypeAlias, TypeVar

from ..ir.requirement import Requirement
from ..record import record
from ..source import Span

__all__ = [
    "BindMount",
    "BuildConfig",
    "CacheMount",
    "Command",
    "Concurrency",
    "Config",
    "EnvironmentVariable",
    "Example",
    "Located",
    "ManagedWeight",
    "Mount",
    "SecretMount",
    "SshMount",
    "Target",
    "WeightSource",
]

T = TypeVar("T")


@record(kw_only=False)
class Located(Generic[T]):
    """A value with the span it was written at."""

    value: T
    span: Span


@record
class Target:
    """`file.py:Name`: the class or function `name` of `file` (relative to the project root)."""

    file: str
    name: str
    key: Literal["predict", "run", "train"]
    span: Span

    @property
    def reference(self) -> str:
        """As written in cog.yaml."""
        return f"{self.file}:{self.name}"


@record
class SecretMount:
    """A secret, as a file at `target`, as the environment variable `env`, or both."""

    id: str
    target: str | None
    env: str | None
    is_required: bool
    span: Span


@record
class SshMount:
    """The ssh agent that is given as `id`, as a socket at `target` (None: a place of its own)."""

    id: str
    target: str | None
    is_required: bool
    span: Span


@record
class CacheMount:
    """A directory that is kept between builds, under `id` (default: its target)."""

    target: str
    id: str | None
    sharing: Literal["shared", "private", "locked"]
    span: Span


@record
class BindMount:
    """A file or directory of the project, readable while the command runs."""

    source: str
    target: str
    span: Span


Mount: TypeAlias = SecretMount | SshMount | CacheMount | BindMount


@record
class Command:
    """One shell command of `build.run` (or `build.pre_install`).

    `written` is the command with the flags that stand in front of it; their mounts have its span.
    """

    command: str
    mounts: tuple[Mount, ...]
    written: str
    span: Span


@record
class EnvironmentVariable:
    """One `NAME=value` of `environment`."""

    name: str
    value: str
    span: Span


@record
class Concurrency:
    """`max` predictions at once; `default_target` is a hint for autoscalers."""

    max: Located[int]
    default_target: int | None


@record
class WeightSource:
    """Where managed weight files come from."""

    uri: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]


@record
class ManagedWeight:
    """One entry of the experimental top-level `weights`."""

    name: str
    target: str
    sources: tuple[WeightSource, ...]
    span: Span


@record
class BuildConfig:
    """The `build` section. Versions are as written, `budget` is in bytes; None means not given."""

    gpu: Located[bool] | None = None
    cuda: Located[str] | None = None
    cudnn: Located[str] | None = None
    gpu_models: tuple[Located[str], ...] = ()
    driver: Located[str] | None = None
    python_version: Located[str] | None = None
    python_requirements: Located[str] | None = None
    requirements: tuple[Requirement, ...] = ()
    system_packages: tuple[Located[str], ...] = ()
    commands: tuple[Command, ...] = ()
    user: Located[str] | None = None
    dockerfile_template: Located[str] | None = None
    budget: Located[int] | None = None


@record
class Example:
    """One prediction and what is expected of it. `input` and `expected` are JSON: objects by name.

    `expected` has some of `output`, `contains`, `matches`, `close_to`, `tolerance`, `media_type` and `error`.
    """

    name: str
    input: str
    expected: str
    span: Span


@record
class Config:
    """A checked cog.yaml. `file` is its name as shown to the user, relative to the project root."""

    file: str
    build: BuildConfig
    image: Located[str] | None = None
    predict: Target | None = None
    train: Target | None = None
    concurrency: Concurrency | None = None
    environment: tuple[EnvironmentVariable, ...] = ()
    model: Located[str] | None = None
    weights: tuple[ManagedWeight, ...] = ()
    examples: tuple[Example, ...] = ()

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets that are set, that of predictions first."""
        return tuple(target for target in (self.predict, self.train) if target is not None)
