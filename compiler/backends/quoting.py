"""How values are written in a Dockerfile: one function per place, so that any text survives."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

__all__ = ["copy_arguments", "env_value", "exec_form", "flag_value", "glob_literal", "shell_word"]

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
    if _PLAIN.fullmatch(text):
        return text
    return '"' + re.sub(r'([\\"$])', r"\\\1", text) + '"'


def exec_form(arguments: Sequence[str]) -> str:
    """The JSON form of ENTRYPOINT, CMD, COPY.

    >>> exec_form(["python", "-m", "http"])
    '["python", "-m", "http"]'
    """
    return json.dumps(list(arguments), ensure_ascii=False)


def glob_literal(path: str) -> str:
    """A path as a pattern that matches it alone (Go's filepath.Match, which COPY and its flags use)."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", path)


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


def flag_value(path: str) -> str:
    """The value of `--exclude=`: a pattern, with quotes where it has blanks.

    >>> flag_value("checkpoints"), flag_value("my weights")
    ('checkpoints', '"my weights"')
    """
    word = glob_literal(path)
    if _PLAIN.fullmatch(word):
        return word
    return '"' + re.sub(r'([\\"$])', r"\\\1", word) + '"'


def _word(text: str) -> str:
    """A word that comes out of Docker's own word splitting as it is."""
    return re.sub(r"([\\'\"$])", r"\\\1", text)
