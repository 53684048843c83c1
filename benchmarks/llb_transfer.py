"""What it takes to send a build context to BuildKit with cogc's own client: many small files, and one large sparse one.

Run by hand, with a Docker engine or BUILDKIT_HOST:

    python benchmarks/llb_transfer.py [--files 100000] [--gib 5]

Each is sent twice, the second time unchanged. Prints a Markdown table; memory is the peak of this process so far.
The daemon keeps what it was sent in its cache.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import uuid
from pathlib import Path

from cogc.backends.llb.definition import marshal
from cogc.backends.llb.ops import CopyFiles, FileOp, LocalSource, Output, Platform
from cogc.engines.buildkit.address import find_address
from cogc.engines.buildkit.client import Bridge, Export, Result, build
from cogc.engines.buildkit.context_files import ContextDirectory
from cogc.engines.buildkit.grpc import Connection
from cogc.engines.buildkit.session import Offers
from cogc.engines.buildkit.transport import connect, session_opener

PLATFORM = Platform("linux", "amd64")
IN_A_DIRECTORY = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--gib", type=int, default=5)
    arguments = parser.parse_args()
    print("| sent | seconds | of them CPU here | MB | peak memory |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="cogc-benchmark-") as directory:
        large = Path(directory, "large")
        large.mkdir()
        (large / "mark").touch()
        with (large / "weights.bin").open("wb") as file:
            file.truncate(arguments.gib << 30)
        many = Path(directory, "many")
        for number in range(arguments.files):
            folder = many / str(number // IN_A_DIRECTORY)
            if number % IN_A_DIRECTORY == 0:
                folder.mkdir(parents=True)
            (folder / f"{number}.txt").write_text("x")
        (many / "mark").touch()
        for title, root in ((f"{arguments.gib} GiB, sparse", large), (f"{arguments.files:,} files", many)):
            key = uuid.uuid4().hex
            for again in ("", ", unchanged"):
                print(f"| {title}{again} | {sent(root, key)} |", flush=True)


def sent(root: Path, key: str) -> str:
    """Send all of a directory, of which the build then wants next to nothing."""
    source = Output(LocalSource(name="context", part=key))
    mark = FileOp(base=None, actions=(CopyFiles(source, "/mark", "/mark"),), platform=PLATFORM)
    directory = ContextDirectory(root)
    address = find_address(None)
    connection = Connection(connect(address))

    def frontend(bridge: Bridge) -> Result:
        return Result(((PLATFORM, bridge.solve(marshal(Output(mark), PLATFORM), evaluates=True), {}),))

    started, used = time.monotonic(), time.process_time()
    try:
        offers = Offers(directories={"context": directory}, shared_key=key)
        build(connection, offers, Export(), frontend, lambda document: None, session_opener(address))
    finally:
        connection.close()
    seconds, cpu = time.monotonic() - started, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return f"{seconds:.1f} s | {cpu:.1f} s | {directory.sent_bytes / 1e6:.0f} | {peak} MB"


if __name__ == "__main__":
    main()
