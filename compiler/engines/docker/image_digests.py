"""The digest of an image: from its registry, else from the engine that has the image."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from .. import EngineFailure
from .cli import DockerCli
from .objects import find_image

__all__ = ["image_digest"]

_LIMIT_SECONDS = 60.0


def image_digest(docker: DockerCli, reference: str) -> str | None:
    """`sha256:…` of what the name stands for now, of all its platforms where it has several; None where nobody knows.

    A registry comes first: what an engine has may be old, or made on this machine.
    """
    written = re.search(r"@(sha256:[0-9a-f]{64})$", reference)
    if written:
        return written[1]
    manifest = _asked(docker, "buildx", "imagetools", "inspect", reference, "--format", "{{json .Manifest}}")
    if isinstance(manifest, dict) and _is_digest(manifest.get("digest")):
        return str(manifest["digest"])
    repository = reference.partition("@")[0].rpartition(":")[0] if _has_tag(reference) else reference
    for known in _local_digests(docker, reference):
        name, _, digest = known.partition("@")
        if name.removeprefix("docker.io/library/") == repository and _is_digest(digest):
            return digest
    return None


def _local_digests(docker: DockerCli, reference: str) -> list[str]:
    try:
        image = find_image(docker, reference)
    except EngineFailure:
        return []
    return list(image.repo_digests or ()) if image is not None else []


def _has_tag(reference: str) -> bool:
    return ":" in reference.rpartition("/")[2]


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", value) is not None


def _asked(docker: DockerCli, *words: str) -> Any:
    """What docker answers, read as JSON; None where there is no docker, or it does not know."""
    try:
        done = docker.attempt(*words, timeout_seconds=_LIMIT_SECONDS)
        return json.loads(done.output) if done.status == 0 else None
    except (EngineFailure, subprocess.TimeoutExpired, ValueError):
        return None
