"""What model code imports: `from cog import BasePredictor, Input, Path`.

Names load the module that defines them on first use, so that `import cog` costs next to nothing and a model pays
only for what it uses. Nothing here imports numpy, torch or pydantic.
"""

from __future__ import annotations

import sys

# Not from `typing`, whose import takes longer than all of this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .coder import Coder as Coder
    from .decorators import concurrent as concurrent
    from .decorators import streaming as streaming
    from .exceptions import CancelationException as CancelationException
    from .inputs import FieldInfo as FieldInfo
    from .inputs import Input as Input
    from .legacy import Predictor as Predictor
    from .legacy import input as input
    from .model import BaseModel as BaseModel
    from .predictor import BasePredictor as BasePredictor
    from .predictor import BaseRunner as BaseRunner
    from .scope import Scope as Scope
    from .scope import current_scope as current_scope
    from .types import AsyncConcatenateIterator as AsyncConcatenateIterator
    from .types import AsyncIterator as AsyncIterator
    from .types import ConcatenateIterator as ConcatenateIterator
    from .types import File as File
    from .types import Opaque as Opaque
    from .types import Path as Path
    from .types import Secret as Secret
    from .types import URLFile as URLFile
    from .types import URLPath as URLPath

__version__ = "0.1.0"

__all__ = [
    "AsyncConcatenateIterator",
    "AsyncIterator",
    "BaseModel",
    "BasePredictor",
    "BaseRunner",
    "CancelationException",
    "Coder",
    "ConcatenateIterator",
    "FieldInfo",
    "File",
    "Input",
    "Opaque",
    "Path",
    "Predictor",
    "Scope",
    "Secret",
    "URLFile",
    "URLPath",
    "concurrent",
    "current_scope",
    "input",
    "streaming",
]

_HOMES = {
    "AsyncConcatenateIterator": "types",
    "AsyncIterator": "types",
    "BaseModel": "model",
    "BasePredictor": "predictor",
    "BaseRunner": "predictor",
    "CancelationException": "exceptions",
    "Coder": "coder",
    "ConcatenateIterator": "types",
    "FieldInfo": "inputs",
    "File": "types",
    "Input": "inputs",
    "Opaque": "types",
    "Path": "types",
    "Predictor": "legacy",
    "RedisQueueWorker": "server.redis_queue",
    "Scope": "scope",
    "Secret": "types",
    "URLFile": "types",
    "URLPath": "types",
    "concurrent": "decorators",
    "current_scope": "scope",
    "input": "legacy",
    "streaming": "decorators",
}
# Names of the past: name, home, what to say on first use.
_PAST = {
    "ExperimentalFeatureWarning": ("types", "`cog.ExperimentalFeatureWarning` is never raised any more"),
    "emit_metric": ("scope", "`cog.emit_metric` is deprecated: use `self.record_metric(name, value)`"),
}
_SUBMODULES = frozenset({
    "arguments", "base_predictor", "coder", "command", "decorators", "errors", "exceptions", "files", "frames",
    "inputs", "json", "kinds", "legacy", "metrics", "mode", "model", "objects", "openapi", "predictor", "reading",
    "schema", "scope", "server", "signature", "suppress_output", "types", "values",
})  # fmt: skip


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        value = getattr(importlib.import_module("." + _HOMES[name], __name__), name)
    elif name in _PAST:
        home, notice = _PAST[name]
        sys.stderr.write(notice + "\n")
        module = importlib.import_module("." + home, __name__)
        value = vars(module).get("_" + name) or getattr(module, name)
    elif name in _SUBMODULES:
        return importlib.import_module("." + name, __name__)
    else:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_PAST, *_SUBMODULES})
