"""Push an image through the engine to the registry that its name says."""

from __future__ import annotations

from .cli import DockerCli
from .image_facts import repository_of
from .objects import find_image, objects_of, translated

__all__ = ["push"]


def push(docker: DockerCli, name: str, *, shows: bool) -> str | None:
    """Push, and give the digest by which the registry has the image.

    With `shows` the progress goes to standard error. Errors: EngineFailure with COG640, COG641 and others.
    """
    if shows:
        docker.follow("push", name)
    else:
        with translated(docker, "push"):
            objects_of(docker).image.push(name, quiet=True)
    return _digest(docker, name)


def _digest(docker: DockerCli, name: str) -> str | None:
    image = find_image(docker, name)
    repository = repository_of(name)
    found = [digest.partition("@") for digest in image.repo_digests or ()] if image is not None else []
    return next((digest for known, _, digest in found if known == repository), None)
