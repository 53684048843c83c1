"""How fast is the server? The same model behind ours and behind cog's, in turns, on one machine.

    python benchmarks/http.py --ours PYTHON [--sdk runtime] --peer PYTHON [--rounds N] [--only NAME]

`--ours` is an interpreter with the server's libraries; the model runs in it too. `--peer` is an interpreter of an
environment where cog is installed (pip install cog==0.23.1). Prints a table of medians over rounds, and ratios.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import selectors
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL = """
import os, sys, tempfile
from typing import Iterator
from cog import BasePredictor, Input, Path

class Echo(BasePredictor):
    def predict(self, s: str) -> str:
        return "hello " + s

class Tokens(BasePredictor):
    def predict(self, n: int) -> Iterator[str]:
        for i in range(n):
            yield "token"

class Lines(BasePredictor):
    def predict(self, n: int) -> int:
        for i in range(n):
            print("a line of the log, number", i)
        return n

class Size(BasePredictor):
    def predict(self, file: Path) -> int:
        return os.path.getsize(file)

class MakeFile(BasePredictor):
    def predict(self, n: int) -> Path:
        path = Path(tempfile.mkdtemp()) / "out.bin"
        path.write_bytes(b"x" * n)
        return path
"""
ASYNC_MODEL = """
from cog import BasePredictor

class Echo(BasePredictor):
    async def predict(self, s: str) -> str:
        return "hello " + s
"""
STREAM_MODEL = """
import cog
from cog import BasePredictor
from typing import Iterator

class Tokens(BasePredictor):
    @cog.streaming
    def predict(self, n: int) -> Iterator[str]:
        for i in range(n):
            yield "token"
"""
MEGABYTES = 10


class Connection:
    """A keep-alive connection that reads answers with Content-Length or chunks."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send one request; the status and body of its answer."""
        self.socket.sendall(request)
        parts = [self.socket.recv(1 << 20)]
        while b"\r\n\r\n" not in parts[-1]:
            parts = [b"".join(parts) + self.socket.recv(1 << 20)]
        head, _, body = parts[0].partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        chunks, size = [body], len(body)
        while size < length:
            chunks.append(self.socket.recv(1 << 20))
            if not chunks[-1]:
                raise ConnectionError("closed early")
            size += len(chunks[-1])
        return int(head[9:12]), b"".join(chunks)


def post(document: object, headers: str = "") -> bytes:
    body = json.dumps(document).encode()
    head = f"POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return (head + headers + "\r\n").encode() + body


@contextmanager
def server(python: str, sdk: str | None, model: str, name: str, slots: int = 1) -> Iterator[tuple[int, float, int]]:
    """(port, seconds until READY, process id)."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        Path(folder, "predict.py").write_text(model)
        Path(folder, "cog.yaml").write_text(
            f'build:\n  python_version: "3.11"\nconcurrency:\n  max: {slots}\npredict: "predict.py:{name}"\n'
        )
        environment = {**os.environ, "PORT": str(port), "COG_LOG_LEVEL": "error", "RUST_LOG": "error"}
        environment["COG_PREDICT_TYPE_STUB"] = f"predict.py:{name}"
        environment.pop("PYTHONPATH", None)
        # The peer starts its worker with the first `python` on PATH.
        environment["PATH"] = os.path.dirname(python) + os.pathsep + environment.get("PATH", "")
        if slots > 1:
            environment["COG_MAX_CONCURRENCY"] = str(slots)
        if sdk is not None:
            environment |= {"PYTHONPATH": sdk, "COGC_SERVER_PYTHON": python}
        begun = time.perf_counter()
        command = [python, "-m", "cog.server.http", "--host", "127.0.0.1"]
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            wait_ready(port)
            yield port, time.perf_counter() - begun, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_ready(port: int) -> None:
    for _ in range(3000):
        try:
            _, body = Connection(port).ask(b"GET /health-check HTTP/1.1\r\nHost: x\r\n\r\n")
            if json.loads(body)["status"] == "READY":
                return
        except (OSError, IndexError, StopIteration):
            pass
        time.sleep(0.005)
    raise TimeoutError("not READY")


def sequential(port: int, seconds: float) -> dict[str, float]:
    connection = Connection(port)
    request = post({"input": {"s": "x"}})
    times, refused = [], 0
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        status, _ = connection.ask(request)
        if status == 200:
            times.append(time.perf_counter() - begun)
        else:
            refused += 1
    times.sort()
    return {
        "one client, answered/s": len(times) / seconds,
        "one client, p50 ms": 1000 * times[len(times) // 2],
        "one client, p99 ms": 1000 * times[len(times) * 99 // 100],
        "one client, refused %": 100 * refused / (refused + len(times)),
    }


def is_complete(answer: bytearray) -> bool:
    """Whether the whole body is there."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = answer.lower().find(b"content-length:")
    length = int(answer[at + 15 : answer.index(b"\r", at)])
    return len(answer) >= end + 4 + length


def parallel(port: int, seconds: float, request: bytes, clients: int = 16) -> tuple[float, float]:
    """(answered per second, refused in percent), by one thread that watches all connections."""
    selector = selectors.DefaultSelector()
    for _ in range(clients):
        connection = Connection(port).socket
        connection.sendall(request)
        selector.register(connection, selectors.EVENT_READ, bytearray())
    good = bad = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(1):
            buffer = key.data
            buffer += key.fileobj.recv(65536)  # type: ignore[union-attr]
            if not is_complete(buffer):
                continue
            if buffer[9:12] == b"200":
                good += 1
            else:
                bad += 1
            buffer.clear()
            key.fileobj.sendall(request)  # type: ignore[union-attr]
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    selector.close()
    return good / seconds, 100 * bad / max(good + bad, 1)


