"""Whether the image will have the files that `predict` and `train` name.

Comes in: the configuration, the project's files, and who else may bring a file into the image. Goes out: COG300,
COG313 and COG314, at the target in cog.yaml. What is inside a file is the business of `signature`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Literal

from ..diagnostics import Diagnostic, report
from ..suggest import closest
from .config import BindMount, Config, Target
from .dockerignore import Dockerignore
from .files import FileEntry, FileProblem, Files

__all__ = ["Bringer", "bringer", "check_target_files"]

Bringer = Literal["mount", "image", "template", "command"]

# Kinds of paths (`Files.kind`) that cannot be the file of a target, whatever else there is.
_NO_FILE = {"directory": "is a directory", "other": "is not a regular file"}
_BRINGERS: dict[Bringer, str] = {
    "mount": "with --no-source the code is mounted into the image, and may have it",
    "image": "the base image may have it",
    "template": "the Dockerfile template may bring it",
    "command": "a command of build.run may write it",
}


def bringer(config: Config, *, is_mounted: bool = False, has_own_base: bool = False) -> Bringer | None:
    """Who may put files into /src besides the copy of the project; None when nobody can.

    `is_mounted` says that the project's code stays out of the image, `has_own_base` that the user names the base
    image. Commands run in another directory, so one that writes there names /src or the file, or runs a script.
    """
    if is_mounted:
        return "mount"
    if has_own_base:
        return "image"
    if config.build.dockerfile_template is not None:
        return "template"
    names = ("/src", *(posixpath.basename(target.file) for target in config.targets))
    for command in config.build.commands:
        runs_script = any(isinstance(mount, BindMount) for mount in command.mounts)
        if runs_script or any(name in command.command for name in names):
            return "command"
    return None


def check_target_files(
    config: Config, files: Files, entries: Iterable[FileEntry], dockerignore: Dockerignore, brought_by: Bringer | None
) -> tuple[Diagnostic, ...]:
    """What is wrong with the files themselves. `entries` is everything in the project.

    Errors: COG300, a file that cannot be the target. Warnings: COG313, one that something else has to bring;
    COG314, one that .dockerignore keeps out of the image.
    """
    everything = tuple(entries)
    return tuple(
        found
        for target in config.targets
        for found in _check(target, config.file, files, everything, dockerignore, brought_by)
    )


def _check(
    target: Target,
    config_file: str,
    files: Files,
    entries: tuple[FileEntry, ...],
    dockerignore: Dockerignore,
    brought_by: Bringer | None,
) -> Iterator[Diagnostic]:
    kind = files.kind(target.file)
    start = f"`{target.key}` names {target.file}, which"
    if kind == "file":
        if brought_by is None and dockerignore.excludes(target.file):
            message = f"{start} .dockerignore keeps out of the image"
            hint = f"add an exception to .dockerignore: !{target.file}"
            yield report("COG314", message, target.span, hint=hint)
        return
    if kind in _NO_FILE:
        yield report("COG300", f"{start} {_NO_FILE[kind]}", target.span, hint=f"paths are relative to {config_file}")
        return
    link = _link_on_the_way(target.file, entries)
    reason = "is behind a link that leaves the project" if kind == "outside" else _reason(target.file, files)
    if kind == "outside" or (link is not None and _leaves(link)):
        yield report("COG313", f"{start} {reason}", target.span, hint="the image must have what the link names")
    elif brought_by is not None and reason == "does not exist":
        yield report("COG313", f"{start} {reason} in the project", target.span, hint=_BRINGERS[brought_by])
    else:
        yield report("COG300", f"{start} {reason}", target.span, hint=_hint(target, config_file, entries, dockerignore))


def _reason(path: str, files: Files) -> str:
    """Why a path is nothing, such as `does not exist` or `cannot be accessed: permission denied`."""
    try:
        files.read(path)
    except FileProblem as problem:
        return problem.reason
    return "does not exist"


def _link_on_the_way(path: str, entries: tuple[FileEntry, ...]) -> FileEntry | None:
    """The first symbolic link among a path and the directories above it."""
    return next(
        (entry for entry in entries if entry.kind == "symlink" and f"{path}/".startswith(f"{entry.path}/")), None
    )


def _leaves(link: FileEntry) -> bool:
    """Whether a link says something outside the project; in the image that may be there."""
    end = posixpath.normpath(posixpath.join(posixpath.dirname(link.path), link.link_target))
    return end.startswith(("/", "../")) or end == ".."


def _hint(target: Target, config_file: str, entries: tuple[FileEntry, ...], dockerignore: Dockerignore) -> str:
    """The file that was most likely meant: one of the same name, or one whose name is nearly that."""
    paths = [
        entry.path
        for entry in entries
        if entry.kind == "file" and entry.path.endswith(".py") and not dockerignore.excludes(entry.path)
    ]
    name = posixpath.basename(target.file)
    same = sorted((path for path in paths if posixpath.basename(path) == name), key=lambda path: path.count("/"))
    meant = same[0] if same else closest(target.file, paths)
    if meant is not None:
        return f"did you mean `{meant}:{target.name}`?"
    return f"paths are relative to {config_file}"
