"""The program of the image that `# syntax=IMAGE` in a cog.yaml names: a frontend of BuildKit.

The daemon starts it with gRPC on its standard streams, and gives it up when it has said nothing for ten seconds. So it
speaks first, and the compiler is imported afterwards.

    docker build -f cog.yaml .
"""

from __future__ import annotations

import os
import sys

from .grpc import Connection

__all__ = ["main"]


class _StandardStreams:
    """The streams on which the daemon speaks. What else is printed must not get between."""

    def __init__(self) -> None:
        self._in, self._out = os.dup(0), os.dup(1)
        os.dup2(2, 1)

    def recv(self, size: int, /) -> bytes:
        return os.read(self._in, size)

    def sendall(self, data: bytes, /) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._out, rest) :]

    def close(self) -> None:
        """The daemon closes them."""


def main() -> int:
    """Serve one build, and give the exit code."""
    connection = Connection(_StandardStreams())
    from .frontend import serve

    return serve(connection, os.environ)


if __name__ == "__main__":
    sys.exit(main())
