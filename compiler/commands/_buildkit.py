"""`cogc build --engine buildkit`: the options of a build as our own client takes them."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..diagnostics import Diagnostic, has_errors, report
from ._outputs import Destinations
from ._secrets import Secret

if TYPE_CHECKING:
    from ..engines.buildkit.model_image import BuildkitRequest

__all__ = ["buildkit_request"]

_CACHES_TO = ("registry", "inline", "gha", "s3", "azblob")
_CACHES_FROM = ("registry", "gha", "s3", "azblob")


def buildkit_request(
    arguments: argparse.Namespace,
    image: str,
    labels: Sequence[tuple[str, str]],
    secrets: Sequence[Secret],
    goes_to: Destinations,
) -> tuple[BuildkitRequest | None, tuple[Diagnostic, ...]]:
    """The request, or None with what cannot be asked for. Errors: COG503, COG628."""
    if find_spec("h2") is None:
        hint = "pip install 'cogc[buildkit]'"
        return None, (report("COG628", "--engine buildkit needs the library h2, which is not installed", hint=hint),)
    from ..engines.buildkit.model_image import BuildkitRequest

    found = list(_unsupported(arguments))
    cache_from = _caches("--cache-from", arguments.cache_from, _CACHES_FROM, found)
    cache_to = _caches("--cache-to", arguments.cache_to, _CACHES_TO, found)
    if has_errors(found):
        return None, tuple(found)
    provenance = {None: None, "false": None, "true": "mode=min"}.get(arguments.provenance, arguments.provenance)
    request = BuildkitRequest(
        name=image,
        labels=tuple(labels),
        secrets=tuple((secret.id, secret.file, secret.variable) for secret in secrets),
        platform=arguments.platform,
        builder=arguments.builder,
        cache_from=cache_from,
        cache_to=cache_to,
        uses_cache=not arguments.no_cache,
        provenance=provenance,
        outputs=goes_to.outputs,
        loads=goes_to.loads,
        pushes=goes_to.pushes,
        timestamp=arguments.timestamp if arguments.timestamp >= 0 else None,
    )
    return request, tuple(found)


def _unsupported(arguments: argparse.Namespace) -> list[Diagnostic]:
    reasons = {
        "--dockerfile": (arguments.dockerfile is not None, "builds no Dockerfile"),
        "--build-arg": (bool(arguments.build_arg), "has no Dockerfile whose arguments could be set"),
        "--sbom": (arguments.sbom not in (None, "false"), "has no scanner for --sbom"),
    }
    return [
        report("COG503", f"{option}: the engine buildkit {reason}", hint="leave out --engine buildkit")
        for option, (is_given, reason) in reasons.items()
        if is_given
    ]


def _caches(
    option: str, texts: Sequence[str], known: Sequence[str], found: list[Diagnostic]
) -> tuple[tuple[str, dict[str, str]], ...]:
    """Values such as `type=registry,ref=…`, or a reference alone. Errors: COG503."""
    caches: list[tuple[str, dict[str, str]]] = []
    for text in texts:
        fields = next(csv.reader([text]), [])
        if len(fields) == 1 and "=" not in fields[0]:
            fields = ["type=registry", f"ref={fields[0]}"]
        attributes = {name: value for name, _, value in (field.partition("=") for field in fields)}
        kind = attributes.pop("type", "")
        if kind not in known:
            hint = "leave out --engine buildkit"
            found.append(report("COG503", f"{option} {text}: the types are {', '.join(known)}", hint=hint))
        caches.append((kind, attributes))
    return tuple(caches)
