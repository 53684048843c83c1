"""What a virtual environment on this machine does not give to a model, although cog.yaml asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic, Note, report
from ...driver import Compilation
from ...source import Span
from .python import Interpreter, is_wanted

__all__ = ["differences"]


def differences(compilation: Compilation, interpreter: Interpreter) -> tuple[Diagnostic, ...]:
    """Warnings: COG700 for another Python, COG701 for everything else, in one."""
    return (*_python(compilation, interpreter), *_not_done(compilation))


def _python(compilation: Compilation, interpreter: Interpreter) -> Iterator[Diagnostic]:
    config, resolved = compilation.config, compilation.resolved
    assert config is not None
    assert resolved is not None
    wanted = resolved.resolution.python
    if is_wanted(interpreter, wanted):
        return
    written = config.build.python_version
    message = f"Python {wanted} is not on this machine; the model runs on Python {interpreter.version_text}"
    hint = f"install Python {wanted}, or uv, which fetches it; --engine docker uses the one of the image"
    yield report("COG700", message, written.span if written else None, hint=hint)


def _not_done(compilation: Compilation) -> Iterator[Diagnostic]:
    missing = list(_missing(compilation))
    if not missing:
        return
    what, span = missing[0]
    if len(missing) > 1:
        what = f"{', '.join(text for text, _ in missing[:-1])} and {missing[-1][0]}"
    notes = [Note(message=f"{text} here", span=place) for text, place in missing[1:] if place is not None]
    hint = "do on this machine what the model needs of it, or use --engine docker"
    yield report("COG701", f"the local engine leaves out {what}", span, notes=notes, hint=hint)


def _missing(compilation: Compilation) -> Iterator[tuple[str, Span | None]]:
    """What is left out, and where it is asked for."""
    config, resolved = compilation.config, compilation.resolved
    assert config is not None
    assert resolved is not None
    build = config.build
    if build.system_packages:
        names = ", ".join(package.value for package in build.system_packages)
        yield f"the system packages ({names})", build.system_packages[0].span
    if build.commands:
        count = len(build.commands)
        yield f"{count} command{'s' if count > 1 else ''} of `build.run`", build.commands[0].span
    if resolved.resolution.cuda_from == "image":
        located = build.cuda or build.cudnn or build.gpu
        yield f"CUDA {resolved.resolution.cuda} of the base image", located.span if located else None
    if build.user is not None:
        yield f"the user `{build.user.value}`", build.user.span
