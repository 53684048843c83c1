"""How values are written in a Dockerfile: one function per place, so that any text survives."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

__all__ = [
    "copy_arguments",
    "env_value",
    "exclude_pattern",
    "exec_form",
    "glob_literal",
    "is_flag_safe",
    "label_value",
    "mount_flag",
    "mountable",
    "shell_word",
    "split_command",
]

_MAX_CHUNK = 15_000
_LONG_LABEL = 400
_PLAIN = re.compile(r"[A-Za-z0-9_./:,=+@%-]+")


def shell_word(text: str) -> str:
    """One word of a shell command.

    >>> shell_word("libgl1"), shell_word("a b")
    ('libgl1', "'a b'")
    """
    return shlex.quote(text)


def env_value(text: str) -> str:
    """A value of ENV or LABEL: bare where that is safe, else in double quotes with variables switched off.

    >>> print(env_value("3.12"), env_value('say "$HOME"'))
    3.12 "say \\"\\$HOME\\""
    """
    if _PLAIN.fullmatch(text) and len(text) <= _MAX_CHUNK:
        return text
    return _quoted([text])


def label_value(text: str) -> str:
    """A value of LABEL: as `env_value`, but a long JSON document gets a line for each of its objects and lists.

    A review then shows the property that changed, not one line of several kilobytes.
    """
    if len(text) <= _LONG_LABEL or text[:1] not in ("{", "["):
        return env_value(text)
    return _quoted(re.split(r'(?<=[}\]],)(?=")', text))


def _quoted(pieces: Sequence[str]) -> str:
    """Pieces of one value in double quotes, a line each: quoted strings without a blank between are one word."""
    chunks: list[str] = []
    for piece in pieces:
        escaped = piece.replace("\\", r"\\").replace('"', r"\"").replace("$", r"\$")
        if len(escaped) <= _MAX_CHUNK:
            chunks.append(escaped)
        else:  # Docker reads lines of at most 64 KiB.
            chunks += re.findall(rf"(?:\\.|[^\\]){{1,{_MAX_CHUNK}}}", escaped, re.DOTALL)
    return "\\\n".join(f'"{chunk}"' for chunk in chunks)


def split_command(command: str) -> list[str]:
    r"""A shell command in pieces for one line each: Docker reads lines of at most 64 KiB, and joins them again.

    No piece after the first may look like a comment or an empty line, nor may a break come after a backslash.

    >>> split_command("make"), [len(piece) for piece in split_command("x" * 40_000)]
    (['make'], [15000, 15000, 10000])
    """
    pieces = []
    while len(command) > _MAX_CHUNK:
        ends = (end for end in range(_MAX_CHUNK, 1, -1) if re.fullmatch(r"[^\\][^#\s]", command[end - 1 : end + 1]))
        end = next(ends, None)
        if end is None:  # nothing but such characters
            break
        pieces.append(command[:end])
        command = command[end:]
    return [*pieces, command]


def exec_form(arguments: Sequence[str]) -> str:
    """The JSON form of ENTRYPOINT, CMD, COPY.

    >>> exec_form(["python", "-m", "http"])
    '["python", "-m", "http"]'
    """
    return json.dumps(list(arguments), ensure_ascii=False)


def glob_literal(path: str) -> str:
    r"""A path as a source of COPY that names it alone.

    Three readers must agree on it. The builder takes a part of a path for a pattern only where it has a bare `*`,
    `?` or `[`, so that a backslash needs a class beside it; the list of what to fetch is trimmed, and `!` starts
    an exception in it; and a word that starts with `<<` is a here-document. One character in a class avoids all.

    >>> print(glob_literal("weights/a.bin"), glob_literal("a[1]*"), glob_literal("x/!y"))
    weights/a.bin [a]\[1]\* x/[!]y
    """
    return "/".join(map(_glob_part, path.split("/")))


def _glob_part(name: str) -> str:
    if not name or not (set(name) & set("\\*?[<") or name[0] == "!" or _is_trimmed(name[0]) or _is_trimmed(name[-1])):
        return name
    ends = {index for index in (0, len(name) - 1) if name[index] in "!<" or _is_trimmed(name[index])}
    in_class = ends or {index for index, character in enumerate(name) if character not in "\\*?]^-"}
    if not in_class:
        return re.sub(r"[\\*?]", lambda match: r"[\\]" if match[0] == "\\" else f"[{match[0]}]", name)
    if not ends:
        in_class = {min(in_class)}
    return "".join(
        f"[{character}]" if index in in_class else f"\\{character}" if character in "\\*?[" else character
        for index, character in enumerate(name)
    )


def _is_trimmed(character: str) -> bool:
    return character.isspace() or character == "\ufeff"


def copy_arguments(sources: Sequence[str], destination: str) -> str:
    """The arguments of COPY. Sources are patterns after variables and quotes are taken out of all arguments.

    >>> copy_arguments(["weights"], "/src/weights")
    'weights /src/weights'
    >>> print(copy_arguments(["my weights"], "/src/my weights"))
    ["my weights", "/src/my weights"]
    """
    words = [_word(glob_literal(source)) for source in sources] + [_word(destination)]
    if all(_PLAIN.fullmatch(word) for word in words) and not words[0].startswith("-"):
        return " ".join(words)
    return exec_form(words)


def is_flag_safe(path: str) -> bool:
    """Whether the value of a flag can name the path: Docker reads flags byte by byte, as Latin-1."""
    return all(character <= "\xff" for character in path)


def exclude_pattern(path: str) -> str:
    r"""The value of `--exclude=`: a pattern that matches this path alone, with quotes where they are needed.

    Patterns of excludes are those of .dockerignore: `!` at the start and blanks at the ends mean something, and
    escapes are those of Go's regular expressions. The path is `is_flag_safe`.

    >>> exclude_pattern("checkpoints"), exclude_pattern("my weights")
    ('checkpoints', '"my weights"')
    >>> print(exclude_pattern("a[1]"), exclude_pattern("!ü "))
    "a\\[1\\]" "\\!\\xfc\\x20"
    """
    last = len(path) - 1
    pattern = "".join(_exclude_character(c, index in (0, last)) for index, c in enumerate(path))
    if _PLAIN.fullmatch(pattern):
        return pattern
    return '"' + re.sub(r'([\\"])', r"\\\1", pattern) + '"'


def _exclude_character(character: str, is_at_end: bool) -> str:
    if not " " <= character <= "~" or (character == " " and is_at_end):
        return f"\\x{ord(character):02x}"
    return f"\\{character}" if character in "\\*?[]^!" else character


def mount_flag(kind: str, *fields: tuple[str, str]) -> str:
    r"""A `--mount` flag: a line of CSV, inside the word of a flag, in whose fields variables are taken out.

    >>> mount_flag("cache", ("target", "/root/.cache"))
    '--mount=type=cache,target=/root/.cache'
    >>> print(mount_flag("bind", ("source", "my data"), ("target", "/a,b")))
    --mount=type=bind,source=my\ data,\"target=/a,b\"
    """
    line = ",".join([f"type={kind}", *(_csv_field(f"{name}={_word(value)}") for name, value in fields)])
    return "--mount=" + re.sub(r"([\\'\"\s])", r"\\\1", line)


def _csv_field(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set('",') else text


def mountable(path: str) -> str:
    """The path, or the nearest directory above it whose name a mount can say; "" for the project itself."""
    parts = path.split("/")
    wide = next((index for index, part in enumerate(parts) if not part.isascii()), len(parts))
    return "/".join(parts[:wide])


def _word(text: str) -> str:
    """A word that comes out of Docker's own word splitting as it is."""
    return re.sub(r"([\\'\"$])", r"\\\1", text)
