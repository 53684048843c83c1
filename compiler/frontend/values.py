"""Checks of single values of cog.yaml: text and where it stands → what it means, or diagnostics."""

from __future__ import annotations

import os
import re
from typing import Literal

from ..diagnostics import Diagnostic, Edit, Fix, report
from ..source import Span
from .config import EnvironmentVariable, Target

__all__ = [
    "MAX_WORD_BYTES",
    "check_image_name",
    "check_repository",
    "check_user",
    "derived_image_name",
    "is_driver",
    "parse_cuda",
    "parse_cudnn",
    "parse_driver",
    "parse_environment_variable",
    "parse_python_version",
    "parse_system_package",
    "parse_target",
    "project_path",
    "unquoted_version",
]

MINIMUM_PYTHON = (3, 8)
MINIMUM_CUDA_MAJOR = 11
# Linux takes no longer string into a new process, the final zero included (MAX_ARG_STRLEN of execve(2)): an argument,
# or a variable with its name.
MAX_WORD_BYTES = 128 * 1024
# Docker takes no longer name, the registry included, without tag and digest.
_MAX_REPOSITORY = 255

_TARGET_EXAMPLES = {"predict": "predict.py:Predictor", "run": "run.py:Runner", "train": "train.py:train"}


def parse_python_version(text: str, span: Span) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """`3.12` or `3.12.4`, at least 3.8. Error: COG130."""

    def wrong(why: str, hint: str | None = None) -> tuple[None, tuple[Diagnostic, ...]]:
        return None, (report("COG130", f'invalid build.python_version "{text}": {why}', span, hint=hint),)

    parts = text.strip().split(".")
    if len(parts) not in (2, 3):
        return wrong("must include major and minor version (e.g., '3.11')")
    for part, name in zip(parts, ("major", "minor", "patch"), strict=False):
        if re.fullmatch(r"[0-9]{1,4}t", part):
            return wrong("there are no base images with the free-threaded Python", f'"{text.strip().rstrip("t")}"')
        if not re.fullmatch(r"[0-9]{1,4}", part):
            return wrong(f"invalid {name} version number")
    version = (int(parts[0]), int(parts[1]))
    if version < MINIMUM_PYTHON:
        hint = f'3.{parts[1]}0 must be quoted to keep its zero: "3.{parts[1]}0"' if parts[1] in ("1", "2") else None
        return wrong(f"minimum supported Python version is {MINIMUM_PYTHON[0]}.{MINIMUM_PYTHON[1]}", hint)
    if version[0] > 3:
        return wrong(f"there is no Python {version[0]}")
    return ".".join(str(int(part)) for part in parts), ()


def parse_cuda(text: str, span: Span) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """`11.8` or `11.8.0`, at least 11. Error: COG133."""
    wrong = f'invalid build.cuda "{text}":'
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(\.\d{1,3})?", text.strip())
    if match is None:
        message = f"{wrong} must include both major and minor versions (e.g., '11.8')"
        return None, (report("COG133", message, span),)
    if int(match[1]) < MINIMUM_CUDA_MAJOR:
        message = f"{wrong} minimum supported CUDA version is {MINIMUM_CUDA_MAJOR}"
        hint = "remove `cuda`: packages bring the CUDA libraries that they were built with"
        return None, (report("COG133", message, span, hint=hint),)
    return text.strip(), ()


def parse_cudnn(text: str, span: Span) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """A major version such as `8`, or a longer one such as `8.9.6`. Error: COG133."""
    if re.fullmatch(r"\d{1,3}(\.\d{1,4}){0,3}", text.strip()):
        return text.strip(), ()
    return None, (report("COG133", f'invalid build.cudnn "{text}": must be a version such as 8 or 9', span),)


def parse_driver(text: str, span: Span) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """A driver such as `535` or `535.104.05`. Error: COG154."""
    if is_driver(text.strip()):
        return text.strip(), ()
    message = f'invalid build.driver "{text}": must be the version of an NVIDIA driver such as 535 or 535.104.05'
    return None, (report("COG154", message, span),)


