"""The operations of a build graph as values, each with the capabilities that a daemon must have for it.

An operation refers to what it is made from by `Output` values, so that a result is a whole graph. Operations are
compared by identity; `definition` finds out which are the same by their bytes. `message` gives an operation's
message, with its inputs as indices into what `inputs` lists; an index of -1 means nothing at all.

Source: https://docs.docker.com/build/buildkit/ and the field tables of the daemon (solver/pb/ops.proto, caps.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import Any, Literal, TypeAlias, assert_never

from ...record import record
from ...source import Span

__all__ = [
    "NOTHING",
    "Action",
    "BindFrom",
    "CacheDirectory",
    "CopyFiles",
    "Diff",
    "Exec",
    "ExecMount",
    "FileOp",
    "ImageSource",
    "LocalSource",
    "MakeDirectory",
    "MakeFile",
    "Merge",
    "Note",
    "Op",
    "Output",
    "Owner",
    "Platform",
    "SecretFile",
    "SecretVariable",
    "SshSocket",
]

NOTHING = -1
_SHARING = {"shared": 0, "private": 1, "locked": 2}
_BIND, _SECRET, _SSH, _CACHE = 0, 1, 2, 3


@record(kw_only=False)
class Platform:
    """What a result runs on, such as linux/amd64 or linux/arm/v7."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """From `os/architecture[/variant]`."""
        os, _, rest = text.partition("/")
        architecture, _, variant = rest.partition("/")
        return cls(os, architecture, variant)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    @property
    def message(self) -> dict[str, str]:
        """Its message."""
        return {"architecture": self.architecture, "os": self.os, "variant": self.variant}


@record(kw_only=False)
class Note:
    """What an operation is called when people watch it, and the places in files that it came from."""

    name: str = ""
    spans: tuple[Span, ...] = ()
    ignores_cache: bool = False


@record(kw_only=False, eq=False)
class Output:
    """A file tree that an operation makes: that of number `index`."""

    op: Op
    index: int = 0


# -- sources ---------------------------------------------------------------------------------------


@record(eq=False)
class ImageSource:
    """The root file system of an image, by its full name with tag or digest.

    `mode` says where it is looked for: `local` prefers the daemon's own store.
    """

    reference: str
    platform: Platform
    mode: Literal["", "local"] = ""
    note: Note = field(default_factory=Note)

    @property
    def inputs(self) -> tuple[Output, ...]:
        """None."""
        return ()

    @property
    def capabilities(self) -> set[str]:
        """What the daemon must know."""
        return {"source.image", "source.image.resolvemode"} if self.mode else {"source.image"}

    @property
    def message(self) -> dict[str, Any]:
        """The operation's message, without the platform."""
        attributes = {"attrs": {"image.resolvemode": self.mode}} if self.mode else {}
        return {"source": {"identifier": f"docker-image://{self.reference}", **attributes}}


@record(eq=False)
class LocalSource:
    """A directory of the client, without what `excludes` matches, and with `includes` only what they match.

    With `follows` only those paths, and what links among them lead to.
    Patterns are those of .dockerignore. `part` tells apart several selections of one directory, which the daemon
    keeps from one build to the next. `build_id` tells apart builds: operations that are equal are one to the daemon,
    and of two builds at the same time one would get the files of the other.
    """

    name: str
    part: str
    excludes: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    build_id: str = ""
    note: Note = field(default_factory=Note)
    platform: Platform | None = None

    @property
    def inputs(self) -> tuple[Output, ...]:
        """None."""
        return ()

    @property
    def capabilities(self) -> set[str]:
        """What the daemon must know."""
        found = {"source.local", "source.local.sharedkeyhint"}
        found |= {"source.local.unique"} if self.build_id else set()
        found |= {"source.local.excludepatterns"} if self.excludes else set()
        found |= {"source.local.followpaths"} if self.follows else set()
        return found | ({"source.local.includepatterns"} if self.includes else set())

    @property
    def message(self) -> dict[str, Any]:
        """The operation's message."""
        attributes = {"local.sharedkeyhint": self.part}
        if self.build_id:
            attributes["local.unique"] = self.build_id
        if self.excludes:
            attributes["local.excludepatterns"] = _json(self.excludes)
        if self.includes:
            attributes["local.includepattern"] = _json(self.includes)
        if self.follows:
            attributes["local.followpaths"] = _json(self.follows)
        return {"source": {"identifier": f"local://{self.name}", "attrs": attributes}}


def _json(texts: Sequence[str]) -> str:
    return json.dumps(list(texts), ensure_ascii=False, separators=(",", ":"))


# -- commands --------------------------------------------------------------------------------------


@record(kw_only=False, eq=False)
class BindFrom:
    """A file or directory of another result at `target`, read-only; `selector` is its path there."""

    source: Output
    selector: str
    target: str


@record(kw_only=False)
class CacheDirectory:
    """A directory that the daemon keeps from build to build."""

    id: str
    target: str
    sharing: Literal["shared", "private", "locked"] = "shared"


@record(kw_only=False)
class SecretFile:
    """A secret of the client as a file that only its owner reads."""

    id: str
    target: str
    is_required: bool = True


