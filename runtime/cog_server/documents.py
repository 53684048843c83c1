"""The OpenAPI document that is served, and what it says about inputs.

It comes with the image, as a rule. Where it does not, each worker tells of its own target, and the SDK is asked for the
other one: that imports the model in a process of its own. Until then requests for that target wait. Which inputs are
secrets is also learned from workers, whatever the image's document says.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Awaitable, Callable, Dict, FrozenSet, Iterator, Mapping, Optional, Tuple

import msgspec

from .validation import InputChecker, compile_inputs, secret_inputs

__all__ = ["COMPONENTS", "DocumentError", "Documents", "join"]

logger = logging.getLogger("cog_server.documents")

COMPONENTS = {"predict": "Input", "train": "TrainingInput"}
_ASK_SECONDS = 600.0
_SUFFIX = "_training"
_REFERENCE = "#/components/schemas/"

Document = Dict[str, Any]


class DocumentError(Exception):
    """The inputs of a target cannot be known; the text says why."""


class Documents:
    """The document. `body` is its JSON, empty while there is none; `checkers` are those of known inputs by component."""

    def __init__(
        self, bundled: Optional[Document], modes: Tuple[str, ...], ask: Callable[[str], Awaitable[bytes]]
    ) -> None:
        """`modes` are the targets that the model has, and `ask(mode)` gives the document of one. Error: DocumentError."""
        self.document: Optional[Document] = None
        self.body = b""
        self.checkers: Dict[str, InputChecker] = {}
        self._modes = modes
        self._ask = ask
        self._secrets: Dict[str, FrozenSet[str]] = {}
        self._asking: "Optional[asyncio.Future[None]]" = None
        if bundled is not None:
            self.add(bundled)

    def add(self, document: Document) -> None:
        """Learn from a document of one target or of both. What is known already stays, but for secrets."""
        known = _components(document)
        news = [name for name in COMPONENTS.values() if name in known and name not in self.checkers]
        if self.document is None or news:
            self.document = join(self.document, document) if self.document is not None else document
            self.body = msgspec.json.encode(self.document)
        for name in COMPONENTS.values():
            secrets = self._secrets.get(name, frozenset()) | secret_inputs(document, name)
            if name in news or (name in self.checkers and secrets != self._secrets.get(name, frozenset())):
                self.checkers[name] = compile_inputs(self.document, name, secrets)
            self._secrets[name] = secrets

    @property
    def missing(self) -> Tuple[str, ...]:
        """The targets of which nothing is known yet."""
        return tuple(mode for mode in self._modes if COMPONENTS[mode] not in self.checkers)

    def start_asking(self) -> None:
        """Ask for what is missing, unless that is going on."""
        if self.missing and (self._asking is None or self._asking.done()):
            self._asking = asyncio.ensure_future(self._complete())
            self._asking.add_done_callback(lambda asking: asking.cancelled() or asking.exception())

    async def settled(self) -> None:
        """Wait while something is being asked for."""
        if self._asking is not None:
            await asyncio.wait([self._asking])

    async def require(self, mode: str) -> None:
        """Wait until the inputs of a target are known. Error: DocumentError."""
        if COMPONENTS[mode] in self.checkers:
            return
        self.start_asking()
        assert self._asking is not None
        await asyncio.wait([self._asking])
        if COMPONENTS[mode] not in self.checkers:
            error = None if self._asking.cancelled() else self._asking.exception()
            raise DocumentError(str(error) if isinstance(error, DocumentError) else "the server is stopping")

    def stop(self) -> None:
        """Ask no longer."""
        if self._asking is not None:
            self._asking.cancel()

    async def _complete(self) -> None:
        failures = []
        for mode in self.missing:
            try:
                self.add(json.loads(await asyncio.wait_for(self._ask(mode), _ASK_SECONDS)))
            except asyncio.TimeoutError:
                failures.append("importing the model did not end within %g seconds" % _ASK_SECONDS)
            except (DocumentError, OSError, ValueError) as error:
                failures.append(str(error))
        if failures:
            logger.warning("the schema is not complete: %s", "; ".join(failures))
            raise DocumentError("; ".join(failures))


def join(first: Document, second: Document) -> Document:
    """The document of two targets, from one of each: the same that the SDK makes of both.

    Values that an input of the training is limited to get the suffix `_training` where the prediction has another
    input of the same name.
    """
    predict, train = (second, first) if COMPONENTS["train"] in _components(first) else (first, second)
    components, more = dict(_components(predict)), dict(_components(train))
    used = set(_references(more.get(COMPONENTS["train"])))
    renamed = {name: name + _SUFFIX for name in used if components.get(name, more.get(name)) != more.get(name)}
    for name, schema in more.items():
        if name in renamed:
            components[renamed[name]] = {**schema, "title": renamed[name]}
        else:
            components.setdefault(name, schema)
    if renamed:
        components[COMPONENTS["train"]] = _redirected(more[COMPONENTS["train"]], renamed)
    paths = {**(predict.get("paths") or {}), **(train.get("paths") or {})}
    if "/shutdown" in paths:
        paths["/shutdown"] = paths.pop("/shutdown")
    schemas = {**(predict.get("components") or {}), "schemas": dict(sorted(components.items()))}
    return {**predict, "paths": paths, "components": schemas}


def _components(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return (document.get("components") or {}).get("schemas") or {}


def _references(value: Any) -> Iterator[str]:
    """The names of the components that a schema refers to itself."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rpartition("/")[2]
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _references(item)


def _redirected(value: Any, renamed: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_redirected(item, renamed) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: _redirected(item, renamed) for key, item in value.items()}
    name = str(result.get("$ref", "")).rpartition("/")[2]
    return {**result, "$ref": _REFERENCE + renamed[name]} if name in renamed else result
