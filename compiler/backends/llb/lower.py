"""Resolved IR → the graph of operations of its image, and the image's configuration.

Every step means what the Dockerfile back end makes of it. Stages that do not need each other are branches that the
daemon runs side by side; a linked copy is a layer of its own that is merged in, or a plain copy where the daemon
cannot merge. Generated files travel in the graph itself, everything else is one of three selections of the build
context: the code, the weights, and what commands mount.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar, assert_never

from ...ir.node import Cause
from ...ir.nodes import (
    BindMount,
    CaCertificate,
    CacheMount,
    Copy,
    Env,
    Expose,
    ImageBase,
    InitProcess,
    InstallPython,
    Label,
    LinkerCache,
    ModelSchema,
    Mount,
    Precompile,
    Process,
    PythonPackages,
    ResolvedBuild,
    Run,
    Runtime,
    ScratchBase,
    SecretMount,
    ServerEnvironment,
    SourceCode,
    SshMount,
    Stage,
    StageBase,
    Step,
    SystemPackages,
    User,
    UserAccount,
    WeightLayer,
    Workdir,
)
from ...record import record
from ...source import Span
from .. import commands
from ..context import STAGING
from ..filters import UV_IMAGE
from ..quoting import mountable
from ..source_map import Instruction, SourceMap
from .image import EMPTY_IMAGE, ImageConfig, full_reference
from .ops import (
    Action,
    BindFrom,
    CacheDirectory,
    CopyFiles,
    Diff,
    Exec,
    ExecMount,
    FileOp,
    ImageSource,
    LocalSource,
    MakeDirectory,
    MakeFile,
    Merge,
    Note,
    Op,
    Output,
    Owner,
    Platform,
    SecretFile,
    SecretVariable,
    SshSocket,
)

__all__ = ["CONTEXT", "LlbOptions", "Lowered", "lower_build"]

CONTEXT = "context"
PROJECT = "/src"
_T = TypeVar("_T")

_LONGEST_NAME = 100
_AGENTS = "/run/buildkit/ssh_agent."
_AGENT_VARIABLE = "SSH_AUTH_SOCK"
_CERTIFICATES = "ca-certificates"  # which a download may need
_ONLY_WHEELS = re.compile(r"(?:^|\s)--only-binary[= ]:all:(?:\s|$)")
_WHEEL = re.compile(r"\.whl(?:[#?\s]|$)")


@record
class LlbOptions:
    """How the graph is made.

    `platform` is that of the image, `ignored` the lines of .dockerignore. `images` are the configurations of base
    images by their reference in the IR; one that is not there counts as an image that sets nothing. `merges` says
    that the daemon can lay trees over one another, `prefers_local` that images of its own store come before those of
    registries. `config_file` is where an operation points that nothing in the
    project caused. Without `splits_context` the whole context is one selection, for those who have read it all anyway.
    `proxies` are (variable in small letters, value) for commands. `build_id` is what no other build has, without which
    two builds at the same time may get each other's files; a graph that is only printed has none.
    """

    platform: str = "linux/amd64"
    config_file: str = "cog.yaml"
    ignored: tuple[str, ...] = ()
    images: tuple[tuple[str, ImageConfig], ...] = ()
    uv_image: str = UV_IMAGE
    merges: bool = True
    prefers_local: bool = False
    ignores_cache: bool = False
    splits_context: bool = True
    proxies: tuple[tuple[str, str], ...] = ()
    build_id: str = ""


@record(kw_only=False)
class Lowered:
    """A graph and its image. `steps` says which step of the IR each operation is from, by its name.

    `spans` are all places that operations point to.
    """

    result: Output
    image: ImageConfig
    platform: Platform
    steps: SourceMap
    spans: frozenset[Span] = frozenset()


def lower_build(build: ResolvedBuild, files: Iterable[tuple[str, bytes]], options: LlbOptions | None = None) -> Lowered:
    """The graph of the last stage; `files` are the staged files, as (path below the staging directory, content)."""
    return _Lowering(build, dict(files), options or LlbOptions()).run()


@dataclass(slots=True)
class _State:
    """A stage so far: its tree (None: nothing) and its configuration.

    `before_system` is the tree without the system packages, when nothing came after them.
    """

    tree: Output | None
    image: ImageConfig
    before_system: Output | None = None


@dataclass(slots=True)
class _Lowering:
    build: ResolvedBuild
    files: Mapping[str, bytes]
    options: LlbOptions
    stages: dict[str, _State] = field(default_factory=dict)
    platform: Platform = field(init=False)
    images: dict[tuple[str, str], Output] = field(default_factory=dict)
    staged: dict[str, Output] = field(default_factory=dict)
    locals: dict[str, Output] = field(default_factory=dict)
    places: list[tuple[Stage, Step | None]] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    used: set[Span] = field(default_factory=set)

    def run(self) -> Lowered:
        self.platform = Platform.parse(self.options.platform)
        state = _State(None, EMPTY_IMAGE)
        for stage in self.build.stages:
            state = _StageLowering(self, stage, self._base(stage)).run()
            self.stages[stage.name] = state
        tree = state.tree or Output(FileOp(base=None, actions=(MakeDirectory("/"),), platform=self.platform))
        steps = SourceMap(tuple(self.places), tuple(self.instructions))
        return Lowered(tree, state.image, self.platform, steps, frozenset(self.used))

    def _base(self, stage: Stage) -> _State:
        base = stage.base
        match base:
            case ImageBase():
                platform = Platform.parse(base.platform) if base.platform else self.platform
                image = dict(self.options.images).get(base.reference, EMPTY_IMAGE)
                name = f"[{stage.name} 1/{1 + _count(stage)}] FROM {full_reference(base.reference)}"
                return _State(self.image(base.reference, platform, Note(name, self.spans(stage))), image)
            case StageBase():
                return replace(self.stages[base.stage])
            case ScratchBase():
                return _State(None, EMPTY_IMAGE)
            case _:
                assert_never(base)

    def spans(self, node: Stage | Step, stage: Stage | None = None) -> tuple[Span, ...]:
        """Where a node comes from: its own place, else those of its causes, else those of its stage."""
        found = (node.origin,) if node.origin else tuple(_spans(node.because))
        if not found and stage is not None:
            found = tuple(_spans(stage.because))
        found = found or (Span.of_file(self.options.config_file),)
        self.used.update(found)
        return found

    def image(self, reference: str, platform: Platform, note: Note) -> Output:
        key = (reference, str(platform))
        if key not in self.images:
            mode: Literal["", "local"] = "local" if self.options.prefers_local else ""
            source = ImageSource(reference=full_reference(reference), platform=platform, mode=mode, note=note)
            self.images[key] = Output(source)
        return self.images[key]

    def uv(self, note: Note) -> Output:
        name = self.options.uv_image
        digest = dict(self.build.digests).get(name)
        return self.image(f"{name}@{digest}" if digest else name, self.platform, replace(note, name=""))

    # -- what comes from the client ------------------------------------------------------------------

    def files_of(self, part: str) -> Output:
        """The generated files: `runtime` are those of the runtime, else the one of that path."""
        if part not in self.staged:
            prefix = f"{part}/"
            own = [(path, data) for path, data in self.files.items() if path == part or path.startswith(prefix)]
            op = FileOp(
                base=None,
                actions=tuple(_made(own)),
                platform=self.platform,
                note=Note(f"[internal] {part}", (Span.of_file(self.options.config_file),)),
            )
            self.staged[part] = Output(op)
        return self.staged[part]

    def local(self, part: str) -> Output:
        """A selection of the build context: `code`, `weights`, or `mounts`; or the one of all."""
        part = part if self.options.splits_context else CONTEXT
        if part not in self.locals:
            excludes = self.options.ignored
            includes: tuple[str, ...] = ()
            if part == "code":
                left_out = dict.fromkeys(path for step in self.steps_of(SourceCode) for path in step.excludes)
                excludes = (*excludes, *map(_pattern, left_out))
            elif part == "weights":
                includes = tuple(dict.fromkeys(_pattern(step.source) for step in self.steps_of(WeightLayer)))
            elif part == "mounts":
                includes = tuple(dict.fromkeys(map(_pattern, self._mounted())))
                includes = () if "" in includes else includes
            what = {"weights": "weights", "mounts": "mounted files"}.get(part, "build context")
            note = Note(f"[internal] load {what}", (Span.of_file(self.options.config_file),))
            build = self.options.build_id
            source = LocalSource(
                name=CONTEXT, part=part, excludes=excludes, includes=includes, build_id=build, note=note
            )
            self.locals[part] = Output(source)
        return self.locals[part]

    def steps_of(self, kind: type[_T]) -> Iterator[_T]:
        return (step for stage in self.build.stages for step in stage.steps if isinstance(step, kind))

    def _mounted(self) -> Iterator[str]:
        for step in self.steps_of(Run):
            yield from (_clean(mount.source) for mount in step.mounts if isinstance(mount, BindMount))
        for packages in self.steps_of(PythonPackages):
            yield from map(mountable, packages.artifacts)
        for copy in self.steps_of(Copy):
            if copy.from_stage is None:
                yield from (_clean(source) for source in copy.sources if not _is_staged(source))


@dataclass(slots=True)
class _StageLowering:
    """One stage: its steps from the first to the last, each on top of what is there."""

    whole: _Lowering
    stage: Stage
    state: _State
    number: int = 1
    step: Step | None = None

    def run(self) -> _State:
        for step in self.stage.steps:
            self.step = step
            self._step(step)
        return self.state

    def _step(self, step: Step) -> None:
        image = self.state.image
        match step:
            case Env():
                for variable in step.variables:
                    image = image.with_variable(variable)
            case Label():
                image = image.with_labels(step.labels)
            case Process():
                image = replace(image, entrypoint=step.entrypoint, command=step.command)
            case Expose():
                image = replace(image, ports=tuple(dict.fromkeys((*image.ports, f"{step.port}/tcp"))))
            case User():
                image = replace(image, user=step.name)
            case Workdir():
                self._workdir(step)
                return
            case _:
                self._layer(step)
                return
        self.state.image = image

    def _layer(self, step: Step) -> None:
        match step:
            case CaCertificate():
                mount = self._staged(step.file, commands.CERTIFICATE_MOUNT)
                self._shell(commands.ca_certificate(step), mount)
            case Run():
                self._command(step)
            case Copy():
                self._copy(step)
            case Runtime():
                files = self.whole.files_of("runtime")
                self._files(f"COPY runtime {step.destination}", CopyFiles(files, "/runtime", step.destination))
            case InitProcess():
                self._shell(commands.init_process(step), *_apt(step.cache_id))
            case InstallPython():
                self._python(step)
            case WeightLayer():
                copy = CopyFiles(self.whole.local("weights"), f"/{step.source}", step.destination)
                self._files(f"COPY {step.source} {step.destination}", copy)
            case SourceCode():
                owner = Owner.parse(step.owner) if step.owner else None
                excludes = () if self.whole.options.splits_context else tuple(map(_pattern, step.excludes))
                code = CopyFiles(self.whole.local("code"), "/", step.destination, owner, excludes)
                self._place_files(f"COPY . {step.destination}", code)
            case _:
                self._install(step)

    def _install(self, step: Step) -> None:
        match step:
            case SystemPackages():
                before = self.state.tree
                self._shell(commands.system_packages(step), *_apt(step.cache_id))
                self.state.before_system = None if _CERTIFICATES in step.packages else before
            case PythonPackages():
                self._packages(step)
            case ServerEnvironment():
                requirements = self._staged(step.requirements_file, f"/tmp/{step.requirements_file}")
                command = commands.server_environment(step)
                self._shell(command, self._uv(), requirements, CacheDirectory("uv", "/root/.cache/uv"))
            case UserAccount():
                group = commands.group_account(step)
                if group is not None:
                    self._shell(group)
                self._shell(commands.user_account(step))
            case Precompile():
                self._shell(commands.precompile(step))
            case ModelSchema():
                self._shell(commands.model_schema(step))
            case LinkerCache():
                self._shell(commands.LINKER_CACHE)
            case _:
                raise AssertionError(step)  # the other kinds are in `_step` and `_layer`

    # -- kinds of steps ------------------------------------------------------------------------------

    def _workdir(self, step: Workdir) -> None:
        command = commands.workdir(step)
        if command is not None:
            self._shell(command)
        user = self.state.image.user
        self._files(f"WORKDIR {step.path}", MakeDirectory(step.path, owner=Owner.parse(user) if user else None))
        self.state.image = replace(self.state.image, directory=step.path)

    def _command(self, step: Run) -> None:
        mounts = [mount for each in step.mounts for mount in self._mounts(each)]
        command = commands.runnable(step.command)
        words = _exec_form(command)
        if words is None:
            self._shell(command, *mounts)
        else:
            self._exec(words, command, *mounts)

    def _mounts(self, mount: Mount) -> Iterator[ExecMount]:
        match mount:
            case SecretMount():
                if mount.target:
                    yield SecretFile(mount.id, self._absolute(mount.target), mount.is_required)
                if mount.env:
                    yield SecretVariable(mount.id, mount.env, mount.is_required)
                if not mount.target and not mount.env:
                    yield SecretFile(mount.id, f"/run/secrets/{mount.id}", mount.is_required)
            case SshMount():
                yield SshSocket(mount.id, self._absolute(mount.target) if mount.target else "", mount.is_required)
            case CacheMount():
                yield CacheDirectory(mount.id, self._absolute(mount.target), mount.sharing)
            case BindMount():
                source = _clean(mount.source)
                yield BindFrom(self.whole.local("mounts"), f"/{source}" if source else "", self._absolute(mount.target))
            case _:
                assert_never(mount)

    def _copy(self, step: Copy) -> None:
        name = f"COPY {' '.join(step.sources)} {step.destination}"
        tree = None
        if step.from_stage is not None:
            tree = self.whole.stages[step.from_stage].tree
        copies = []
        for source in step.sources:
            copied, path = (tree, source) if tree is not None else self._from_context(source)
            copies.append(CopyFiles(copied, path, self._absolute(step.destination)))
        if step.is_linked and self._can_merge:
            self._link(name, *copies)
        elif all(map(_is_staged, step.sources)):
            self._place_files(name, *copies)
        else:
            self._files(name, *copies)

    def _place_files(self, name: str, *copies: CopyFiles) -> None:
        """Copy what does not depend on the tree below, as a branch of its own where that comes to the same.

        It does not where the project's directory is someone else's, or where a command may have made it: a directory of
        a layer takes the place of a link, its mode and owner win, and an owner's name is not known without the tree.
        """
        is_owned = any(step.owner for step in self.whole.steps_of(Workdir))
        is_touched = any(PROJECT.strip("/") in step.command for step in self.whole.steps_of(Run))
        is_free = all(copy.owner is None and copy.destination.startswith(PROJECT) for copy in copies)
        if self._can_merge and is_free and not is_touched and not is_owned and self.state.image.directory == PROJECT:
            self._link(name, *copies)
        else:
            self._files(name, *copies)

    @property
    def _can_merge(self) -> bool:
        return self.whole.options.merges and self.state.tree is not None

    def _from_context(self, source: str) -> tuple[Output, str]:
        if _is_staged(source):
            path = source.removeprefix(f"{STAGING}/")
            return self.whole.files_of(path), f"/{path}"
        return self.whole.local("mounts"), f"/{_clean(source)}"

    def _python(self, step: InstallPython) -> None:
        if step.source == "uv":
            self._shell(commands.install_python(step), self._uv())
            return
        self._shell(commands.install_python(step), *_apt(step.cache_id))
        if step.image is not None:
            source = self.whole.image(step.image, self.whole.platform, Note("", self._spans))
            self._files(f"COPY {step.image} /usr/local", CopyFiles(source, "/usr/local", "/usr/local"))
            self._shell(commands.COPIED_PYTHON)

    def _packages(self, step: PythonPackages) -> None:
        """Install them beside the system packages, where these can make no difference; else on top of them."""
        command, mounts = commands.python_packages(step), tuple(self._package_mounts(step))
        system, before = self.state.tree, self.state.before_system
        if system is None or before is None or not self._can_merge or not self._is_independent(step):
            self._shell(command, *mounts)
            return
        self.state.tree = before
        self._shell(command, *mounts)
        note = Note(f"{self._place} LINK Python packages", self._spans)
        added = Output(Diff(lower=before, upper=self._tree, note=note))
        self._replace(Merge(layers=(system, added), note=note))

    def _is_independent(self, step: PythonPackages) -> bool:
        """Whether only wheels are unpacked, into an interpreter that is not the system's."""
        content = self.whole.files.get(step.requirements_file, b"").decode()
        only_wheels = any(map(_ONLY_WHEELS.search, (content, " ".join(step.options))))
        has_own_python = (step.interpreter or "").startswith(("/usr/local/", "/opt/"))
        return only_wheels and all(map(_is_of_wheel, content.splitlines())) and has_own_python and not step.strips

    def _package_mounts(self, step: PythonPackages) -> Iterator[ExecMount]:
        for mount in commands.ssh_mounts(step):
            yield from self._mounts(mount)
        yield from (self._uv(),) if step.installer == "uv" else ()
        for name in filter(None, (step.requirements_file, step.constraints_file)):
            yield self._staged(name, f"/tmp/{name}")
        for path in dict.fromkeys(map(mountable, step.artifacts)):
            target = f"{commands.LOCAL_PACKAGES}/{path}".rstrip("/")
            yield BindFrom(self.whole.local("mounts"), f"/{path}" if path else "", target)
        yield CacheDirectory(step.installer, f"/root/.cache/{step.installer}")

    def _staged(self, path: str, target: str) -> BindFrom:
        return BindFrom(self.whole.files_of(path), f"/{path}", target)

    def _uv(self) -> BindFrom:
        return BindFrom(self.whole.uv(Note("", self._spans)), "/uv", commands.UV)

    def _absolute(self, path: str) -> str:
        return path if path.startswith("/") else f"{self.state.image.directory or ''}/{path}"

    # -- operations ----------------------------------------------------------------------------------

    @property
    def _spans(self) -> tuple[Span, ...]:
        assert self.step is not None
        return self.whole.spans(self.step, self.stage)

    def _note(self, text: str) -> Note:
        self.number += 1
        shown = re.sub(r"\s+", " ", commands.on_one_line(text)).strip()
        shown = shown if len(shown) <= _LONGEST_NAME else shown[: _LONGEST_NAME - 1] + "…"
        return Note(f"{self._place} {shown}", self._spans, self.whole.options.ignores_cache)

    @property
    def _place(self) -> str:
        return f"[{self.stage.name} {self.number}/{1 + _count(self.stage)}]"

    def _shell(self, command: str, *mounts: ExecMount) -> None:
        self._exec((*self.state.image.shell, commands.on_one_line(command)), command, *mounts)

    def _exec(self, words: tuple[str, ...], shown: str, *mounts: ExecMount) -> None:
        image = self.state.image
        mounts, variables = _with_agents(mounts, image.environment)
        op = Exec(
            root=self._tree,
            arguments=words,
            environment=variables,
            directory=image.directory or "/",
            user=image.user,
            platform=self.whole.platform,
            mounts=mounts,
            proxies=self.whole.options.proxies,
            note=self._note(f"RUN {shown}"),
        )
        self._add(op, "RUN")

    def _files(self, name: str, *actions: Action) -> None:
        op = FileOp(base=self.state.tree, actions=actions, platform=self.whole.platform, note=self._note(name))
        self._add(op, "WORKDIR" if name.startswith("WORKDIR") else "COPY")

    def _link(self, name: str, *copies: CopyFiles) -> None:
        copied = FileOp(base=None, actions=copies, platform=self.whole.platform, note=self._note(name))
        note = Note(f"{self._place} LINK {name}", self._spans)
        self._add(Merge(layers=(self._tree, Output(copied)), note=note), "COPY")

    @property
    def _tree(self) -> Output:
        assert self.state.tree is not None, "a command needs a file system"
        return self.state.tree

    def _add(self, op: Op, keyword: str) -> None:
        whole = self.whole
        whole.places.append((self.stage, self.step))
        whole.instructions.append(Instruction(keyword, len(whole.places), self.stage.name))
        self._replace(op)

    def _replace(self, op: Op) -> None:
        self.state.tree = Output(op)
        self.state.before_system = None


