"""The layout of 2021, before the `build` key: recognised, never converted in silence."""

from __future__ import annotations

from ...diagnostics import Diagnostic, Note, report
from ..parse import MappingNode, ScalarNode

__all__ = ["check_legacy_layout"]

_OLD_SETTINGS = frozenset(
    [
        "architectures",
        "build_requires_gpu",
        "cuda",
        "cudnn",
        "post_install",
        "pre_install",
        "python_extra_index_urls",
        "python_find_links",
        "python_packages",
        "python_requirements",
        "python_version",
        "system_packages",
    ]
)


def check_legacy_layout(root: MappingNode) -> Diagnostic | None:
    """COG125 when the document has the layout of 2021, which no newer schema describes."""
    environment, model = root.get("environment"), root.get("model")
    # Today's `environment` is a list; a mapping of other names is a mistake in that list, not an old file.
    settings = environment.value if environment is not None else None
    is_old = isinstance(settings, MappingNode) and any(entry.key in _OLD_SETTINGS for entry in settings.entries)
    is_old |= model is not None and isinstance(model.value, ScalarNode) and ".py:" in model.value.text
    if not is_old:
        return None
    moves = {
        "environment": "`environment` is now `build`",
        "model": "`model` is now `predict`",
        "examples": "`examples` is no longer used",
        "workdir": "`workdir` is no longer used: the project is /src in the container",
    }
    notes = [Note(message=moves[entry.key], span=entry.key_span) for entry in root.entries if entry.key in moves]
    if isinstance(settings, MappingNode):
        for key in ("architectures", "build_requires_gpu"):
            if found := settings.get(key):
                notes.append(Note(message=f"`{key}` is now `build.gpu: true` or `false`", span=found.key_span))
    first = notes[0].span if notes else root.span
    return report("COG125", "the file has the layout of 2021, before the `build` key", first, notes=notes)
