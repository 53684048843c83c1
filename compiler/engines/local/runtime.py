"""What all projects share on this machine: the HTTP server's own environment, and the runtime's code.

Both are in the user's cache directory, made once: the environment per Python that cogc runs on (the model's own may be
another one: the server and the model are two processes), the code per version of the runtime.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..._data import runtime_files
from ...diagnostics import report
from ...disk import describe, user_cache_directory
from .. import EngineFailure, Reporter
from .packages import Installer
from .python import own_python
from .store import Lease, Store

__all__ = ["SharedRuntime", "has_python", "not_made"]

# Folder of the bundled runtime → its place: the SDK has a folder of its own, which is put on the model's path.
_PLACES = {"cog": "sdk/cog", "cog_server": "cog_server"}


class SharedRuntime:
    """Finds or makes both. What was handed out stays in use until this process ends."""

    def __init__(self, uv: str | None, environment: Mapping[str, str], reporter: Reporter) -> None:
        self._uv = uv
        self._environment = environment
        self._reporter = reporter
        self._leases: list[Lease] = []

    def server_python(self) -> str:
        """The interpreter that has the server's packages; $COGC_SERVER_PYTHON names another. Error: COG704."""
        configured = os.environ.get("COGC_SERVER_PYTHON")
        if configured:
            return configured
        interpreter = own_python()
        files = dict(runtime_files())
        pins = files.get(f"requirements/server-py{interpreter.minor.replace('.', '')}.txt")
        content = pins if pins is not None else files["requirements/server.in"]

        def make(folder: Path) -> Mapping[str, Any]:
            self._reporter.notice(f"Installing the HTTP server, once for all projects, in {folder}...")
            installer = Installer(uv=self._uv, environment=self._environment, reporter=self._reporter)
            installer.make(folder, interpreter)
            installer.install_pinned(folder, content, has_hashes=pins is not None)
            return {"python": interpreter.version_text}

        recipe = {"interpreter": interpreter.path, "version": interpreter.version_text, "pins": _digest([content])}
        return str(self._shared("server", recipe, make, has_python) / "bin" / "python")

    def sdk(self) -> str:
        """The folder to put on the model's path: the SDK and nothing else; the server's code is beside it."""
        files = [
            (f"{_PLACES[top]}/{path.partition('/')[2]}", content)
            for path, content in runtime_files()
            if (top := path.partition("/")[0]) in _PLACES
        ]

        def make(folder: Path) -> Mapping[str, Any]:
            for path, content in files:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
            return {}

        recipe = {"files": _digest(part for path, content in files for part in (path.encode(), content))}
        return str(self._shared("runtime", recipe, make, lambda folder, _: (folder / "sdk").is_dir()) / "sdk")

    def _shared(
        self,
        name: str,
        recipe: Mapping[str, Any],
        make: Callable[[Path], Mapping[str, Any]],
        is_usable: Callable[[Path, Mapping[str, Any]], bool],
    ) -> Path:
        cache = user_cache_directory()
        if cache is None:
            hint = "set XDG_CACHE_HOME to a directory that can be written"
            raise EngineFailure(report("COG704", "there is no cache directory to keep the HTTP server in", hint=hint))
        directory = Path(cache) / name
        try:
            lease = Store(directory).lease(recipe, make, is_usable=is_usable, on_wait=self._wait)
        except OSError as error:
            raise not_made(error, directory) from error
        self._leases.append(lease)
        return lease.folder

    def _wait(self) -> None:
        self._reporter.notice("Waiting for another cogc that installs the HTTP server...")


def has_python(folder: Path, _: Mapping[str, Any]) -> bool:
    """Whether the environment's interpreter is still there: it is a link to one of the machine."""
    return os.access(folder / "bin" / "python", os.X_OK)


def not_made(error: OSError, directory: Path) -> EngineFailure:
    """COG704 for what the file system refuses."""
    place = error.filename if isinstance(error.filename, str) else directory
    reason = "cannot be written: no space left on the device" if error.errno == 28 else describe(error)
    return EngineFailure(report("COG704", f"{place} {reason.replace('accessed', 'written')}"))


def _digest(parts: Any) -> str:
    digest = sha256()
    for part in parts:
        digest.update(f"{len(part)}:".encode() + part)
    return digest.hexdigest()
