"""`build.run` and `build.pre_install` → commands with their mounts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from ...diagnostics import Diagnostic, report
from ..config import BindMount, CacheMount, Command, Located, Mount, SecretMount, SshMount
from ..files import Files
from ..parse import MappingNode, ScalarNode
from ..values import MAX_WORD_BYTES, project_path
from .reading import items_of, text_of

__all__ = ["bind_commands", "has_here_document"]

# What may stand before a `<<` that is no redirection: quoted text, escapes, arithmetic, and `<<<` of bash.
_NO_REDIRECTION = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|\(\(.*?\)\)|<<<|\$\[[^]]*\]""")


def bind_commands(build: MappingNode, files: Files) -> tuple[tuple[Command, ...], tuple[Diagnostic, ...]]:
    """The commands in order, those of `pre_install` last.

    Codes: COG126, COG139, COG142, COG146, COG148, COG153, COG155.
    """
    binder = _CommandBinder(files)
    commands = (*binder.run(build), *binder.pre_install(build))
    return commands, tuple(binder.found)


def has_here_document(command: str) -> bool:
    """Whether the shell would look for the lines of a here-document after this one.

    >>> has_here_document("cat <<EOF > /x"), has_here_document("cat <<- 'EOF'")
    (True, True)
    >>> has_here_document("echo $((1 << 2)) '<<A' && cat <<< text")
    False
    """
    return re.search(r"<<-?\s*[^\s<]", _NO_REDIRECTION.sub("_", command)) is not None


class _CommandBinder:
    def __init__(self, files: Files) -> None:
        self._files = files
        self.found: list[Diagnostic] = []

    def run(self, build: MappingNode) -> Iterator[Command]:
        for node in items_of(build, "run"):
            if isinstance(node, ScalarNode):
                yield from self._command(node, ())
            elif isinstance(node, MappingNode):
                command = node.get("command")
                if command is not None and isinstance(command.value, ScalarNode):
                    yield from self._command(command.value, tuple(self._mounts(node)))

    def pre_install(self, build: MappingNode) -> Iterator[Command]:
        entry = build.get("pre_install")
        if entry is None:
            return
        message = 'deprecated field "build.pre_install": use "build.run" instead'
        self.found.append(report("COG126", message, entry.key_span))
        for node in items_of(build, "pre_install"):
            if isinstance(node, ScalarNode):
                yield from self._command(node, ())

    def _command(self, node: ScalarNode, mounts: tuple[Mount, ...]) -> Iterator[Command]:
        command = node.text.strip()
        if not command:
            self.found.append(report("COG146", "the command is empty", node.span))
        elif "\n" in command:
            first = command.split("\n", 1)[0]
            message = f"the command contains a new line after `{first}`; each command needs its own list item"
            hint = "write `>-` instead of `|` to fold lines into one, or give each command an item"
            self.found.append(report("COG139", message, node.span, hint=hint))
        elif has_here_document(command):
            message = "the command starts a here-document, whose lines cannot follow in one line"
            hint = "write the text to a file of the project and copy that, or use printf '%s\\n' 'one' 'two' > FILE"
            self.found.append(report("COG153", message, node.span, hint=hint))
        elif "\0" in command or len(command.encode()) >= MAX_WORD_BYTES:
            way = None
            what = "has a NUL character"
            if "\0" not in command:
                what = f"is longer than the {MAX_WORD_BYTES // 1024} KiB that Linux allows"
                way = "write a script, and give the command a mount of the type `bind` with it"
            self.found.append(report("COG155", f"the command {what}", node.span, hint=way))
        else:
            yield Command(command=command, mounts=mounts, span=node.span)

    def _mounts(self, node: MappingNode) -> Iterator[Mount]:
        for item in items_of(node, "mounts"):
            if isinstance(item, MappingNode) and (mount := self._mount(item)):
                yield mount

    def _mount(self, node: MappingNode) -> Mount | None:
        kind = text_of(node, "type")
        target, identity = text_of(node, "target"), text_of(node, "id")
        if kind is None:
            return None
        if target is not None and not target.value.startswith("/"):
            message = f"the mount target `{target.value}` must be an absolute path in the container"
            self.found.append(report("COG142", message, target.span))
            return None
        for text in (target, identity):
            if text is not None and re.search(r"[\s,\"'$\\]|[^\x00-\x7f]", text.value):
                self.found.append(report("COG142", f"`{text.value}` cannot be used in a mount", text.span))
                return None
        match kind.value:
            case "secret":
                return self._secret_mount(node, identity, target)
            case "ssh":
                return self._ssh_mount(node, identity, target)
            case "cache" if target is not None:
                sharing = text_of(node, "sharing")
                choice: Literal["shared", "private", "locked"] = "shared"
                if sharing is not None and sharing.value in ("private", "locked"):
                    choice = "private" if sharing.value == "private" else "locked"
                name = identity.value if identity else None
                return CacheMount(target=target.value, id=name, sharing=choice, span=node.span)
            case "bind" if target is not None:
                return self._bind_mount(node, target)
        return None

    def _secret_mount(
        self, node: MappingNode, identity: Located[str] | None, target: Located[str] | None
    ) -> SecretMount | None:
        if identity is None:
            return None
        env = text_of(node, "env")
        if target is None and env is None:
            message = f"the secret `{identity.value}` needs a `target` (a file) or an `env` (a variable)"
            self.found.append(report("COG142", message, identity.span))
            return None
        if env is not None and not env.value.isidentifier():
            self.found.append(report("COG142", f"`{env.value}` is not the name of a variable", env.span))
            return None
        return SecretMount(
            id=identity.value,
            target=target.value if target else None,
            env=env.value if env else None,
            is_required=_is_required(node),
            span=node.span,
        )

    def _ssh_mount(
        self, node: MappingNode, identity: Located[str] | None, target: Located[str] | None
    ) -> SshMount | None:
        if identity is not None and "=" in identity.value:
            self.found.append(report("COG142", f"`{identity.value}` cannot be the id of an ssh agent", identity.span))
            return None
        return SshMount(
            id=(identity.value if identity else "") or "default",
            target=target.value if target else None,
            is_required=_is_required(node),
            span=node.span,
        )

    def _bind_mount(self, node: MappingNode, target: Located[str]) -> BindMount | None:
        source = text_of(node, "source")
        if source is None:
            return None
        path = project_path(source.value)
        if path is None:
            self.found.append(
                report("COG148", f"the mount source `{source.value}` is outside the project", source.span)
            )
            return None
        if self._files.kind(path) == "missing":
            self.found.append(report("COG142", f"the mount source `{path}` does not exist", source.span))
            return None
        if not path.isascii():  # the builder reads flags byte by byte
            message = f"`{path}` cannot be used in a mount: its name has characters outside ASCII"
            self.found.append(report("COG142", message, source.span))
            return None
        return BindMount(source=path, target=target.value, span=node.span)


def _is_required(node: MappingNode) -> bool:
    required = node.get("required")
    return not (required and isinstance(required.value, ScalarNode) and required.value.value is False)
