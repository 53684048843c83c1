"""What an image says of itself: its labels, size and layers, from the engine or, without a pull, from its registry."""

from __future__ import annotations

import json
from typing import Any

from ...diagnostics import report
from ...record import record
from .. import EngineFailure
from .cli import DockerCli
from .objects import find_image

__all__ = [
    "ImageFacts",
    "image_history",
    "local_image",
    "model_config",
    "model_schema",
    "remote_image",
    "repository_of",
    "require_model",
]

_CONFIG = ("run.cog.config", "org.cogmodel.config")
_SCHEMA = ("run.cog.openapi_schema", "org.cogmodel.openapi_schema")


@record
class ImageFacts:
    """An image. `layers` are (what made it, size in bytes), the lowest first; sizes are those of unpacked files.

    Of an image that is only in its registry, `layers` is empty and `size_bytes` is that of what would be pulled.
    """

    name: str
    digest: str
    created: str
    platform: str
    user: str
    size_bytes: int | None
    labels: tuple[tuple[str, str], ...]
    layers: tuple[tuple[str, int], ...] = ()
    is_local: bool = True

    def label(self, *names: str) -> str | None:
        """The first of these labels that is there."""
        labels = dict(self.labels)
        return next((labels[name] for name in names if labels.get(name)), None)


def local_image(docker: DockerCli, name: str) -> ImageFacts | None:
    """The image in the engine; None when it is not there. Errors: EngineFailure when the engine does not answer."""
    image = find_image(docker, name)
    if image is None:
        return None
    config, created = image.config, image.created
    layers = tuple((made, size) for made, size in reversed(image_history(docker, name)) if size)
    return ImageFacts(
        name=name,
        digest=image.id,
        created=created.isoformat() if created is not None else "",
        platform=_platform(image.os, image.architecture, image.variant),
        user=config.user or "root",
        size_bytes=sum(size for _, size in layers),
        labels=_labels(config.labels),
        layers=layers,
    )


def remote_image(docker: DockerCli, name: str) -> ImageFacts:
    """The image in its registry. Errors: EngineFailure with COG640–COG642."""
    shown = json.loads(docker.capture("buildx", "imagetools", "inspect", "--format={{json .}}", name))
    image = shown.get("image") or {}
    if "config" not in image:  # one for each platform
        images = [value for value in image.values() if isinstance(value, dict)]
        image = images[0] if images else {}
    return ImageFacts(
        name=name,
        digest=str(shown.get("manifest", {}).get("digest", "")),
        created=str(image.get("created", "")),
        platform=_platform(image.get("os"), image.get("architecture"), image.get("variant")),
        user=str(image.get("config", {}).get("User") or "root"),
        size_bytes=_compressed_size(docker, name, shown.get("manifest", {})),
        labels=_labels(image.get("config", {}).get("Labels")),
        is_local=False,
    )


def _compressed_size(docker: DockerCli, name: str, manifest: dict[str, Any]) -> int | None:
    """The bytes of all layers of the first platform, as they are in the registry."""
    if "layers" not in manifest:
        first: dict[str, Any] = next(iter(manifest.get("manifests") or ()), {})
        if not first.get("digest"):
            return None
        done = docker.attempt("buildx", "imagetools", "inspect", "--raw", f"{repository_of(name)}@{first['digest']}")
        if done.status:
            return None
        manifest = json.loads(done.output)
    return sum(int(layer.get("size", 0)) for layer in manifest.get("layers", ()))


def image_history(docker: DockerCli, name: str) -> list[tuple[str, int]]:
    """What made each step of the image and its size in bytes, 0 for settings; the last one first."""
    done = docker.attempt("history", "--no-trunc", "--human=false", "--format={{json .}}", name)
    entries = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    return [(str(entry.get("CreatedBy", "")), int(float(entry.get("Size") or 0))) for entry in entries]


def repository_of(name: str) -> str:
    """The name without tag and digest.

    >>> repository_of("localhost:5000/a/b:v1"), repository_of("localhost:5000/a/b")
    ('localhost:5000/a/b', 'localhost:5000/a/b')
    """
    head, slash, last = name.partition("@")[0].rpartition("/")
    return head + slash + last.partition(":")[0]


def _platform(system: Any, architecture: Any, variant: Any) -> str:
    return "/".join(str(part) for part in (system, architecture, variant) if part)


def _labels(labels: dict[str, Any] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(value)) for name, value in (labels or {}).items()))


# -- models ------------------------------------------------------------------------------------------


def require_model(image: ImageFacts) -> dict[str, Any]:
    """The configuration in the image's labels. Error: EngineFailure with COG643 when it has none."""
    config = model_config(image)
    if config is None:
        message = f"Image {image.name} does not appear to be a Cog model"
        raise EngineFailure(report("COG643", message, hint="`cogc build` makes images with the labels that say it"))
    return config


def model_config(image: ImageFacts) -> dict[str, Any] | None:
    """The resolved cog.yaml, from the label of today or that of Cog before 0.6; None without a readable one."""
    return _document(image.label(*_CONFIG))


def model_schema(image: ImageFacts) -> dict[str, Any] | None:
    """The OpenAPI document of the model; None without a readable one."""
    return _document(image.label(*_SCHEMA))


def _document(text: str | None) -> dict[str, Any] | None:
    try:
        document = json.loads(text) if text else None
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
