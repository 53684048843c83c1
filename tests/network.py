"""Networks that do not answer for a moment: what such a failure says, and commands that are tried again."""

from __future__ import annotations

import base64
import re
import subprocess
import time
from collections.abc import Callable

# What uv, pip and apt, git, and the engine say when no server answers for a name.
NO_NAMES = (
    "failed to lookup address|Temporary failure (?:in name )?resol|[Cc]ould not resolve|no such host|server misbehaving"
)
PAUSE_SECONDS = 10.0
TRIES = 3

_DATA = re.compile(rb'"data":"([A-Za-z0-9+/=]+)"')


def patiently(run: Callable[[], subprocess.CompletedProcess[bytes]]) -> subprocess.CompletedProcess[bytes]:
    """Run a command again, up to `TRIES` times, when it failed for want of an answer to a name."""
    for _ in range(TRIES - 1):
        process = run()
        if not process.returncode or not _has_no_names(process.stderr):
            return process
        time.sleep(PAUSE_SECONDS)
    return run()


def _has_no_names(log: bytes) -> bool:
    """Whether a log tells of it, also one that `--progress=rawjson` has put into base64."""
    shown = b"".join(base64.b64decode(data) for data in _DATA.findall(log))
    return re.search(NO_NAMES.encode(), log + shown) is not None
