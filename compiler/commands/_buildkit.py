"""`cogc build --engine buildkit`: the options of a build as our own client takes them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..diagnostics import Diagnostic, has_errors, report
from ..engines.buildkit.docker_config import PROXIES
from ._fields import fields_of
from ._outputs import Destinations
from ._ssh import Mounted

if TYPE_CHECKING:
    from ..engines.buildkit.model_image import BuildkitRequest

__all__ = ["buildkit_request"]

_CACHES_TO = ("registry", "inline", "local", "gha", "s3", "azblob")
_CACHES_FROM = ("registry", "local", "gha", "s3", "azblob")
_PLACE = {"--cache-from": "src", "--cache-to": "dest"}
_YES, _NO = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


def buildkit_request(
    arguments: argparse.Namespace,
    image: str,
    labels: Sequence[tuple[str, str]],
    mounted: Mounted,
    goes_to: Destinations,
    dockerfile: str | None,
) -> tuple[BuildkitRequest | None, tuple[Diagnostic, ...]]:
    """The request, or None with what cannot be asked for. Errors: COG503, COG628; warning: COG505."""
    if find_spec("h2") is None:
        hint = "pip install 'cogc[buildkit]'"
        return None, (report("COG628", "--engine buildkit needs the library h2, which is not installed", hint=hint),)
    from ..engines.buildkit.model_image import BuildkitRequest

    found: list[Diagnostic] = []
    build_args = _build_args(arguments, found, has_dockerfile=dockerfile is not None)
    cache_from = _caches("--cache-from", arguments.cache_from, _CACHES_FROM, found)
    cache_to = _caches("--cache-to", arguments.cache_to, _CACHES_TO, found)
    attestations = _attestations(arguments, found)
    if has_errors(found):
        return None, tuple(found)
    request = BuildkitRequest(
        name=image,
        labels=tuple(labels),
        secrets=tuple((secret.id, secret.file, secret.variable) for secret in mounted.secrets),
        agents=mounted.agents,
        platform=arguments.platform,
        builder=arguments.builder,
        cache_from=cache_from,
        cache_to=cache_to,
        uses_cache=not arguments.no_cache,
        attestations=attestations,
        dockerfile=dockerfile,
        build_args=build_args,
        outputs=goes_to.outputs,
        loads=goes_to.loads,
        pushes=goes_to.pushes,
        timestamp=arguments.timestamp if arguments.timestamp >= 0 else None,
    )
    return request, tuple(found)


def _build_args(
    arguments: argparse.Namespace, found: list[Diagnostic], *, has_dockerfile: bool
) -> tuple[tuple[str, str], ...]:
    """As pairs; a name alone takes the variable of this shell. Warning: COG505 for what nothing asks for."""
    given: dict[str, str] = {}
    for text in arguments.build_arg:
        name, separator, value = text.partition("=")
        if separator or name in os.environ:
            given[name] = value if separator else os.environ[name]
    if not has_dockerfile:
        for name in [name for name in given if name.lower() not in PROXIES]:
            hint = "`environment` in cog.yaml sets variables; --dockerfile builds a file that takes arguments"
            found.append(report("COG505", f"--build-arg {name} has no effect without a Dockerfile", hint=hint))
            del given[name]
    return tuple(given.items())


def _attestations(arguments: argparse.Namespace, found: list[Diagnostic]) -> tuple[tuple[str, str], ...]:
    """What is asked for about the image, as (name, attributes). Error: COG503 for a value that says nothing."""
    given = {"provenance": arguments.provenance, "sbom": arguments.sbom}
    plain = {"provenance": "mode=min", "sbom": ""}
    wanted = []
    for name, value in given.items():
        if value is None or value in _NO:
            continue
        fields = fields_of(value)
        if value not in _YES and not (fields and all("=" in field for field in fields)):
            found.append(report("COG503", f"--{name} {value}: write true, false or NAME=VALUE"))
        if "disabled=true" not in fields:
            wanted.append((name, plain[name] if value in _YES else value))
    return tuple(wanted)


def _caches(
    option: str, texts: Sequence[str], known: Sequence[str], found: list[Diagnostic]
) -> tuple[tuple[str, dict[str, str]], ...]:
    """Values such as `type=registry,ref=…`, or a reference alone. Errors: COG503."""
    caches: list[tuple[str, dict[str, str]]] = []
    for text in texts:
        fields = fields_of(text)
        if len(fields) == 1 and "=" not in fields[0]:
            fields = ["type=registry", f"ref={fields[0]}"]
        attributes = {name: value for name, _, value in (field.partition("=") for field in fields)}
        kind = attributes.pop("type", "")
        if kind not in known:
            found.append(report("COG503", f"{option} {text}: the types are {', '.join(known)}"))
        if kind == "local" and not attributes.get(_PLACE[option]):
            found.append(report("COG503", f"{option} {text}: {_PLACE[option]}=FOLDER is missing"))
        caches.append((kind, attributes))
    return tuple(caches)