def timed(port: int, request: bytes) -> float:
    connection = Connection(port)
    begun = time.perf_counter()
    status, body = connection.ask(request)
    if status != 200 or json.loads(body)["status"] != "succeeded":
        raise RuntimeError(body[:300])
    return time.perf_counter() - begun


def stream(port: int, count: int) -> tuple[float, float]:
    """(tokens per second, milliseconds until the first) by server-sent events."""
    connection = Connection(port).socket
    begun = time.perf_counter()
    connection.sendall(post({"input": {"n": count}}, "Accept: text/event-stream\r\n"))
    data, first = b"", 0.0
    while b"completed" not in data[-4096 * 64 :]:
        chunk = connection.recv(1 << 20)
        if not chunk:
            break
        data += chunk
        if not first and b"event: output" in data:
            first = time.perf_counter() - begun
    seconds = time.perf_counter() - begun
    if data.count(b"event: output") != count:
        return 0.0, 1000 * first
    return count / seconds, 1000 * first


def memory(pid: int) -> float:
    """Resident megabytes of a process and its descendants."""
    total, todo = 0, [pid]
    while todo:
        current = todo.pop()
        try:
            pages = int(Path(f"/proc/{current}/statm").read_text().split()[1])
            for task in Path(f"/proc/{current}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
        except (OSError, IndexError):
            continue
        total += pages * 4096
    return total / 1e6


def measure(python: str, sdk: str | None, only: str | None) -> dict[str, float]:
    """All measures of one round, by name."""
    result: dict[str, float] = {}

    def part(name: str, run: Callable[[], None]) -> None:
        if only is None or only == name:
            try:
                run()
            except (OSError, RuntimeError, TimeoutError, StopIteration) as error:
                print(f"  {name}: {error!r}"[:200])

    def small() -> None:
        with server(python, sdk, MODEL, "Echo") as (port, seconds, pid):
            result["start to READY, s"] = seconds
            time.sleep(0.3)
            result["idle memory, MB"] = memory(pid)
            sequential(port, 0.3)
            result.update(sequential(port, 2.0))
            rate, _ = parallel(port, 1.0, b"GET /health-check HTTP/1.1\r\nHost: x\r\n\r\n")
            result["health check, 16 clients, requests/s"] = rate

    def slots() -> None:
        with server(python, sdk, ASYNC_MODEL, "Echo", slots=16) as (port, _, _):
            request = post({"input": {"s": "x"}})
            parallel(port, 0.3, request)
            rate, refused = parallel(port, 2.0, request)
            result["16 slots, 16 clients, answered/s"] = rate
            result["16 slots, 16 clients, refused %"] = refused

    def files() -> None:
        url = "data:application/octet-stream;base64," + base64.b64encode(os.urandom(MEGABYTES << 20)).decode()
        with server(python, sdk, MODEL, "Size") as (port, _, _):
            result["10 MB data URL in, s"] = min(timed(port, post({"input": {"file": url}})) for _ in range(3))
        with server(python, sdk, MODEL, "MakeFile") as (port, _, _):
            result["10 MB file out, s"] = min(timed(port, post({"input": {"n": MEGABYTES << 20}})) for _ in range(3))

    def tokens() -> None:
        with server(python, sdk, MODEL, "Tokens") as (port, _, _):
            request = post({"input": {"n": 10000}})
            result["10,000 tokens, plain, tokens/s"] = 10000 / min(timed(port, request) for _ in range(3))
        with server(python, sdk, STREAM_MODEL, "Tokens") as (port, _, _):
            runs = [stream(port, 10000) for _ in range(3)]
            result["10,000 tokens, events, tokens/s"] = max(rate for rate, _ in runs)
            result["10,000 tokens, events, first ms"] = min(first for _, first in runs)

    def lines() -> None:
        with server(python, sdk, MODEL, "Lines") as (port, _, _):
            result["100,000 log lines, s"] = min(timed(port, post({"input": {"n": 100000}})) for _ in range(2))

    for name, run in (("small", small), ("slots", slots), ("files", files), ("tokens", tokens), ("lines", lines)):
        part(name, run)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--sdk", default=str(Path(__file__).resolve().parent.parent / "runtime"))
    parser.add_argument("--peer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only")
    options = parser.parse_args()
    ours: list[dict[str, float]] = []
    peers: list[dict[str, float]] = []
    for _ in range(options.rounds):
        ours.append(measure(options.ours, options.sdk, options.only))
        if options.peer:
            peers.append(measure(options.peer, None, options.only))
    print(f"| measure | ours | {'peer | ours / peer |' if peers else ''}\n|---|--:|{'--:|--:|' if peers else ''}")
    for name in ours[0]:
        mine = statistics.median(row[name] for row in ours if name in row)
        line = f"| {name} | {mine:,.2f} |"
        if peers and name in peers[0]:
            theirs = statistics.median(row[name] for row in peers if name in row)
            line += f" {theirs:,.2f} | {mine / theirs:.2f} |" if theirs else f" {theirs:,.2f} | |"
        print(line)


if __name__ == "__main__":
    main()
