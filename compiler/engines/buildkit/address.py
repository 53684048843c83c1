"""Where the daemon is: what the command line and the environment say → an address.

A builder of buildx that is named comes first, then BUILDKIT_HOST, then Docker, whose engine has a BuildKit inside.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

from ...record import record
from .docker_config import docker_config
from .errors import Unreachable

__all__ = ["Address", "find_address"]

_DOCKER_SOCKET = "/var/run/docker.sock"
_TCP_PORT = 1234


@record(kw_only=False)
class Address:
    """A daemon. `place` is a path, `host:port`, or the words of a program whose standard streams lead there.

    `upgrades`: it is Docker's engine, which has to be asked for BuildKit first. `certificates` is a directory with
    ca.pem, and cert.pem and key.pem where the daemon asks who we are.
    """

    kind: Literal["unix", "tcp", "program"]
    place: tuple[str, ...]
    upgrades: bool = False
    certificates: str | None = None

    @property
    def is_docker(self) -> bool:
        """Whether images can be put into an engine's own store there."""
        return self.upgrades

    def __str__(self) -> str:
        if self.kind == "program":
            return f"`{' '.join(self.place)}`"
        return f"{self.kind}://{':'.join(self.place)}"


def find_address(builder: str | None, environment: Mapping[str, str] = os.environ) -> Address:
    """The daemon to use. Error: Unreachable for an address that is none."""
    if builder is not None:
        return Address("program", ("docker", "buildx", "dial-stdio", "--builder", builder))
    host = environment.get("BUILDKIT_HOST", "")
    if host:
        return _of_buildkit(host, environment.get("BUILDKIT_TLS_DIR") or None)
    docker = environment.get("DOCKER_HOST", "")
    if docker.startswith("unix://"):
        return Address("unix", (docker.removeprefix("unix://") or _DOCKER_SOCKET,), upgrades=True)
    if docker or _has_context(environment):
        return Address("program", ("docker", "system", "dial-stdio"), upgrades=True)
    return Address("unix", (_DOCKER_SOCKET,), upgrades=True)


def _of_buildkit(host: str, certificates: str | None) -> Address:
    try:
        url = urlsplit(host)
        port = url.port or _TCP_PORT
    except ValueError as error:
        raise Unreachable(f"BUILDKIT_HOST={host}: {error}") from error
    path = url.path or url.netloc
    if url.scheme == "unix" and path:
        return Address("unix", (path,))
    if url.scheme == "tcp":
        return Address("tcp", (url.hostname or "localhost", str(port)), certificates=certificates)
    words = _program(url)
    if words is None:
        known = "unix://PATH, tcp://HOST:PORT, docker-container://NAME or kube-pod://NAME"
        raise Unreachable(f"BUILDKIT_HOST={host}: write {known}")
    return Address("program", words)


def _program(url: SplitResult) -> tuple[str, ...] | None:
    """What leads into a container, with what `buildctl` takes after `?`; None for what it does not take."""
    name, dial = url.netloc, ("buildctl", "dial-stdio")
    given = {key: f"--{key}={value}" for key, value in parse_qsl(url.query, keep_blank_values=True)}
    known = {"docker-container": ("context",), "kube-pod": ("context", "namespace", "container")}.get(url.scheme, ())
    if not known or not name or name.startswith("-") or not given.keys() <= set(known):
        return None
    before = tuple(given[key] for key in ("context", "namespace") if key in given)
    if url.scheme == "docker-container":
        return ("docker", *before, "exec", "--interactive", name, *dial)
    container = tuple(given[key] for key in ("container",) if key in given)
    return ("kubectl", *before, "exec", "--stdin", *container, name, "--", *dial)


def _has_context(environment: Mapping[str, str]) -> bool:
    """Whether docker is told to use another engine than that of the usual socket."""
    if environment.get("DOCKER_CONTEXT", "default") not in ("", "default"):
        return True
    return docker_config(environment).get("currentContext", "default") not in ("", "default")
