"""Show what an image of a model is: its labels, schema, sizes and versions.

An image that the engine does not have is looked up in its registry, without pulling it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from ._project import fail
from ._reporter import StandardErrorReporter
from ._sizes import size_text

if TYPE_CHECKING:
    from ..engines.docker.image_facts import ImageFacts

__all__ = ["EXAMPLES", "add_arguments", "run"]

EXAMPLES = """\
examples:
  cogc inspect my-model
  cogc inspect registry.example.com/team/model:v1
  cogc inspect my-model --format json | jq .schema
"""
_MOST_LAYERS = 12
_MOST_OF_STEP = 88  # characters of what made a layer, where there is no terminal
_BEFORE_STEP = 13  # what stands before that on its line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `cogc inspect`."""
    parser.add_argument("image", metavar="IMAGE", help="the name of an image")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="json: everything, with all labels and the schema"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show, and give the exit code."""
    from ..engines import EngineFailure
    from ..engines.docker.cli import DockerCli
    from ..engines.docker.image_facts import local_image, model_schema, remote_image, require_model

    docker = DockerCli(StandardErrorReporter(debug=arguments.debug))
    try:
        image = local_image(docker, arguments.image) or remote_image(docker, arguments.image)
        config = require_model(image)
    except EngineFailure as failure:
        return fail(failure.diagnostics, None, arguments.format)
    schema = model_schema(image)
    if arguments.format == "json":
        print(json.dumps(_document(image, config, schema), indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(image, config, schema)))
    return 0


def _document(image: ImageFacts, config: dict[str, Any], schema: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "image": image.name,
        "digest": image.digest,
        "created": image.created,
        "platform": image.platform,
        "user": image.user,
        "local": image.is_local,
        "size_bytes": image.size_bytes,
        "layers": [{"made_by": made, "size_bytes": size} for made, size in image.layers],
        "config": config,
        "packages": _packages(image),
        "schema": schema,
        "labels": dict(image.labels),
    }


def _lines(image: ImageFacts, config: dict[str, Any], schema: dict[str, Any] | None) -> list[str]:
    size = size_text(image.size_bytes) if image.size_bytes is not None else "unknown"
    facts = {
        "digest": image.digest,
        "created": image.created[:19].replace("T", " "),
        "platform": image.platform,
        "size": f"{size} in all" if image.is_local else f"{size} to pull",
        "user": image.user,
        "made by": _maker(image),
        "revision": image.label("org.opencontainers.image.revision"),
        "version": image.label("org.opencontainers.image.version"),
        **_config_facts(config),
    }
    width = max(len(name) for name in facts)
    lines = [image.name, *(f"  {name:<{width}}  {value}" for name, value in facts.items() if value)]
    lines += _interface(schema)
    packages = _packages(image)
    if packages:
        count = f"{len(packages)} Python package{'s' if len(packages) > 1 else ''}"
        lines += ["", count, textwrap.indent(_wrapped(packages), "  ")]
    return lines + _layer_lines(image)


def _maker(image: ImageFacts) -> str:
    version = image.label("run.cog.version", "org.cogmodel.cog_version") or "an unknown version"
    matrix = image.label("run.cogc.matrix")
    return f"cogc {version} (matrix {matrix})" if matrix else f"Cog {version}"


def _config_facts(config: dict[str, Any]) -> dict[str, str | None]:
    build = config.get("build") or {}
    gpu = "yes" if build.get("gpu") else None
    return {
        "python": build.get("python_version"),
        "gpu": gpu,
        "cuda": build.get("cuda"),
        "cudnn": build.get("cudnn"),
        "system": ", ".join(build.get("system_packages") or ()) or None,
        "predict": config.get("predict") or config.get("run"),
        "train": config.get("train"),
    }


def _interface(schema: dict[str, Any] | None) -> list[str]:
    """The inputs with their types, defaults and descriptions, and the output."""
    if schema is None:
        return ["", "The image has no label with its schema; its server has /openapi.json."]
    lines: list[str] = []
    schemas = (schema.get("components") or {}).get("schemas") or {}
    for of, title in (("", ""), ("Training", " of the training")):
        if f"{of}Input" in schemas:
            lines += ["", *_input_lines(schemas[f"{of}Input"], schemas, title)]
        if f"{of}Output" in schemas:
            lines.append(f"output{title}: {_type(schemas[f'{of}Output'], schemas)}")
    return lines


def _input_lines(document: dict[str, Any], schemas: dict[str, Any], title: str) -> list[str]:
    fields = document.get("properties") or {}
    required = document.get("required") or ()
    rows = [(name, _type(field, schemas), _default(name, field, required), field) for name, field in fields.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    lines = [f"inputs{title}" if fields else f"no inputs{title}"]
    for row in rows:
        shown = "  ".join(f"{row[column]:<{widths[column]}}" for column in range(3))
        lines.append(f"  {shown}  {row[3].get('description', '')}".rstrip())
    return lines


def _type(field: dict[str, Any], schemas: dict[str, Any]) -> str:
    """A type in a few letters, such as `list of file` or `small|large`."""
    for holder in ("allOf", "anyOf"):
        members = field.get(holder)
        if members:
            return " or ".join(dict.fromkeys(_type(member, schemas) for member in members))
    if "$ref" in field:
        return _type(schemas.get(str(field["$ref"]).rpartition("/")[2], {}), schemas)
    if field.get("enum"):
        return "|".join(str(value) for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_type(field.get('items') or {}, schemas)}"
    if field.get("format") == "uri":
        return "file"
    if field.get("format") == "password":
        return "secret"
    return str(field.get("type", "any"))


def _default(name: str, field: dict[str, Any], required: Any) -> str:
    if name in required:
        return "required"
    if "default" not in field:
        return "optional"
    limits = [f"{sign} {field[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in field]
    return ", ".join([f"default {json.dumps(field['default'], ensure_ascii=False)}", *limits])


def _packages(image: ImageFacts) -> list[str]:
    return (image.label("run.cog.pip_freeze") or "").splitlines()


def _wrapped(words: list[str]) -> str:
    return textwrap.fill("  ".join(words), 100, break_long_words=False, break_on_hyphens=False)


def _layer_lines(image: ImageFacts) -> list[str]:
    if not image.layers:
        return []
    largest = sorted(image.layers, key=lambda layer: layer[1], reverse=True)[:_MOST_LAYERS]
    title = f"{len(image.layers)} layers" + (f", of which the {_MOST_LAYERS} largest" if len(image.layers) > 12 else "")
    return ["", title, *(f"  {size_text(size):>9}  {_made(made)}" for made, size in largest)]


def _made(text: str) -> str:
    """What made a layer, on one line and without what all of them have."""
    text = " ".join(text.removesuffix(" # buildkit").replace("/bin/sh -c ", "").split())
    room = shutil.get_terminal_size((102, 24)).columns - _BEFORE_STEP if sys.stdout.isatty() else _MOST_OF_STEP
    return text if len(text) <= room else text[: max(room - 1, 0)] + "…"
