"""The checked tree of cog.yaml → `Config`: the document, and a module for each part that needs more than a page."""

from .document import bind
from .legacy import check_legacy_layout

__all__ = ["bind", "check_legacy_layout"]
