"""Base classes of models, and the way from a target such as `predict.py:Predictor` to a model that is set up.

Errors in what the model's author wrote are `LoadError`s, whose text says what to change; errors that the model's
own code raises while it is imported or set up pass through as they are.
"""

from __future__ import annotations

import os
import sys
from abc import ABC
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from types import ModuleType

    from .signature import Signature

__all__ = [
    "BasePredictor",
    "BaseRunner",
    "LoadError",
    "MissingFile",
    "Target",
    "load_signature",
    "load_target",
    "read_targets",
    "setup_arguments",
]

_METHODS = {"predict": ("predict", "run"), "train": ("train",)}


class LoadError(Exception):
    """The target cannot be used; the text says why."""


class MissingFile(LoadError):
    """The file of the target does not exist."""


class _Base(ABC):
    """What both base classes share."""

    def setup(self, weights: Any = None) -> Any:
        """Load what predictions need; called once, before the first prediction."""

    def record_metric(self, name: str, value: Any, mode: str = "replace") -> None:
        """Record a metric of the running prediction. Errors: `ValueError`, `TypeError`."""
        from .scope import current_scope

        current_scope().record_metric(name, value, mode)

    def _forwarded(self, other: str, arguments: dict[str, Any]) -> Any:
        if _defined(type(self), other) is None:
            raise NotImplementedError("%s defines neither predict() nor run()" % type(self).__name__)
        return getattr(self, other)(**arguments)


class BasePredictor(_Base):
    """Base class of models: define `predict()` with a type for each input and for the output."""

    def predict(self, **inputs: Any) -> Any:
        """Run one prediction; to be overridden."""
        return self._forwarded("run", inputs)


class BaseRunner(_Base):
    """The same as `BasePredictor`, for models whose method is called `run()`."""

    def run(self, **inputs: Any) -> Any:
        """Run one prediction; to be overridden."""
        return self._forwarded("predict", inputs)

    def predict(self, **inputs: Any) -> Any:
        """Run one prediction, under the name of `BasePredictor`."""
        return self._forwarded("run", inputs)


def _defined(cls: type, name: str) -> Any:
    """The class that defines a method, unless that is one of ours."""
    for owner in cls.__mro__:
        if name in vars(owner):
            return None if owner.__module__.partition(".")[0] == "cog" else owner
    return None


class Target:
    """A loaded target: how to set it up, the function to call, and its signature."""

    def __init__(self, name: str, mode: str, instance: Any, function: Callable[..., Any], signature: Signature) -> None:
        self.name = name
        self.mode = mode
        self.instance = instance
        self.function = function
        self.signature = signature

    @property
    def setup(self) -> Any:
        """The setup method, or None."""
        return getattr(self.instance, "setup", None)

    @property
    def healthcheck(self) -> Any:
        """The health check method, or None."""
        return getattr(self.instance, "healthcheck", None)


def load_target(reference: str, mode: str = "predict") -> Target:
    """Import the file of `file.py:Name` and make the target. Errors: `LoadError`, and what the file raises."""
    found, name = _imported(reference, mode)
    return _target(found, name, mode)


def load_signature(reference: str, mode: str = "predict") -> Signature:
    """The signature of a target. Its class is not instantiated, which may need what only a running model has.

    Errors: `LoadError`, and what the file raises.
    """
    found, name = _imported(reference, mode)
    if not isinstance(found, type):
        return _target(found, name, mode).signature
    method = _method(found, mode)
    try:
        function = _bound(found, method)
    except Exception:  # a descriptor that needs an instance
        return _target(found, name, mode).signature
    return _signature(function, mode, found, method)


def _bound(cls: type, method: str) -> Any:
    """A method as an instance would have it, without an instance."""
    import inspect

    raw = inspect.getattr_static(cls, method)
    get = getattr(type(raw), "__get__", None)
    return get(raw, object.__new__(object), cls) if get is not None else raw


def _imported(reference: str, mode: str) -> tuple[Any, str]:
    """The class or function behind a reference, and its name."""
    path, _, name = reference.rpartition(":") if not reference.endswith(".py") else (reference, "", "")
    if not path.endswith(".py"):
        raise LoadError("invalid %s reference %r: it must look like file.py:Name" % (mode, reference))
    found = _named(_load_module(path), path, name, mode)
    return found, name or getattr(found, "__name__", "")


def _load_module(path: str) -> ModuleType:
    import importlib.util

    full = os.path.abspath(path)
    if not os.path.isfile(full):
        raise MissingFile("%r does not exist" % path)
    for position, folder in enumerate((os.getcwd(), os.path.dirname(full))):
        if folder not in sys.path:
            sys.path.insert(position, folder)
    stem = os.path.splitext(os.path.basename(full))[0]
    # A file called like a module that is in use already, such as `types.py`, must not take its place.
    stem = "cog_target_" + stem if stem in sys.modules else stem
    spec = importlib.util.spec_from_file_location(stem, full)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[stem] = module
    arguments = sys.argv
    sys.argv = arguments[:1]
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(stem, None)
        raise
    finally:
        sys.argv = arguments
    return module