def is_driver(text: str) -> bool:
    """Whether a text has the form of a driver's version."""
    return re.fullmatch(r"[0-9]{3}(\.[0-9]{1,4}){0,2}", text) is not None


def parse_target(
    text: str, key: Literal["predict", "run", "train"], span: Span
) -> tuple[Target | None, tuple[Diagnostic, ...]]:
    """`file.py:Name`. Errors: COG135 (form), COG148 (the file is not in the project)."""
    parts = text.split(".py:")
    if len(parts) != 2 or not all(parts) or not parts[1].isidentifier():
        message = f"invalid {key} \"{text}\": must be in the form '{_TARGET_EXAMPLES[key]}'"
        return None, (report("COG135", message, span),)
    path = project_path(parts[0] + ".py")
    if path is None:
        message = f"`{key}` names the file {parts[0]}.py, which is outside the project"
        hint = "write `/` between folders" if "\\" in parts[0] else None
        return None, (report("COG148", message, span, hint=hint),)
    return Target(file=path, name=parts[1], key=key, span=span), ()


def project_path(text: str) -> str | None:
    """The path relative to the project root in its shortest form; None when it is absolute or leaves the root.

    >>> project_path("./src//a.py"), project_path("a/../../b"), project_path("/a")
    ('src/a.py', None, None)
    """
    if text.startswith("/") or "\0" in text or "\\" in text:
        return None
    parts: list[str] = []
    for part in text.split("/"):
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or None


_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._*-]*(:[a-z0-9]+)?(=[A-Za-z0-9.+:~*-]+|/[a-z0-9-]+)?")
_RANGE = re.compile(r"([A-Za-z0-9][A-Za-z0-9+.-]*)\s*(==|>=|<=|~=|!=|>|<)\s*(\S*)")


def parse_system_package(text: str, span: Span) -> tuple[tuple[str, ...], tuple[Diagnostic, ...]]:
    """The apt packages of one item: usually one. Error: COG138; warning: COG152 (what was changed).

    Several names in one item, and version ranges as pip writes them, are common mistakes that apt's command
    line happens to survive; they are read as what they amount to there.
    """
    stripped = text.strip()
    ranged = _RANGE.fullmatch(stripped)
    if ranged is not None:
        message = f"`{stripped}`: apt knows no version ranges; installing `{ranged[1]}`"
        fix = Fix(title="remove the range", edits=(Edit(span=span, replacement=ranged[1]),))
        return (ranged[1],), (report("COG152", message, span, hint="an exact version is `name=version`", fix=fix),)
    options = [word for word in stripped.split() if word.startswith("-") and word.strip("-")]
    if options:
        others = " ".join(word for word in stripped.split() if word not in options)
        rest, found = parse_system_package(others, span) if others else ((), ())
        if others and not rest:  # a command rather than packages: its error says enough
            return (), found
        message = f"`{options[0]}` is an option of apt-get, not a package; it is left out"
        remark = report("COG152", message, span, hint="remove it")
        return rest, (remark, *found)
    names = tuple(stripped.split())
    wrong = [name for name in names if not _PACKAGE.fullmatch(name)]
    if not names or wrong:
        what = f"`{wrong[0]}` is" if wrong else "an empty item is"
        hint = "commands belong in `build.run`" if wrong else None
        return (), (report("COG138", f"{what} not the name of a system package", span, hint=hint),)
    if len(names) > 1:
        message = f"one item names {len(names)} packages; they are installed one by one"
        return names, (report("COG152", message, span, hint="give each package an item of its own"),)
    return names, ()


_RESERVED = frozenset(
    [
        "PATH",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "VIRTUAL_ENV",
        "PYTHONUNBUFFERED",
        "LIBRARY_PATH",
        "HF_ENDPOINT",
        "HF_HUB_ENABLE_HF_TRANSFER",
    ]
)
_RESERVED_PREFIXES = ("R8_", "REPLICATE_", "CUDA_", "NVIDIA_", "NV_", "PGET_", "KUBERNETES_")


