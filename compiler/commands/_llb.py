"""A compilation → the outputs of the LLB back end: the definition as bytes, JSON and text, and the image's document."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ..diagnostics import Diagnostic, report
from ..disk import describe

if TYPE_CHECKING:
    from ..backends.llb.image import ImageConfig
    from ..driver import Compilation, Source

__all__ = ["LLB_OUTPUTS", "add_llb_arguments", "llb_output"]

LLB_OUTPUTS = ("llb", "llb-json", "llb-text", "image-config")
_MOST_BYTES = 16 * 1024 * 1024


def add_llb_arguments(group: argparse._ActionsContainer) -> None:
    """What only these outputs take."""
    group.add_argument(
        "--base-config",
        action="append",
        default=[],
        metavar="IMAGE=FILE",
        help="for --emit llb: what a base image sets, as JSON of its configuration; may be repeated",
    )
    group.add_argument(
        "--no-merge", action="store_true", help="for --emit llb: copy instead of merging layers, for older daemons"
    )


def llb_output(
    arguments: argparse.Namespace, compilation: Compilation, source: Source
) -> tuple[bytes | None, tuple[Diagnostic, ...]]:
    """What --emit asks for, or None with the errors. Codes: COG315–COG318, COG500, COG503."""
    from ..backends.llb.image import image_document
    from ..backends.llb.lower import LlbOptions
    from ..backends.llb.text import definition_json, definition_text
    from ..driver import llb_build

    images, found = _images(arguments.base_config)
    if found:
        return None, found
    platform = arguments.platform or "linux/amd64"
    options = LlbOptions(platform=platform, images=images, merges=not arguments.no_merge)
    built, found = llb_build(compilation, source, options)
    if built is None:
        return None, found
    lowered, definition = built.lowered, built.definition
    if arguments.emit == "llb":
        return definition.data, found
    if arguments.emit == "image-config":
        document = image_document(lowered.image, lowered.platform)
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode(), found
    write = definition_json if arguments.emit == "llb-json" else definition_text
    return write(definition, lowered.image, lowered.platform).encode(), found


def _images(given: list[str]) -> tuple[tuple[tuple[str, ImageConfig], ...], tuple[Diagnostic, ...]]:
    """The configurations that --base-config names, by image. Errors: COG500, COG503."""
    from ..backends.llb.image import read_image

    images: list[tuple[str, ImageConfig]] = []
    found: list[Diagnostic] = []
    for text in given:
        reference, separator, path = text.partition("=")
        if not separator or not reference or not path:
            found.append(report("COG503", f"--base-config {text}: write IMAGE=FILE"))
            continue
        try:
            with open(path, "rb") as file:
                images.append((reference, read_image(file.read(_MOST_BYTES))))
        except OSError as error:
            found.append(report("COG500", f"--base-config: {path} {describe(error)}"))
        except (ValueError, RecursionError) as error:
            reason = str(error) if not isinstance(error, (UnicodeDecodeError, RecursionError)) else "it is no JSON"
            found.append(report("COG503", f"--base-config {text}: no configuration of an image: {reason}"))
    return tuple(images), tuple(found)
