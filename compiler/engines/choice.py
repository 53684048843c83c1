"""Which engine: the one that is named, or docker where it answers, else this machine."""

from __future__ import annotations

from importlib import import_module

from . import Engine, EngineFailure, Reporter

__all__ = ["ENGINES", "choose_engine"]

# In the order in which they are tried; the modules are imported when chosen.
ENGINES = ("docker", "local")


def choose_engine(name: str, reporter: Reporter, *, allows_local: bool = True) -> Engine:
    """The engine called `name`; for `auto` the first that answers, and a notice where that is not the first.

    Without `allows_local` the command makes no sense without containers. Errors: those of the engine's `connect`.
    """
    if name != "auto":
        return _connect(name, reporter)
    try:
        return _connect("docker", reporter)
    except EngineFailure as failure:
        if not allows_local:
            raise
        reporter.notice(f"{_sentence(failure)} The model runs on this machine, without a container (--engine local).")
        return _connect("local", reporter)


def _connect(name: str, reporter: Reporter) -> Engine:
    engine: Engine = import_module(f".{name}.engine", __package__).connect(reporter)
    return engine


def _sentence(failure: EngineFailure) -> str:
    """What failed, with the capital and the end of a sentence."""
    text = str(failure)
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "?", "!")) else ".")
