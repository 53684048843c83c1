"""Whether many builds in a row leave anything behind in cogc's own client of BuildKit.

Run by hand, with a Docker engine or BUILDKIT_HOST:

    python benchmarks/llb_solves.py [--solves 1000] [--connections 10]

Each build sends a small context and asks for another result, so that the daemon has to solve it. The builds are spread
over some connections, one after the other. Prints a Markdown table of threads, open descriptors and memory on the way;
exit status 1 when there are more threads or descriptors, or over 10 MB more memory, at the end than after the first
tenth.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

from cogc.backends.llb.definition import Definition, marshal
from cogc.backends.llb.ops import CopyFiles, FileOp, LocalSource, Output, Platform
from cogc.engines.buildkit.address import find_address
from cogc.engines.buildkit.client import Bridge, Export, Result, build
from cogc.engines.buildkit.context_files import ContextDirectory
from cogc.engines.buildkit.grpc import Connection
from cogc.engines.buildkit.session import Offers
from cogc.engines.buildkit.transport import connect

PLATFORM = Platform("linux", "amd64")
GROWTH_MB = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solves", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=10)
    arguments = parser.parse_args()
    each = max(1, arguments.solves // arguments.connections)
    print("| builds | seconds | threads | descriptors | memory |")
    print("| --- | --- | --- | --- | --- |")
    figures = []
    with tempfile.TemporaryDirectory(prefix="cogc-benchmark-") as directory:
        for number in range(arguments.connections):
            started = time.monotonic()
            solve_in_a_row(Path(directory), each)
            threads, descriptors, megabytes = held()
            figures.append((threads, descriptors, megabytes))
            seconds = time.monotonic() - started
            row = f"{(number + 1) * each} | {seconds:.1f} s | {threads} | {descriptors} | {megabytes:.1f} MB"
            print(f"| {row} |", flush=True)
    first, last = figures[0], figures[-1]
    return int(last[0] > first[0] or last[1] > first[1] or last[2] > first[2] + GROWTH_MB)


def solve_in_a_row(root: Path, count: int) -> None:
    """Build on one connection; each result has a file of its own."""
    connection = Connection(connect(find_address(None)))
    try:
        for _ in range(count):
            key = uuid.uuid4().hex
            (root / "mark").write_text(key)
            source = Output(LocalSource(name="context", part=key))
            mark = FileOp(base=None, actions=(CopyFiles(source, "/mark", f"/{key}"),), platform=PLATFORM)
            definition = marshal(Output(mark), PLATFORM)

            def frontend(bridge: Bridge, definition: Definition = definition) -> Result:
                return Result(((PLATFORM, bridge.solve(definition, evaluates=True), {}),))

            offers = Offers(directories={"context": ContextDirectory(root)}, shared_key=str(root))
            build(connection, offers, Export(), frontend, lambda document: None)
    finally:
        connection.close()


def held() -> tuple[int, int, float]:
    """(threads, open descriptors, resident megabytes) of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return threading.active_count(), len(os.listdir("/proc/self/fd")), pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
