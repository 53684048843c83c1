"""The filters of the Dockerfile template: how each part of a step is spelled, quoting included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import assert_never

from ..ir.nodes import (
    BindMount,
    CacheMount,
    Copy,
    Mount,
    PythonPackages,
    SecretMount,
    SourceCode,
    SshMount,
    Variable,
    WeightLayer,
)
from ..record import record
from ..source import Span
from . import commands
from .context import STAGING
from .quoting import (
    copy_arguments,
    env_value,
    exclude_pattern,
    exec_form,
    is_flag_safe,
    label_value,
    mount_flag,
    mountable,
    shell_word,
    split_command,
)

__all__ = ["EXCLUDE_SINCE", "FILTERS", "UV_IMAGE", "DockerfileOptions"]

# The static binary is mounted where it is needed and is in no layer. A minor version: patches are taken.
UV_IMAGE = "ghcr.io/astral-sh/uv:0.13"
EXCLUDE_SINCE = (1, 19)


@record
class DockerfileOptions:
    """How the Dockerfile is written.

    `frontend` is the dialect, as (major, minor) of docker/dockerfile; `syntax` a frontend image to name in the
    first line. With `inline` the file carries what is otherwise staged. `annotate` writes every cause, `marks` a mark
    above each step (source_map.py).
    `template` is the user's own template: its text and where it is named in cog.yaml. In `bytecode_directory`
    the compiled template is kept between processes.
    """

    version: str
    config_file: str = "cog.yaml"
    frontend: tuple[int, int] = EXCLUDE_SINCE
    syntax: str | None = None
    inline: bool = False
    annotate: bool = False
    marks: bool = False
    uv_image: str = UV_IMAGE
    template: tuple[str, str, Span | None] | None = None
    bytecode_directory: str | None = None


def assignment(variable: Variable) -> str:
    match variable.mode:
        case "set":
            return f"{variable.name}={env_value(variable.value)}"
        case "prepend":
            return f"{variable.name}={variable.value}:${variable.name}"
        case "append":
            return f"{variable.name}=${variable.name}:{variable.value}"
        case _:
            assert_never(variable.mode)


def _mount(mount: Mount) -> str:
    match mount:
        case SecretMount():
            fields = [("id", mount.id)]
            fields += [("target", mount.target)] if mount.target else []
            fields += [("env", mount.env)] if mount.env else []
            fields += [("required", "true")] if mount.is_required else []
            return mount_flag("secret", *fields)
        case SshMount():
            fields = [("id", mount.id)] if mount.id != "default" else []
            fields += [("target", mount.target)] if mount.target else []
            fields += [("required", "true")] if mount.is_required else []
            return mount_flag("ssh", *fields)
        case CacheMount():
            fields = [("id", mount.id)] if mount.id != mount.target else []
            fields += [("target", mount.target)]
            fields += [("sharing", mount.sharing)] if mount.sharing != "shared" else []
            return mount_flag("cache", *fields)
        case BindMount():
            return mount_flag("bind", ("source", mount.source), ("target", mount.target))
        case _:
            assert_never(mount)


def run_command(command: str) -> str:
    """The user's command, so that the Dockerfile's reader takes it as it is.

    A single backslash at the end would join the next line to it. A word such as the `<<2` of `$((1 <<2))` would start
    a here-document, so that the command becomes one itself. A long command has several lines.
    """
    command = commands.runnable(command)
    if any(re.match(r"\d*<<-?[^<]+$", word) for word in command.split()):
        return f"<<'COMMAND'\n{command}\nCOMMAND"
    return "\\\n".join(split_command(command))


def staged(path: str, options: DockerfileOptions) -> str:
    """Where a mount finds a staged file: in the build context, or in the stage that holds it inline."""
    return f"from=files,source=/{path}" if options.inline else f"source={STAGING}/{path}"


def requirement_mounts(step: PythonPackages, options: DockerfileOptions) -> str:
    names = [step.requirements_file, *([step.constraints_file] if step.constraints_file else [])]
    mounts = [_mount(mount) for mount in commands.ssh_mounts(step)]
    mounts += [f"--mount=type=bind,{staged(name, options)},target=/tmp/{name}" for name in names]
    for path in dict.fromkeys(map(mountable, step.artifacts)):
        target = f"{commands.LOCAL_PACKAGES}/{path}".rstrip("/")
        mounts.append(mount_flag("bind", ("source", path or "."), ("target", target)))
    return " \\\n    ".join(mounts)


def copy_flags(step: Copy, options: DockerfileOptions) -> str:
    stage = step.from_stage or ("files" if options.inline and _is_staged(step) else None)
    flags = ["--link"] if step.is_linked else []
    flags += [f"--from={stage}"] if stage else []
    return "".join(f"{flag} " for flag in flags)


def copy_from(step: Copy, options: DockerfileOptions) -> str:
    sources = step.sources
    if options.inline and _is_staged(step):
        sources = tuple("/" + source.removeprefix(f"{STAGING}/") for source in sources)
    return copy_arguments(sources, step.destination)


def _is_staged(step: Copy) -> bool:
    return step.from_stage is None and step.sources[0].startswith(f"{STAGING}/")


def weight_copy(step: WeightLayer) -> str:
    return copy_arguments([step.source], step.destination)


def source_copies(step: SourceCode, options: DockerfileOptions) -> Iterator[str]:
    """The arguments of the COPY lines: one with --exclude, or one per entry where that cannot be written.

    A copy that leaves something out looks behind every link, and fails where there is nothing.
    """
    owner = f"--chown={step.owner} " if step.owner else ""
    if _can_exclude(step, options):
        paths = (*step.excludes, *step.dangling) if step.excludes else ()
        excludes = "".join(f"--exclude={exclude_pattern(path)} " for path in paths)
        yield f"{owner}{excludes}. {step.destination}"
        return
    files = [path for path, is_directory in step.entries if not is_directory]
    at_root = [path for path in files if "/" not in path]
    if at_root:
        yield owner + copy_arguments(at_root, f"{step.destination}/")
    for path, is_directory in step.entries:
        if is_directory or "/" in path:
            yield owner + copy_arguments([path], f"{step.destination}/{path}")


def source_links(step: SourceCode, options: DockerfileOptions) -> str:
    """The commands that make the links which no copy keeps; empty where one keeps all."""
    if _can_exclude(step, options):
        links = [link for link in step.links if step.excludes and link[0] in step.dangling]
        return commands.source_links(links, step.destination, step.owner)
    return commands.source_links(step.links, step.destination, step.owner)


def _can_exclude(step: SourceCode, options: DockerfileOptions) -> bool:
    paths = (*step.excludes, *step.dangling)
    return not step.excludes or (options.frontend >= EXCLUDE_SINCE and all(map(is_flag_safe, paths)))


def _mounts(mounts: Sequence[Mount]) -> str:
    return "".join(f"{_mount(mount)} \\\n    " for mount in mounts)


FILTERS = {
    "ca_certificate": commands.ca_certificate,
    "group_account": commands.group_account,
    "init_process": commands.init_process,
    "install_python": commands.install_python,
    "model_schema": commands.model_schema,
    "precompile": commands.precompile,
    "python_packages": commands.python_packages,
    "server_environment": commands.server_environment,
    "system_packages": commands.system_packages,
    "user_account": commands.user_account,
    "workdir": commands.workdir,
    "assignment": assignment,
    "copy_flags": copy_flags,
    "copy_from": copy_from,
    "env": env_value,
    "exec_form": exec_form,
    "json": exec_form,
    "label": label_value,
    "mounts": _mounts,
    "requirement_mounts": requirement_mounts,
    "run_command": run_command,
    "shell": shell_word,
    "source_copies": source_copies,
    "source_links": source_links,
    "staged": staged,
    "weight_copy": weight_copy,
}
