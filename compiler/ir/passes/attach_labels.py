"""Put the labels of the image at the end of its last stage: version, configuration, schema, matrix."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from ..credentials import without_credentials
from ..node import Cause
from ..nodes import Label, ResolvedBuild

__all__ = ["attach_labels", "config_label"]


def attach_labels(build: ResolvedBuild, version: str) -> ResolvedBuild:
    """Labels `run.cog.*` as Cog's tools read them, and `run.cogc.*`: the matrix, and the driver that CUDA needs."""
    labels = {
        "run.cog.config": config_label(build),
        "run.cog.has_init": "true",
        "run.cog.version": version,
        "run.cogc.matrix": build.resolution.matrix,
    }
    if build.resolution.min_driver is not None:
        labels["run.cogc.min_driver"] = build.resolution.min_driver
    why = Cause(kind="default", text="what Cog's tools read from an image")
    steps = [Label(labels=tuple(sorted(labels.items())), because=(why,))]
    if build.summary.openapi_schema is not None:
        schema = (("run.cog.openapi_schema", build.summary.openapi_schema),)
        steps.append(Label(labels=schema, because=(Cause(kind="rule", text="the model's inputs and outputs"),)))
    *others, last = build.stages
    return replace(build, stages=(*others, replace(last, steps=(*last.steps, *steps))))


def _command(command: str, mounts: tuple[tuple[tuple[str, str], ...], ...]) -> dict[str, Any]:
    shown: dict[str, Any] = {"command": without_credentials(command)}
    return {**shown, "mounts": [dict(mount) for mount in mounts]} if mounts else shown


def config_label(build: ResolvedBuild) -> str:
    """The resolved configuration as compact JSON; empty values are left out.

    Source: spec of the label `run.cog.config`: the keys of cog.yaml, with versions resolved.
    """
    summary, resolution = build.summary, build.resolution
    section: dict[str, Any] = {
        "gpu": summary.is_gpu,
        "python_version": resolution.python,
        "python_requirements": summary.python_requirements,
        "python_packages": [without_credentials(line) for line in summary.python_packages],
        "run": [_command(command, mounts) for command, mounts in summary.commands],
        "system_packages": list(summary.system_packages),
        "cuda": resolution.cuda,
        "cudnn": resolution.cudnn,
    }
    document: dict[str, Any] = {
        "build": {key: value for key, value in section.items() if value},
        "image": summary.image,
        "predict": summary.predict,
        "train": summary.train,
        "concurrency": {"max": summary.concurrency} if summary.concurrency else None,
        "environment": list(summary.environment),
    }
    kept = {key: value for key, value in document.items() if value}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