def parse_environment_variable(text: str, span: Span) -> tuple[EnvironmentVariable | None, tuple[Diagnostic, ...]]:
    """`NAME=value`, split at the first `=`. Error: COG140."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        message = f'environment variable "{text if not equals else name}" is not in the KEY=VALUE format'
        return None, (report("COG140", message, span),)
    if name in _RESERVED or name.startswith(_RESERVED_PREFIXES):
        message = f'environment variable "{name}" is not allowed: reserved for internal use'
        return None, (report("COG140", message, span),)
    if "\n" in value or "\0" in value:
        what = "a line break" if "\n" in value else "a NUL character"
        return None, (report("COG140", f'environment variable "{name}" has {what} in its value', span),)
    if len(os.fsencode(text)) >= MAX_WORD_BYTES:
        message = f'environment variable "{name}" is longer than the {MAX_WORD_BYTES // 1024} KiB that Linux allows'
        return None, (report("COG140", message, span, hint="keep long values in a file of the project"),)
    return EnvironmentVariable(name=name, value=value, span=span), ()


_HOST = r"[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?(?::\d{1,5})?"
_PATH = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"(?:{_HOST}/)?{_PATH}(?:/{_PATH})*")
_IMAGE = re.compile(
    rf"((?:{_HOST}/)?{_PATH}(?:/{_PATH})*)(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?"
)


def check_image_name(text: str, span: Span) -> tuple[Diagnostic, ...]:
    """Whether `text` can name an image. Error: COG145."""
    if (match := _IMAGE.fullmatch(text)) is not None and len(match[1]) <= _MAX_REPOSITORY:
        return ()
    if match is not None:
        message = f"the image name has {len(match[1])} characters; Docker takes {_MAX_REPOSITORY}"
        return (report("COG145", message, span),)
    hint = f"names are lower case: {text.lower()}" if _IMAGE.fullmatch(text.lower()) else "[registry/]path[:tag]"
    return (report("COG145", f"`{text}` is not a valid image name", span, hint=hint),)


def check_repository(text: str, span: Span) -> tuple[Diagnostic, ...]:
    """Whether `text` is a repository without tag or digest. Error: COG144."""
    if _REPOSITORY.fullmatch(text):
        return ()
    return (report("COG144", f"`{text}` must be a bare repository — tags and digests are not allowed", span),)


def check_user(text: str, span: Span) -> tuple[Diagnostic, ...]:
    """A user name, a user id, or either with a group. Error: COG151."""
    if re.fullmatch(r"([a-z_][a-z0-9_-]{0,31}|\d{1,10})(:([a-z_][a-z0-9_-]{0,31}|\d{1,10}))?", text):
        return ()
    return (report("COG151", f"`{text}` is not a user: write a name, an id or `uid:gid`", span),)


def derived_image_name(directory: str) -> str:
    """The image name for a project directory, as Cog derives it.

    >>> derived_image_name("My Project!"), derived_image_name("cog-models"), derived_image_name("@")
    ('cog-my-project', 'cog-models', 'cog-model')
    """
    name = re.sub(r"[^a-z0-9-]", "", re.sub(r"\s", "-", directory.lower()))[:26].strip("-") or "model"
    return name if name.startswith("cog-") else f"cog-{name}"


def unquoted_version(key: str, text: str, span: Span) -> Diagnostic:
    """COG124 for a version that YAML reads as a number."""
    return report(
        "COG124",
        f"`{key}: {text}` is a number in YAML; it is read as written, {text}",
        span,
        hint=f'other tools read 3.10 as 3.1, so quote it: {key}: "{text}"',
        fix=Fix(title="quote the version", edits=(Edit(span=span, replacement=f'"{text}"'),)),
    )