def _count(stage: Stage) -> int:
    """How many operations the steps of a stage become; a linked copy counts as one."""
    return sum(map(_operations, stage.steps))


def _operations(step: Step) -> int:
    match step:
        case Env() | Label() | Process() | Expose() | User():
            return 0
        case InstallPython():
            return 3 if step.source == "image" else 1
        case UserAccount():
            return 2 if step.group else 1
        case Workdir():
            return 2 if step.owner else 1
        case _:
            return 1


def _spans(causes: Iterable[Cause]) -> Iterator[Span]:
    return (cause.span for cause in causes if cause.span is not None)


def _made(files: Iterable[tuple[str, bytes]]) -> Iterator[Action]:
    """Directories, then files: with fixed modes and times, so that they are the same everywhere."""
    found = list(files)
    directories = sorted({path.rpartition("/")[0] for path, _ in found} - {""})
    yield from (MakeDirectory(f"/{path}", seconds=0) for path in directories)
    yield from (MakeFile(f"/{path}", data) for path, data in found)


def _apt(cache_id: str) -> tuple[ExecMount, ...]:
    return (
        CacheDirectory(cache_id, commands.APT_CACHE, "locked"),
        CacheDirectory(f"{cache_id}-lists", commands.APT_LISTS, "locked"),
    )


