"""`build.run` and `build.pre_install` → commands with their mounts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

from ...diagnostics import Diagnostic, report
from ...source import Span
from ..config import BindMount, CacheMount, Command, Located, Mount, SecretMount, SshMount
from ..files import Files
from ..parse import MappingNode, ScalarNode
from ..values import MAX_WORD_BYTES, project_path
from .reading import items_of, text_of
from .run_flags import split_mounts

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


Fields: TypeAlias = Mapping[str, Located[str]]


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
        written = node.text.strip()
        flags, command = split_mounts(written)
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
            flagged = [mount for fields in flags if (mount := self._flag(fields, node.span))]
            yield Command(command=command, mounts=(*flagged, *mounts), written=written, span=node.span)

    def _mounts(self, node: MappingNode) -> Iterator[Mount]:
        for item in items_of(node, "mounts"):
            if isinstance(item, MappingNode):
                texts = {entry.key: text_of(item, entry.key) for entry in item.entries}
                fields = {key: text for key, text in texts.items() if text is not None}
                if mount := self._mount(fields, _is_required(item), item.span):
                    yield mount

    def _flag(self, fields: dict[str, str], span: Span) -> Mount | None:
        """A mount that is a flag in front of the command at `span`."""
        located = {name: Located(value, span) for name, value in fields.items()}
        return self._mount(located, fields.get("required") == "true", span)

    def _mount(self, fields: Fields, is_required: bool, span: Span) -> Mount | None:
        kind = fields.get("type")
        target, identity = fields.get("target"), fields.get("id")
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
                return self._secret_mount(fields, is_required, span)
            case "ssh":
                return self._ssh_mount(fields, is_required, span)
            case "cache" if target is not None:
                sharing = fields.get("sharing")
                choice: Literal["shared", "private", "locked"] = "shared"
                if sharing is not None and sharing.value in ("private", "locked"):
                    choice = "private" if sharing.value == "private" else "locked"
                name = identity.value if identity else None
                return CacheMount(target=target.value, id=name, sharing=choice, span=span)
            case "bind" if target is not None:
                return self._bind_mount(fields.get("source"), target, span)
        return None

    def _secret_mount(self, fields: Fields, is_required: bool, span: Span) -> SecretMount | None:
        identity, target, env = fields.get("id"), fields.get("target"), fields.get("env")
        if identity is None:
            return None
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
            is_required=is_required,
            span=span,
        )

    def _ssh_mount(self, fields: Fields, is_required: bool, span: Span) -> SshMount | None:
        identity, target = fields.get("id"), fields.get("target")
        if identity is not None and "=" in identity.value:
            self.found.append(report("COG142", f"`{identity.value}` cannot be the id of an ssh agent", identity.span))
            return None
        return SshMount(
            id=(identity.value if identity else "") or "default",
            target=target.value if target else None,
            is_required=is_required,
            span=span,
        )

    def _bind_mount(self, source: Located[str] | None, target: Located[str], span: Span) -> BindMount | None:
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
        return BindMount(source=path, target=target.value, span=span)


def _is_required(node: MappingNode) -> bool:
    required = node.get("required")
    return not (required and isinstance(required.value, ScalarNode) and required.value.value is False)
