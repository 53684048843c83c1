"""Who we are at a registry: what `docker login` has stored, in its own file or in a program that keeps passwords.

Source: https://docs.docker.com/reference/cli/docker/login/ and
https://github.com/docker/docker-credential-helpers
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from .docker_config import docker_config

__all__ = ["credentials_of"]

_HUB = "https://index.docker.io/v1/"
_HUB_HOSTS = ("registry-1.docker.io", "docker.io", "index.docker.io")
_TOKEN_USER = "<token>"
_SECONDS = 30


def credentials_of(host: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """A user's name and password for a registry; the name is empty where the password is a token. None: nobody."""
    document = docker_config(environment)
    for name in _names(host):
        program = (document.get("credHelpers") or {}).get(name) or document.get("credsStore")
        found = _asked(program, name) if program else None
        found = found or _stored((document.get("auths") or {}).get(name))
        if found is not None:
            return found
    return None


def _names(host: str) -> tuple[str, ...]:
    return (_HUB, *_HUB_HOSTS) if host in _HUB_HOSTS else (host, f"https://{host}", f"http://{host}")


def _stored(entry: Any) -> tuple[str, str] | None:
    if not isinstance(entry, dict):
        return None
    if entry.get("identitytoken"):
        return "", str(entry["identitytoken"])
    try:
        user, separator, password = base64.b64decode(entry.get("auth") or "").decode().partition(":")
    except ValueError:
        return None
    return (user, password.rstrip("\0")) if separator else None


def _asked(program: str, name: str) -> tuple[str, str] | None:
    """What the program docker-credential-PROGRAM knows."""
    try:
        done = subprocess.run(
            [f"docker-credential-{program}", "get"], input=name.encode(), capture_output=True, timeout=_SECONDS
        )
        document = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if not isinstance(document, dict) or not document.get("Secret"):
        return None
    user = str(document.get("Username", ""))
    return ("" if user == _TOKEN_USER else user), str(document["Secret"])
