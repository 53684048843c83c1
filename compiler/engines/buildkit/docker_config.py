"""The file of the docker program, config.json: what it says besides passwords, which are in `credentials`.

Source: https://docs.docker.com/reference/cli/docker/#docker-cli-configuration-file-configjson-properties
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["PROXIES", "configured_proxies", "docker_config"]

_DOCKER = "unix:///var/run/docker.sock"
_PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "ftpProxy": "FTP_PROXY",
    "noProxy": "NO_PROXY",
    "allProxy": "ALL_PROXY",
}
# The build arguments of every Dockerfile, in small letters.
PROXIES = tuple(name.lower() for name in _PROXIES.values())


def docker_config(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The document; empty where there is none, or none that can be read."""
    directory = environment.get("DOCKER_CONFIG") or str(Path(environment.get("HOME", "/"), ".docker"))
    try:
        document = json.loads(Path(directory, "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def configured_proxies(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The proxies that docker gives to every build, by the names of build arguments."""
    listed = docker_config(environment).get("proxies")
    if not isinstance(listed, dict):
        return {}
    chosen = listed.get(environment.get("DOCKER_HOST") or _DOCKER, listed.get("default"))
    if not isinstance(chosen, dict):
        return {}
    return {name: str(chosen[key]) for key, name in _PROXIES.items() if chosen.get(key)}
