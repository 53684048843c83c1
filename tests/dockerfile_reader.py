"""A small reader of Dockerfiles, written from Docker's reference and not from our back end.

Source of the rules: https://docs.docker.com/reference/dockerfile/ (format, environment replacement, here-documents).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

__all__ = ["Instruction", "instructions", "labels", "variables", "words"]


@dataclass(frozen=True)
class Instruction:
    """One instruction: its keyword, flags such as `--from=x`, and the rest of its logical line."""

    keyword: str
    flags: tuple[str, ...]
    text: str
    heredocs: tuple[str, ...] = ()


def instructions(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile. Error: ValueError where Docker would refuse it."""
    found: list[Instruction] = []
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line, at = lines[at], at + 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = [line]
        while re.search(r"(^|[^\\])\\[ \t]*$", parts[-1]):  # exactly one backslash: two are no continuation
            parts[-1] = parts[-1].rstrip(" \t")[:-1]
            while at < len(lines) and lines[at].lstrip().startswith("#"):
                at += 1
            if at == len(lines):
                raise ValueError("the file ends in a continuation")
            parts.append(lines[at].lstrip() if not parts[-1].strip() else lines[at])
            at += 1
        keyword, _, rest = "".join(parts).strip().partition(" ")
        if not re.fullmatch(r"[A-Z]+", keyword):
            raise ValueError(f"not an instruction: {line!r}")
        flags, rest = _flags(rest.strip())
        bodies = []
        for quoted, bare in re.findall(r'<<"(\w+)"|<<(\w+)', rest) if keyword in ("COPY", "RUN") else ():
            end = lines.index(quoted or bare, at)
            bodies.append("".join(f"{body}\n" for body in lines[at:end]))
            at = end + 1
        found.append(Instruction(keyword, tuple(flags), rest, tuple(bodies)))
    return found


def _flags(text: str) -> tuple[list[str], str]:
    flags: list[str] = []
    while text.startswith("--"):
        flag, text = _flag(text)
        flags.append(flag)
        text = text.lstrip()
    return flags, text


def _flag(text: str) -> tuple[str, str]:
    """One flag up to a blank; quotes and backslashes are taken out, as the builder does."""
    word, quote, at = "", "", 0
    while at < len(text):
        character = text[at]
        if quote and character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        elif character == "\\":
            at += 1
            word += text[at : at + 1]
        elif not quote and character.isspace():
            break
        else:
            word += character
        at += 1
    if quote:
        raise ValueError(f"a quote is not closed: {text!r}")
    return word, text[at:]


def words(text: str) -> list[str]:
    """The words of COPY's arguments or ENV's pairs, with quotes and escapes taken out."""
    if text.startswith("["):
        return [_unquoted(word) for word in json.loads(text)]
    return [_unquoted(word) for word in re.findall(r"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'\\])+""", text)]


def _unquoted(word: str) -> str:
    """One word after Docker's replacement of variables; a bare variable is an error here: nothing sets any."""
    result, quote, at = "", "", 0
    while at < len(word):
        character = word[at]
        if character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
        elif character == "\\" and quote != "'":
            at += 1
            following = word[at : at + 1]
            # Inside double quotes a backslash escapes only the quote, the dollar sign and itself.
            result += following if not quote or following in '"$\\' else "\\" + following
        elif character == "$" and quote != "'":
            raise ValueError(f"a variable is replaced: {word!r}")
        else:
            result += character
        at += 1
    if quote:
        raise ValueError(f"a quote is not closed: {word!r}")
    return result


def _pairs(text: str, keyword: str) -> dict[str, str]:
    pairs = [word for i in instructions(text) if i.keyword == keyword for word in _raw_pairs(i.text)]
    return {name: value if "$" in value and name in value else _unquoted(value) for name, value in pairs}


def _raw_pairs(text: str) -> list[tuple[str, str]]:
    found = re.findall(r"""((?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'\\])+)""", text, re.DOTALL)
    return [(name, value) for name, _, value in (word.partition("=") for word in found)]


def variables(text: str) -> dict[str, str]:
    """All variables that ENV sets, with their values; `PATH=x:$PATH` stays as it is written."""
    return _pairs(text, "ENV")


def labels(text: str) -> dict[str, str]:
    """All labels with their values."""
    return _pairs(text, "LABEL")
