"""The experimental top-level `weights`: checked, and kept for a version that fetches them."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic, report
from ..config import Located, ManagedWeight, WeightSource
from ..parse import MappingNode, SequenceNode
from .reading import items_of, text_of, texts_of

__all__ = ["bind_weights"]


def bind_weights(root: MappingNode) -> tuple[tuple[ManagedWeight, ...], tuple[Diagnostic, ...]]:
    """The managed weights in order. Codes: COG127, COG143."""
    binder = _WeightBinder()
    return binder.weights(root), tuple(binder.found)


class _WeightBinder:
    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    def weights(self, root: MappingNode) -> tuple[ManagedWeight, ...]:
        nodes = [node for node in items_of(root, "weights") if isinstance(node, MappingNode)]
        if not nodes:
            return ()
        entry = root.get("weights")
        assert entry is not None
        if root.get("image") and not root.get("model"):
            message = "weights require 'model', not 'image' — rename 'image' to 'model'"
            self.found.append(report("COG143", message, entry.key_span))
        self.found.append(
            report("COG127", "managed `weights` are not fetched yet; the key has no effect", entry.key_span)
        )
        weights: list[ManagedWeight] = []
        for node in nodes:
            name, target = text_of(node, "name"), text_of(node, "target")
            if name and target:
                self._check_weight(name, target, weights)
                sources = tuple(self._weight_sources(node))
                weights.append(ManagedWeight(name=name.value, target=target.value, sources=sources, span=node.span))
        return tuple(weights)

    def _check_weight(self, name: Located[str], target: Located[str], others: list[ManagedWeight]) -> None:
        if not target.value.startswith("/"):
            self.found.append(report("COG143", "target must be an absolute path", target.span))
        if target.value.strip("/") == "":
            self.found.append(report("COG143", 'target must not be the container root "/"', target.span))
        for other in others:
            if other.name == name.value:
                self.found.append(report("COG143", f'duplicate weight name "{name.value}"', name.span))
            ours, theirs = target.value.rstrip("/") + "/", other.target.rstrip("/") + "/"
            if ours == theirs:
                self.found.append(report("COG143", f'duplicate weight target "{target.value}"', target.span))
            elif ours.startswith(theirs) or theirs.startswith(ours):
                message = f'target overlaps with "{other.target}"; weight targets must be disjoint'
                self.found.append(report("COG143", message, target.span))

    def _weight_sources(self, node: MappingNode) -> Iterator[WeightSource]:
        entry = node.get("source")
        if entry is None:
            return
        nodes = entry.value.items if isinstance(entry.value, SequenceNode) else (entry.value,)
        for source in nodes:
            if isinstance(source, MappingNode) and (uri := text_of(source, "uri")):
                patterns = {key: tuple(texts_of(source, key)) for key in ("include", "exclude")}
                for pattern in (*patterns["include"], *patterns["exclude"]):
                    if pattern.value.startswith("!"):
                        message = "negation patterns (starting with '!') are not supported"
                        self.found.append(report("COG143", message, pattern.span))
                yield WeightSource(
                    uri=uri.value,
                    include=tuple(pattern.value for pattern in patterns["include"]),
                    exclude=tuple(pattern.value for pattern in patterns["exclude"]),
                )