def _with_agents(
    mounts: tuple[ExecMount, ...], variables: tuple[tuple[str, str], ...]
) -> tuple[tuple[ExecMount, ...], tuple[tuple[str, str], ...]]:
    """Places for the agents that have none, and the variable with the place of the first, as in a Dockerfile."""
    agents = [mount for mount in mounts if isinstance(mount, SshSocket)]
    if not agents:
        return mounts, variables
    placed = {id(each): replace(each, target=each.target or f"{_AGENTS}{n}") for n, each in enumerate(agents)}
    if _AGENT_VARIABLE not in dict(variables):
        variables = (*variables, (_AGENT_VARIABLE, placed[id(agents[0])].target))
    return tuple(placed.get(id(mount), mount) for mount in mounts), variables


def _is_staged(source: str) -> bool:
    return source.startswith(f"{STAGING}/")


def _is_of_wheel(line: str) -> bool:
    """Whether a line of a requirements file takes a wheel, if only wheels are taken from indexes."""
    if line.startswith("-"):
        return not line.startswith(("-e", "--editable", "--no-binary"))
    has_place = "://" in line or line.startswith(("/", "."))
    return "--no-binary" not in line and (not has_place or _WHEEL.search(line) is not None)


def _clean(path: str) -> str:
    """A path of the context without what says nothing: `./a/` → `a`."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def _pattern(path: str) -> str:
    r"""The pattern that matches this path alone, and so what is below it.

    Escapes are those of Go's regular expressions; `!` at the start means something, and blanks at the ends would be
    trimmed.

    >>> print(_pattern("a[1]"), _pattern("!b "))
    a\[1\] \!b[ ]
    """
    last = len(path) - 1
    return "".join(_pattern_character(character, index in (0, last)) for index, character in enumerate(path))


def _pattern_character(character: str, is_at_end: bool) -> str:
    if character.isspace() and is_at_end:
        return f"[{character}]"
    return f"\\{character}" if character in "\\*?[]^!" else character


def _exec_form(command: str) -> tuple[str, ...] | None:
    """The words of a command that is a JSON list of strings, which a Dockerfile runs without a shell."""
    if not command.startswith("["):
        return None
    try:
        words = json.loads(command)
    except ValueError:
        return None
    is_list = isinstance(words, list) and bool(words) and all(isinstance(word, str) for word in words)
    return tuple(words) if is_list else None
