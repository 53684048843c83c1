"""The program of the frontend's image, as the daemon starts it."""

from __future__ import annotations

import subprocess
import sys


def test_it_speaks_before_the_compiler_is_imported() -> None:
    """The daemon waits no longer than ten seconds, which a slow machine may take to import everything."""
    code = (
        "import sys, cogc.engines.buildkit.frontend_program; print(*(n for n in sys.modules if n.startswith('cogc.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cogc.engines.buildkit.grpc" in done.stdout.split()
    assert {"cogc.driver", "cogc.engines.buildkit.frontend"}.isdisjoint(done.stdout.split())


def test_it_speaks_first_and_ends_with_the_connection() -> None:
    words = [sys.executable, "-m", "cogc.engines.buildkit.frontend_program"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(14) == b"PRI * HTTP/2.0"
        process.communicate(timeout=60)
        assert process.returncode == 1
