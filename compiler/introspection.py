"""The schema of a model by importing it, in an interpreter and a process of its own.

Comes in: the project's folder, its configuration, an interpreter. Goes out: the OpenAPI document, or COG440 with the
end of the model's traceback. The interpreter needs the model's packages; of ours it gets the SDK alone, as files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ._data import runtime_files
from .diagnostics import Diagnostic, Note, report
from .disk import describe
from .frontend.config import Config
from .source import Span

__all__ = ["current_python", "import_schema"]

# The SDK ends an import that takes too long; this is for an interpreter that does not get as far.
_SPARE_SECONDS = 20
_TRACEBACK_LINES = 12
_STUBS = {"predict": "COG_PREDICT_TYPE_STUB", "train": "COG_TRAIN_TYPE_STUB"}


def current_python() -> str:
    """The interpreter of the environment that is active: a virtual or conda one, else the first on PATH."""
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        path = os.path.join(os.environ.get(name, ""), "bin", "python")
        if os.environ.get(name) and os.access(path, os.X_OK):
            return path
    return shutil.which("python3") or sys.executable


def import_schema(
    root: Path, config: Config, python: str, time_limit_seconds: float
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """Compact JSON of the document. Errors: COG440, COG503 for an interpreter that cannot be started.

    What the model prints is dropped, or at the end of the finding when the import fails.
    """
    with tempfile.TemporaryDirectory(prefix="cogc-") as folder:
        sdk = Path(folder, "sdk")
        for path, content in runtime_files():
            if path.startswith("cog/"):
                target = sdk / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        outcome = Path(folder, "report.json")
        words = [python, "-m", "cog.command.openapi_schema", "--report", str(outcome)]
        words += ["--time-limit", str(time_limit_seconds)]
        # A file, not a pipe: processes that the model leaves behind may hold it open.
        with Path(folder, "output").open("w+b") as output:
            try:
                status = subprocess.run(
                    words,
                    cwd=root,
                    env=_environment(config, sdk),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=time_limit_seconds + _SPARE_SECONDS,
                ).returncode
            except OSError as error:
                return None, (report("COG503", f"--python {python} {describe(error)}"),)
            except subprocess.TimeoutExpired:
                return None, (_failure(f"it did not end within {time_limit_seconds:g} seconds", python),)
            output.seek(0)
            printed = output.read().decode("utf-8", "replace")
        try:
            found = json.loads(outcome.read_bytes())
        except (OSError, ValueError):
            return None, (_failure(f"{python} ended with the exit code {status}", python, printed),)
    if "document" in found:
        return json.dumps(found["document"], ensure_ascii=False, separators=(",", ":")), ()
    return None, (_reported(found, python),)


def _environment(config: Config, sdk: Path) -> dict[str, str]:
    """The variables of an image, on top of those that are here."""
    variables = {name: value for name, value in os.environ.items() if name not in _STUBS.values()}
    variables |= {variable.name: variable.value for variable in config.environment}
    for target in config.targets:
        variables[_STUBS["train" if target.key == "train" else "predict"]] = target.reference
    paths = [str(sdk), *filter(None, [variables.get("PYTHONPATH")])]
    # The project stays as it is: no bytecode is left in it.
    return {**variables, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}


def _reported(found: dict[str, Any], python: str) -> Diagnostic:
    place = found.get("place")
    span = Span.at_line(place[0], place[1]) if place else None
    if found["kind"] == "model":
        return report("COG440", f"the model is imported, but not accepted: {found['message']}", span)
    return _failure(found["message"], python, found.get("traceback") or "", span)


def _failure(reason: str, python: str, trace: str = "", span: Span | None = None) -> Diagnostic:
    lines = trace.rstrip().splitlines()
    shown = lines if len(lines) <= _TRACEBACK_LINES else ["…", *lines[-_TRACEBACK_LINES:]]
    notes = [Note(message="\n".join(shown))] if shown else []
    hint = None
    if re.match(r"(ModuleNotFound|Import)Error", reason):
        hint = f"install the model's packages for {python}, or name another interpreter with --python"
    return report("COG440", f"the model cannot be imported: {reason}", span, notes=notes, hint=hint)
