"""Push an image through the engine to the registry that its name says."""

from __future__ import annotations

import json
import subprocess
import sys

from .. import EngineFailure
from .cli import DockerCli
from .image_facts import repository_of
from .problems import diagnose

__all__ = ["push"]


def push(docker: DockerCli, name: str, *, shows: bool) -> str | None:
    """Push, and give the digest by which the registry has the image.

    With `shows` the progress goes to standard error. Errors: EngineFailure with COG640, COG641 and others.
    """
    words = ["push", name] if shows else ["push", "--quiet", name]
    process = docker.start(*words, stdout=sys.stderr.fileno() if shows else subprocess.DEVNULL)
    try:
        _, errors = process.communicate()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode:
        raise EngineFailure(diagnose(errors.decode("utf-8", "replace"), "push"))
    return _digest(docker, name)


def _digest(docker: DockerCli, name: str) -> str | None:
    shown = docker.attempt("image", "inspect", "--format={{json .RepoDigests}}", name)
    digests: list[str] = json.loads(shown.output) if shown.status == 0 else []
    repository = repository_of(name)
    found = [digest.partition("@") for digest in digests or ()]
    return next((digest for known, _, digest in found if known == repository), None)
