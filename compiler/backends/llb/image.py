"""The configuration of an image: what a base brings, what steps change in it, and the document that an image has.

Source: https://github.com/opencontainers/image-spec/blob/main/config.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from ...ir.nodes import Variable
from ...record import record
from .ops import Platform

__all__ = ["DEFAULT_PATH", "EMPTY_IMAGE", "ImageConfig", "full_reference", "image_document", "read_image"]

_SHELL = ("/bin/sh", "-c")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@record(kw_only=False)
class ImageConfig:
    """What a container starts with. `environment` and `labels` are (name, value) pairs with unlike names.

    `other` are members of the base's document that no step changes, such as a stop signal; `history` is the base's.
    """

    environment: tuple[tuple[str, str], ...] = ()
    directory: str = ""
    user: str = ""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[str, ...] = ()
    other: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Mapping[str, Any], ...] = ()

    @property
    def shell(self) -> tuple[str, ...]:
        """The words before a command of a shell: those of `SHELL` in the Dockerfile of the base, or the usual ones."""
        return tuple(self.other.get("Shell") or _SHELL)

    @property
    def triggers(self) -> tuple[str, ...]:
        """The instructions of Dockerfiles that the base wants run by those who build on it."""
        return tuple(self.other.get("OnBuild") or ())

    def with_variable(self, variable: Variable) -> ImageConfig:
        """With one more variable; the place of a name that is there stays, as in a Dockerfile."""
        known = dict(self.environment)
        before = known.get(variable.name, "")
        values = {
            "set": variable.value,
            "prepend": f"{variable.value}:{before}",
            "append": f"{before}:{variable.value}",
        }
        return replace(self, environment=tuple({**known, variable.name: values[variable.mode]}.items()))

    def with_labels(self, labels: tuple[tuple[str, str], ...]) -> ImageConfig:
        """With more labels; the last of a name wins."""
        return replace(self, labels=tuple({**dict(self.labels), **dict(labels)}.items()))


# What an image is taken for whose configuration is not known: nothing but the usual path of programs.
EMPTY_IMAGE = ImageConfig(environment=(("PATH", DEFAULT_PATH),))

_CHANGED = ("Env", "WorkingDir", "User", "Entrypoint", "Cmd", "Labels", "ExposedPorts")


def read_image(data: bytes) -> ImageConfig:
    """From the JSON document of an image, or from the part of it below `config`. Error: ValueError."""
    document = json.loads(data)
    if isinstance(document, list) and len(document) == 1:  # as `docker image inspect` prints it
        document = document[0]
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    config = document.get("config") or document.get("Config") or ({} if "rootfs" in document else document)
    if not isinstance(config, dict):
        raise ValueError("its `config` is no JSON object")
    try:
        variables = [text.partition("=") for text in config.get("Env") or ()]
        environment = {name: value for name, _, value in variables}
        environment.setdefault("PATH", DEFAULT_PATH)
        return ImageConfig(
            environment=tuple(environment.items()),
            directory=config.get("WorkingDir") or "",
            user=config.get("User") or "",
            entrypoint=tuple(config["Entrypoint"]) if config.get("Entrypoint") else None,
            command=tuple(config["Cmd"]) if config.get("Cmd") else None,
            labels=tuple((config.get("Labels") or {}).items()),
            ports=tuple(config.get("ExposedPorts") or {}),
            other={name: value for name, value in config.items() if name not in _CHANGED and value},
            history=tuple(document.get("history") or ()),
        )
    except (AttributeError, TypeError) as error:
        raise ValueError("it is no configuration of an image") from error


def image_document(image: ImageConfig, platform: Platform) -> dict[str, Any]:
    """The document of an image, to which the daemon adds the layers, their history and the time."""
    config: dict[str, Any] = {"Env": [f"{name}={value}" for name, value in image.environment]}
    written: dict[str, Any] = {
        "Entrypoint": list(image.entrypoint) if image.entrypoint is not None else None,
        "Cmd": list(image.command) if image.command is not None else None,
        "WorkingDir": image.directory,
        "User": image.user,
        "Labels": dict(sorted(image.labels)),
        "ExposedPorts": {port: {} for port in sorted(image.ports)},
    }
    config |= {name: value for name, value in written.items() if value}
    document: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
    document |= {"variant": platform.variant} if platform.variant else {}
    config |= dict(image.other)
    history = {"history": [dict(entry) for entry in image.history]} if image.history else {}
    return {**document, "config": config, "rootfs": {"type": "layers"}, **history}


def full_reference(name: str) -> str:
    """The full name of an image: with its registry, and with a tag or a digest.

    >>> full_reference("python:3.12"), full_reference("localhost:5000/a")
    ('docker.io/library/python:3.12', 'localhost:5000/a:latest')
    """
    first, slash, rest = name.partition("/")
    if not slash or not (set(".:") & set(first) or first == "localhost" or first != first.lower()):
        first, rest = "docker.io", name if slash else f"library/{name}"
    has_version = "@" in rest or ":" in rest.rpartition("/")[2]
    return f"{first}/{rest}" if has_version else f"{first}/{rest}:latest"