@record(kw_only=False)
class SecretVariable:
    """A secret of the client as an environment variable."""

    id: str
    name: str
    is_required: bool = True


@record(kw_only=False)
class SshSocket:
    """An ssh agent of the client as a socket that only its owner uses."""

    id: str
    target: str
    is_required: bool = True


ExecMount: TypeAlias = BindFrom | CacheDirectory | SecretFile | SecretVariable | SshSocket


@record(eq=False)
class Exec:
    """A program that runs on top of `root`; its output is the root file system afterwards.

    `environment` are (name, value) pairs; nothing is inherited from an image. `proxies` are the same for variables such
    as http_proxy, which do not count when results are looked up.
    """

    root: Output
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    directory: str
    user: str
    platform: Platform
    mounts: tuple[ExecMount, ...] = ()
    proxies: tuple[tuple[str, str], ...] = ()
    note: Note = field(default_factory=Note)

    @property
    def inputs(self) -> tuple[Output, ...]:
        """What it is mounted from, in the order of the mounts."""
        found: list[Output] = []
        for mount in self._bound:
            if not any(_is_same(mount.source, known) for known in found):
                found.append(mount.source)
        return tuple(found)

    @property
    def _bound(self) -> list[BindFrom]:
        root = BindFrom(self.root, "", "/")
        bound = [mount for mount in self.mounts if isinstance(mount, BindFrom)]
        return sorted([root, *bound], key=lambda mount: mount.target)

    @property
    def capabilities(self) -> set[str]:
        """What the daemon must know."""
        found = {"exec.meta.base", "exec.mount.bind"} | ({"exec.meta.proxyenv"} if self.proxies else set())
        for mount in self.mounts:
            match mount:
                case BindFrom():
                    found |= {"exec.mount.selector"} if mount.selector else set()
                case CacheDirectory():
                    found |= {"exec.mount.cache", "exec.mount.cache.sharing"}
                case SecretFile():
                    found.add("exec.mount.secret")
                case SecretVariable():
                    found.add("exec.secretenv")
                case SshSocket():
                    found.add("exec.mount.ssh")
                case _:
                    assert_never(mount)
        return found

    @property
    def message(self) -> dict[str, Any]:
        """The operation's message, without the platform."""
        inputs = self.inputs
        mounts = [_mount(mount, inputs, is_root=mount.target == "/") for mount in self._bound]
        variables = []
        for mount in self.mounts:
            if isinstance(mount, SecretVariable):
                variables.append({"id": mount.id, "name": mount.name, "optional": not mount.is_required})
            elif not isinstance(mount, BindFrom):
                mounts.append(_mount(mount, inputs))
        meta = {
            "args": list(self.arguments),
            "env": [f"{name}={value}" for name, value in self.environment],
            "cwd": self.directory,
            "user": self.user,
            "remove_mount_stubs_recursive": True,
            **({"proxy_env": dict(self.proxies)} if self.proxies else {}),
        }
        ordered = sorted(mounts, key=lambda mount: mount["dest"])
        return {"exec": {"meta": meta, "mounts": ordered, "secretenv": variables}}


def _mount(
    mount: BindFrom | CacheDirectory | SecretFile | SshSocket, inputs: tuple[Output, ...], *, is_root: bool = False
) -> Any:
    match mount:
        case BindFrom():
            index = next(number for number, known in enumerate(inputs) if _is_same(mount.source, known))
            output = 0 if is_root else NOTHING
            common = {"input": index, "selector": mount.selector, "dest": mount.target}
            return {**common, "output": output, "readonly": not is_root, "mount_type": _BIND}
        case CacheDirectory():
            cache = {"id": mount.id, "sharing": _SHARING[mount.sharing]}
            return {"input": NOTHING, "dest": mount.target, "output": NOTHING, "mount_type": _CACHE, "cache": cache}
        case SecretFile():
            # What these two leave out is as in a Dockerfile, so that both share the daemon's cache.
            secret = {"id": mount.id, "mode": 0o400, "optional": not mount.is_required}
            return {"input": NOTHING, "dest": mount.target, "mount_type": _SECRET, "secret": secret}
        case SshSocket():
            name = mount.id if mount.id != "default" else ""
            agent = {"id": name, "mode": 0o600, "optional": not mount.is_required}
            return {"input": NOTHING, "dest": mount.target, "mount_type": _SSH, "ssh": agent}
        case _:
            assert_never(mount)


# -- files -----------------------------------------------------------------------------------------


@record(kw_only=False)
class Owner:
    """A user and a group, each a name or a number; `group` None is that of root for a number, else the user's."""

    user: str
    group: str | None = None

    @classmethod
    def parse(cls, text: str) -> Owner:
        """From `user[:group]`."""
        user, separator, group = text.partition(":")
        return cls(user, group if separator else None)

    def message(self, names: int) -> dict[str, Any]:
        """Its message; names are looked up in the input of number `names`."""
        group = {} if self.group is None else {"group": _account(self.group, names)}
        return {"user": _account(self.user, names), **group}


