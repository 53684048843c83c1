"""The caches that a build reads and writes outside the daemon: those in directories of this machine, and in GitHub's.

What the daemon does itself (registry, inline, s3, azblob) it is told as it was given.

Source: https://docs.docker.com/build/cache/backends/ and https://github.com/moby/buildkit (client/solve.go)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ...diagnostics import report
from ...disk import describe
from .. import EngineFailure, Reporter
from .content_store import ContentStore

__all__ = ["Cache", "Caches"]

Cache: TypeAlias = tuple[str, Mapping[str, str]]
"""A type and its attributes."""

_LATEST = "latest"


@dataclass(slots=True)
class Caches:
    """The caches as the daemon is told. `stores` are the directories that it reads and writes, by their names.

    A directory without a cache is left out with a notice, for so begins every pipeline.
    """

    imports: list[Cache] = field(default_factory=list)
    exports: list[Cache] = field(default_factory=list)
    stores: dict[str, ContentStore] = field(default_factory=dict)
    _written: list[tuple[ContentStore, str]] = field(default_factory=list)

    @classmethod
    def of(cls, cache_from: Sequence[Cache], cache_to: Sequence[Cache], reporter: Reporter) -> Caches:
        """From what was asked for. Error: EngineFailure with COG500 for a cache that cannot be read."""
        found = cls()
        for kind, attributes in cache_from:
            if kind == "local":
                found._import(attributes, reporter)
            else:
                found.imports.append((kind, _completed(kind, attributes)))
        for kind, attributes in cache_to:
            if kind == "local":
                found._export(attributes)
            else:
                found.exports.append((kind, _completed(kind, attributes)))
        return found

    def finish(self, answer: Mapping[str, str]) -> None:
        """Make what the daemon has written count. Error: OSError."""
        descriptor = answer.get("cache.manifest")
        if not self._written or not descriptor:
            return
        for store, tag in self._written:
            store.add_tag(json.loads(descriptor), tag)

    def raise_error(self) -> None:
        """Raise what kept a directory from being written. Error: OSError."""
        for store in self.stores.values():
            if store.error is not None:
                raise store.error

    def _import(self, attributes: Mapping[str, str], reporter: Reporter) -> None:
        place, tag = attributes.get("src", ""), attributes.get("tag", _LATEST)
        store = ContentStore(Path(place))
        try:
            digest = attributes.get("digest") or store.digest_of(tag)
        except OSError as error:
            raise EngineFailure(report("COG500", f"{error.filename or place} {describe(error)}")) from error
        except ValueError as error:
            raise EngineFailure(report("COG500", f"{place}/index.json: {error}")) from error
        if digest is None:
            reporter.notice(f"there is no cache in {place} yet")
            return
        self.imports.append(("local", {**attributes, "src": self._named(store), "digest": digest}))

    def _export(self, attributes: Mapping[str, str]) -> None:
        store = ContentStore(Path(attributes.get("dest", "")))
        self._written.append((store, attributes.get("tag", _LATEST)))
        self.exports.append(("local", {**attributes, "dest": self._named(store)}))

    def _named(self, store: ContentStore) -> str:
        """The daemon is not told where the directory is."""
        name = f"cache-{len(self.stores)}"
        self.stores[f"local:{name}"] = store
        return name


def _completed(kind: str, attributes: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """With what a runner of GitHub Actions says about its cache."""
    if kind != "gha":
        return dict(attributes)
    known = {
        "token": environment.get("ACTIONS_RUNTIME_TOKEN"),
        "url": environment.get("ACTIONS_CACHE_URL") or environment.get("ACTIONS_RESULTS_URL"),
        "url_v2": environment.get("ACTIONS_RESULTS_URL"),
        "version": "2" if environment.get("ACTIONS_CACHE_SERVICE_V2") else None,
    }
    return {**{name: value for name, value in known.items() if value}, **attributes}