def _named(module: ModuleType, path: str, name: str, mode: str) -> Any:
    names = (name,) if name else ("Runner", "Predictor") if mode == "predict" else ("Trainer", "train")
    for candidate in names:
        found = getattr(module, candidate, None)
        # `from cog import *` brings names of ours, none of which is a model.
        if found is not None and getattr(found, "__module__", "").partition(".")[0] != "cog":
            return found
    noun = "predictor" if mode == "predict" else "trainer"
    raise LoadError("%s not found: %s is not defined in %s" % (noun, " or ".join(names), path))


def _target(found: Any, name: str, mode: str) -> Target:
    if isinstance(found, type):
        method: str | None = _method(found, mode)
        instance = found()
        function, owner = getattr(instance, method or ""), found
    elif callable(found):
        instance, function, owner, method = None, found, None, None
    else:
        raise LoadError("%s is neither a class nor a function" % name)
    return Target(name, mode, instance, function, _signature(function, mode, owner, method))


def _signature(function: Any, mode: str, owner: type | None, method: str | None) -> Signature:
    from .signature import read_signature

    try:
        return read_signature(function, mode, owner, method)
    except (TypeError, ValueError) as error:
        raise LoadError(str(error)) from error


def _method(cls: type, mode: str) -> str:
    names = [name for name in _METHODS[mode] if _defined(cls, name) is not None]
    if len(names) > 1:
        raise LoadError("%s must define either run() or predict(), not both" % cls.__name__)
    if not names:
        raise LoadError("%s method not found: %s" % (" or ".join(reversed(_METHODS[mode])), cls.__name__))
    return names[0]


def setup_arguments(setup: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of `setup`: its weights, when it takes any. Errors: `ValueError`, `OSError`."""
    import inspect

    parameters = inspect.signature(setup).parameters
    if "weights" not in parameters:
        return {}
    return {"weights": _weights(_weight_kinds(parameters["weights"].annotation, setup))}


def _weight_kinds(annotation: Any, setup: Any) -> set[str]:
    """Which of `File`, `Path` and `str` an annotation allows."""
    import inspect

    from .kinds import ANY, FILE, PATH, STR, OptionalOf, UnionOf
    from .reading import Reader, namespace

    if annotation is inspect.Parameter.empty:
        return {"Path", "str"}
    plain = inspect.unwrap(setup)
    owner = type(getattr(setup, "__self__", None))
    type_ = Reader("field", "weights", namespace(plain, owner)).read(annotation)
    type_ = type_.item if isinstance(type_, OptionalOf) else type_
    members = type_.members if isinstance(type_, UnionOf) else (type_,)
    kinds = {name for kind, name in ((FILE, "File"), (PATH, "Path"), (STR, "str")) if kind in members}
    if ANY in members:
        return {"Path", "str"}
    if not kinds:
        message = "setup() has an argument 'weights' of type %s; it must be cog.File, cog.Path or str"
        raise ValueError(message % getattr(annotation, "__name__", annotation))
    return kinds


def _weights(kinds: set[str]) -> Any:
    from .files import fetch, is_url
    from .types import File, Path

    given = os.environ.get("COG_WEIGHTS")
    if given:
        if "File" in kinds:
            return File.open(given)
        if "Path" in kinds and is_url(given):
            return Path(fetch(given))
        return given if "str" in kinds else Path(given)
    if not os.path.exists("weights"):
        return None
    if "File" in kinds:
        return open("weights", "rb")
    return Path("weights") if "Path" in kinds else "weights"


def read_targets() -> dict[str, str]:
    """The targets by mode, from the environment or from cog.yaml. Errors: `ConfigDoesNotExist`."""
    variables = {"predict": "COG_PREDICT_TYPE_STUB", "train": "COG_TRAIN_TYPE_STUB"}
    found = {mode: os.environ[name] for mode, name in variables.items() if os.environ.get(name)}
    if found:
        return found
    for path in ("/src/cog.yaml", "cog.yaml"):
        if os.path.isfile(path):
            with open(path, encoding="utf-8") as file:
                return _targets_in(file.read())
    from .errors import ConfigDoesNotExist

    raise ConfigDoesNotExist("there is no cog.yaml, and COG_PREDICT_TYPE_STUB is not set")


def _targets_in(text: str) -> dict[str, str]:
    """The targets in the text of a cog.yaml: top-level `predict`, `run` and `train`, each on one line."""
    import re

    found: dict[str, str] = {}
    for key, value in re.findall(
        r"""^(predict|run|train)\s*:[ \t]+["']?([^"'#\r\n]+?)["']?[ \t]*(?:#.*)?$""", text, re.M
    ):
        found.setdefault("train" if key == "train" else "predict", value)
    return found