def _account(name: str, names: int) -> dict[str, Any]:
    return {"by_id": int(name)} if name.isdigit() else {"by_name": {"name": name, "input": names}}


@record(kw_only=False, eq=False)
class CopyFiles:
    """Copy the path `path` of `source`: a file, or what is in a directory, to `destination`.

    Links in the path are followed, directories above the destination are made. `excludes` are patterns; with them
    BuildKit would follow the links in the directory as well, and fail where one leads nowhere: none is followed.
    """

    source: Output
    path: str
    destination: str
    owner: Owner | None = None
    excludes: tuple[str, ...] = ()


@record(kw_only=False)
class MakeDirectory:
    """Make a directory and those above it."""

    path: str
    mode: int = 0o755
    owner: Owner | None = None
    seconds: int | None = None


@record(kw_only=False)
class MakeFile:
    """Write a file with its time in seconds since 1970."""

    path: str
    content: bytes
    mode: int = 0o644
    seconds: int = 0


Action: TypeAlias = CopyFiles | MakeDirectory | MakeFile


@record(eq=False)
class FileOp:
    """Changes of files on top of `base` (None: of nothing), one after the other, as one layer."""

    base: Output | None
    actions: tuple[Action, ...]
    platform: Platform
    note: Note = field(default_factory=Note)

    @property
    def inputs(self) -> tuple[Output, ...]:
        """The base, then what is copied from."""
        found: list[Output] = [] if self.base is None else [self.base]
        for action in self.actions:
            if isinstance(action, CopyFiles) and not any(_is_same(action.source, known) for known in found):
                found.append(action.source)
        return tuple(found)

    @property
    def capabilities(self) -> set[str]:
        """What the daemon must know."""
        is_filtered = any(isinstance(action, CopyFiles) and action.excludes for action in self.actions)
        return {"file.base"} | ({"file.copy.includeexcludepatterns"} if is_filtered else set())

    @property
    def message(self) -> dict[str, Any]:
        """The operation's message, without the platform."""
        return {"file": {"actions": list(self._actions())}}

    def _actions(self) -> Iterator[dict[str, Any]]:
        inputs = self.inputs
        before = NOTHING if self.base is None else 0
        for number, action in enumerate(self.actions):
            is_last = number == len(self.actions) - 1
            second = NOTHING
            if isinstance(action, CopyFiles):
                second = next(index for index, known in enumerate(inputs) if _is_same(action.source, known))
            places = {"input": before, "secondary_input": second, "output": 0 if is_last else NOTHING}
            yield {**places, **_action(action, before)}
            before = len(inputs) + number


def _action(action: Action, before: int) -> dict[str, Any]:
    match action:
        case CopyFiles():
            copy = {
                "src": action.path,
                "dest": action.destination,
                "mode": NOTHING,
                "follow_symlink": not action.excludes,
                "dir_copy_contents": True,
                "create_dest_path": True,
                "timestamp": NOTHING,
                "exclude_patterns": list(action.excludes),
            }
            return {"copy": copy | _owner(action.owner, before)}
        case MakeDirectory():
            made = {"path": action.path, "mode": action.mode, "make_parents": True, "timestamp": _time(action.seconds)}
            return {"mkdir": made | _owner(action.owner, before)}
        case MakeFile():
            time = _time(action.seconds)
            return {"mkfile": {"path": action.path, "mode": action.mode, "data": action.content, "timestamp": time}}
        case _:
            assert_never(action)


def _owner(owner: Owner | None, names: int) -> dict[str, Any]:
    return {} if owner is None else {"owner": owner.message(names)}


def _time(seconds: int | None) -> int:
    return NOTHING if seconds is None else seconds * 1_000_000_000


# -- layers ----------------------------------------------------------------------------------------


@record(eq=False)
class Merge:
    """Trees laid over one another, the last on top, each keeping its own layers."""

    layers: tuple[Output, ...]
    note: Note = field(default_factory=Note)
    platform: Platform | None = None

    @property
    def inputs(self) -> tuple[Output, ...]:
        """The trees."""
        return self.layers

    @property
    def capabilities(self) -> set[str]:
        """What the daemon must know."""
        return {"mergeop"}

    @property
    def message(self) -> dict[str, Any]:
        """The operation's message."""
        return {"merge": {"inputs": [{"input": number} for number in range(len(self.layers))]}}


@record(eq=False)
class Diff:
    """What `upper` has and `lower` has not, as layers; only to be merged into something."""

    lower: Output
    upper: Output
    note: Note = field(default_factory=Note)
    platform: Platform | None = None

    @property
    def inputs(self) -> tuple[Output, ...]:
        """Both trees."""
        return (self.lower, self.upper)

    @property
    def capabilities(self) -> set[str]:
        """What the daemon must know."""
        return {"diffop"}

    @property
    def message(self) -> dict[str, Any]:
        """The operation's message."""
        return {"diff": {"lower": {"input": 0}, "upper": {"input": 1}}}


Op: TypeAlias = ImageSource | LocalSource | Exec | FileOp | Merge | Diff


def _is_same(one: Output, other: Output) -> bool:
    return one.op is other.op and one.index == other.index
