"""Which version of the project is built, for labels: from the variables of GitHub's pipelines, else from git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["revision_labels"]

_LIMIT_SECONDS = 3.0


def revision_labels(root: Path) -> tuple[tuple[str, str], ...]:
    """The labels `org.opencontainers.image.revision` and `.version`, as far as they are known."""
    revision = os.environ.get("GITHUB_SHA") or _git(root, "rev-parse", "HEAD")
    version = os.environ.get("GITHUB_REF_NAME") or _git(root, "describe", "--tags", "--dirty")
    labels = {"org.opencontainers.image.revision": revision, "org.opencontainers.image.version": version}
    return tuple((name, value) for name, value in labels.items() if value)


def _git(root: Path, *words: str) -> str:
    """What git prints; nothing where there is no git, no repository, no commit, or no answer in time."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words],
            capture_output=True,
            timeout=_LIMIT_SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""
