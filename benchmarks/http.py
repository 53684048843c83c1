"""How fast is the server? The same models behind ours and behind cog's, in turns, on one machine.

    python3 -m venv /tmp/ours && /tmp/ours/bin/pip install --require-hashes -r runtime/requirements/server-py311.txt
    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install cog==0.23.1
    python benchmarks/http.py --ours /tmp/ours/bin/python --peer /tmp/peer/bin/python [--rounds 20] [--only NAME ...]

Both environments should have the same Python, built with optimisations, as that of the images is. The model runs in
`--ours` too. Both servers of a measure are up at the same time and get short turns one after the other; the table has
the medians of the turns, and the median of the ratios of neighbouring turns with its 10th and 90th percentile: what
else the machine does meets both alike. A ratio is how many times better ours is. The whole takes about 10 minutes, with
100,000 requests that must not be refused; names for `--only`: start, one, sixteen, refusals, events, lines, files.
With `--first` (root) it is scheduled before what else the machine has to do, with breaks.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
MODEL = """
import os, sys, tempfile
from typing import Iterator
import cog
from cog import BasePredictor, Input, Path

class Echo(BasePredictor):
    def predict(self, s: str) -> str:
        return "hello " + s

class AsyncEcho(BasePredictor):
    async def predict(self, s: str) -> str:
        return "hello " + s

class Tokens(BasePredictor):
    @cog.streaming
    def predict(self, n: int) -> Iterator[str]:
        for i in range(n):
            yield "token"

class Lines(BasePredictor):
    def predict(self, n: int) -> int:
        for i in range(n):
            print("a line of the log, number", i)
        return n

class AsyncLines(BasePredictor):
    async def predict(self, n: int) -> int:
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
SLICE_SECONDS = 0.25
READ_BYTES = 64 * 1024
CLIENTS = 16
TOKENS, LINES, MEGABYTES, REQUESTS = 10_000, 100_000, 10, 100_000


@dataclass(frozen=True)
class Measure:
    """One row of the table. `target`: how many times better ours must be; `is_time`: less is better."""

    name: str
    unit: str
    target: float | None = None
    is_time: bool = False
    digits: int = 0
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)

    def ratios(self) -> list[float]:
        """How many times better ours was, turn by turn, sorted."""
        pairs = zip(self.ours, self.peer, strict=True)
        return sorted((b / a if self.is_time else a / b) if a and b else float("nan") for a, b in pairs)


@dataclass(frozen=True)
class Contestant:
    """`sdk` is the path of our runtime, None for the peer."""

    python: str
    sdk: str | None


class Connection:
    """A keep-alive connection that reads answers with a Content-Length."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Send one request; the status and body of its answer."""
        self.socket.sendall(request)
        answer = self.socket.recv(READ_BYTES)
        while (missing := missing_bytes(answer)) > 0:
            answer = answer + self.socket.recv(READ_BYTES) if missing == 1 else self._rest(answer, missing)
        return answer[9:12], answer[answer.index(b"\r\n\r\n") + 4 :]

    def _rest(self, answer: bytes, missing: int) -> bytes:
        chunks = [answer]
        while missing > 0:
            chunks.append(self.socket.recv(1 << 20))
            missing -= len(chunks[-1])
        return b"".join(chunks)


def missing_bytes(answer: bytes) -> int:
    """How many bytes of an answer have still to come; 1 while that is not known."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return 1
    at = answer.find(b"content-length:", 0, end)
    if at < 0:
        at = answer.lower().index(b"content-length:", 0, end)
    return int(answer[at + 15 : answer.index(b"\r", at)]) + end + 4 - len(answer)


def post(document: object, headers: str = "") -> bytes:
    body = json.dumps(document).encode()
    head = f"POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return (head + headers + "\r\n").encode() + body


HEALTH = b"GET /health-check HTTP/1.1\r\nHost: x\r\n\r\n"
ECHO = post({"input": {"s": "x"}})


@contextlib.contextmanager
def server(contestant: Contestant, name: str, slots: int = 1) -> Iterator[tuple[int, float, int]]:
    """(port, seconds until READY, process id)."""
    with tempfile.TemporaryDirectory() as folder:
        environment = prepare(Path(folder), contestant, name, slots)
        begun = time.perf_counter()
        process = subprocess.Popen(
            [contestant.python, "-m", "cog.server.http", "--host", "127.0.0.1"],
            cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        port = int(environment["PORT"])
        try:
            wait_ready(port)
            yield port, time.perf_counter() - begun, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def prepare(folder: Path, contestant: Contestant, name: str, slots: int) -> dict[str, str]:
    """A project in `folder`, as in an image with its schema; the environment of its server."""
    (folder / "predict.py").write_text(MODEL)
    (folder / "cog.yaml").write_text(
        f'build:\n  python_version: "3.11"\nconcurrency:\n  max: {slots}\npredict: "predict.py:{name}"\n'
    )
    (folder / ".cog").mkdir()
    (folder / ".cog" / "openapi_schema.json").write_bytes(schema(name))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("COG", "PYTHON"))}
    environment = {**kept, "PORT": str(port), "COG_LOG_LEVEL": "error", "RUST_LOG": "error"}
    environment["COG_PREDICT_TYPE_STUB"] = f"predict.py:{name}"
    # The peer starts its worker with the first `python` on PATH.
    environment["PATH"] = os.path.dirname(contestant.python) + os.pathsep + environment.get("PATH", "")
    if slots > 1:
        environment["COG_MAX_CONCURRENCY"] = str(slots)
    if contestant.sdk is not None:
        environment |= {"PYTHONPATH": contestant.sdk, "COGC_SERVER_PYTHON": contestant.python}
    return environment


def schema(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "predict.py").write_text(MODEL)
        environment = {**os.environ, "PYTHONPATH": str(RUNTIME), "COG_PREDICT_TYPE_STUB": f"predict.py:{name}"}
        command = [sys.executable, "-m", "cog.command.openapi_schema"]
        return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True).stdout


def wait_ready(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            _, body = Connection(port).ask(HEALTH)
            if json.loads(body)["status"] == "READY":
                return
        time.sleep(0.002)
    raise TimeoutError("not READY")


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
    return found


# -- what a client does in one turn


def sequential(connection: Connection, seconds: float) -> tuple[list[float], int]:
    """(seconds of each answered request, refused ones)."""
    times, refused = [], 0
    clock = time.perf_counter
    begun = clock()
    end = begun + seconds
    while begun < end:
        status, _ = connection.ask(ECHO)
        now = clock()
        if status == b"200":
            times.append(now - begun)
        else:
            refused += 1
        begun = now
    return sorted(times), refused


def parallel(connections: dict[int, socket.socket], request: bytes, seconds: float) -> tuple[float, int]:
    """(answered per second, refused ones) of clients that each send the next request when they have an answer."""
    poll = select.epoll()
    for number, connection in connections.items():
        poll.register(number, select.EPOLLIN)
        connection.sendall(request)
    answers = dict.fromkeys(connections, b"")
    good = bad = 0
    waiting = len(connections)
    begun = time.perf_counter()
    while waiting:
        for number, _ in poll.poll():
            answers[number] += connections[number].recv(65536)
            if missing_bytes(answers[number]) > 0:
                continue
            good, bad = (good + 1, bad) if answers[number][9:12] == b"200" else (good, bad + 1)
            answers[number] = b""
            if time.perf_counter() - begun < seconds:
                connections[number].sendall(request)
            else:
                waiting -= 1
    poll.close()
    return good / (time.perf_counter() - begun), bad


def timed(connection: Connection, request: bytes) -> float:
    begun = time.perf_counter()
    status, body = connection.ask(request)
    seconds = time.perf_counter() - begun
    if status != b"200" or json.loads(body)["status"] != "succeeded":
        raise RuntimeError(body[:300])
    return seconds


def stream(connection: Connection) -> tuple[float, float]:
    """(tokens per second, milliseconds until the first) by server-sent events."""
    begun = time.perf_counter()
    connection.socket.sendall(post({"input": {"n": TOKENS}}, "Accept: text/event-stream\r\n"))
    data, first = b"", 0.0
    while not data.endswith(b"\r\n0\r\n\r\n"):
        chunk = connection.socket.recv(1 << 20)
        if not chunk:
            break
        data += chunk
        first = first or (time.perf_counter() - begun if b"event: output" in data else 0.0)
    seconds = time.perf_counter() - begun
    if data.count(b"event: output") != TOKENS or b"event: completed" not in data:
        raise RuntimeError("the stream is not complete")
    return TOKENS / seconds, 1000 * first


def memory(pid: int) -> float:
    """Resident megabytes of a process and its descendants."""
    pages = 0
    for process in family(pid):
        with contextlib.suppress(OSError, IndexError):
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# -- the measures: each fills its rows turn by turn


class Bench:
    """All measures; `sides` are ours and the peer's, in that order."""

    def __init__(self, ours: Contestant, peer: Contestant, rounds: int, is_first: bool) -> None:
        self.sides = (ours, peer)
        self.rounds = rounds
        self.is_first = is_first
        self.rows: list[Measure] = []

    def row(self, name: str, unit: str, target: float | None = None, is_time: bool = False, digits: int = 0) -> Measure:
        """A new row of the table."""
        self.rows.append(Measure(name, unit, target, is_time, digits))
        return self.rows[-1]

    @contextlib.contextmanager
    def servers(self, name: str, slots: int = 1) -> Iterator[list[int]]:
        """The ports of both servers."""
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(server(side, name, slots))[0] for side in self.sides]

    def turns(
        self, count: int, ports: list[int], take: Callable[[Connection], tuple[float, ...]], *rows: Measure
    ) -> None:
        """Let both take `count` turns; `take` gives a value for each row."""
        connections = [Connection(port) for port in ports]
        for connection in connections:
            take(connection)
        for _ in range(count):
            for connection, side in zip(connections, ("ours", "peer"), strict=True):
                if self.is_first:
                    time.sleep(SLICE_SECONDS)  # for the others on the machine
                for row, value in zip(rows, take(connection), strict=True):
                    getattr(row, side).append(value)

    def start(self) -> None:
        """From nothing to READY, and the memory when nothing happens."""
        start = self.row("start to READY", "s", 1, is_time=True, digits=2)
        idle = self.row("idle memory, all processes", "MB", 1, is_time=True, digits=1)
        for _ in range(max(self.rounds // 3, 3)):
            for contestant, side in zip(self.sides, ("ours", "peer"), strict=True):
                with server(contestant, "Echo") as (_, seconds, pid):
                    time.sleep(0.5)
                    getattr(start, side).append(seconds)
                    getattr(idle, side).append(memory(pid))

    def one(self) -> None:
        """One client that sends the next request when it has an answer."""
        rate = self.row("one client, answered requests", "1/s", 3)
        middle = self.row("one client, p50", "ms", 3, is_time=True, digits=3)
        tail = self.row("one client, p99", "ms", is_time=True, digits=2)

        def take(connection: Connection) -> tuple[float, ...]:
            times, _ = sequential(connection, SLICE_SECONDS)
            count = len(times)
            return count / SLICE_SECONDS, 1000 * times[count // 2], 1000 * times[count * 99 // 100]

        with self.servers("Echo") as ports:
            self.turns(self.rounds, ports, take, rate, middle, tail)

    def sixteen(self) -> None:
        """As many clients as slots."""
        rate = self.row(f"{CLIENTS} clients, {CLIENTS} async slots, answered requests", "1/s", 5)
        health = self.row(f"{CLIENTS} clients, health checks", "1/s")

        with self.servers("AsyncEcho", CLIENTS) as ports:
            for row, request in ((rate, ECHO), (health, HEALTH)):

                def take(connection: Connection, request: bytes = request) -> tuple[float]:
                    port = connection.socket.getpeername()[1]
                    clients = [Connection(port).socket for _ in range(CLIENTS)]
                    answered, _ = parallel({one.fileno(): one for one in clients}, request, SLICE_SECONDS)
                    for client in clients:
                        client.close()
                    return (answered,)

                self.turns(self.rounds, ports, take, row)

    def refusals(self) -> None:
        """Not in turns: so many requests, one after the other, none of which may be refused."""
        row = self.row(f"refused of {REQUESTS:,} requests of one client", "", is_time=True)
        with self.servers("Echo") as ports:
            for port, side, count in zip(ports, ("ours", "peer"), (REQUESTS, REQUESTS // 10), strict=True):
                connection = Connection(port)
                refused = sum(connection.ask(ECHO)[0] != b"200" for _ in range(count))
                getattr(row, side).append(refused * REQUESTS / count)

    def events(self) -> None:
        """A stream of events."""
        rate = self.row(f"{TOKENS:,} tokens by server-sent events", "1/s", 3)
        first = self.row("first token", "ms", is_time=True, digits=1)
        with self.servers("Tokens") as ports:
            self.turns(max(self.rounds // 2, 3), ports, stream, rate, first)

    def lines(self) -> None:
        """A flood of log lines, also where each has to be told from those of other predictions."""
        request = post({"input": {"n": LINES}})
        for name, slots, model in (("", 1, "Lines"), (f", async with {CLIENTS} slots", CLIENTS, "AsyncLines")):
            row = self.row(f"{LINES:,} log lines{name}", "s", 1, is_time=True, digits=2)
            with self.servers(model, slots) as ports:
                self.turns(max(self.rounds // 2, 3), ports, lambda one: (timed(one, request),), row)

    def files(self) -> None:
        """Files in inputs and outputs."""
        url = "data:application/octet-stream;base64," + base64.b64encode(os.urandom(MEGABYTES << 20)).decode()
        into = self.row(f"{MEGABYTES} MB in, as a data URL", "s", 1, is_time=True, digits=3)
        out = self.row(f"{MEGABYTES} MB out, as a data URL", "s", 1, is_time=True, digits=3)
        for row, name, value in ((into, "Size", {"file": url}), (out, "MakeFile", {"n": MEGABYTES << 20})):
            request = post({"input": value})
            with self.servers(name) as ports:
                self.turns(self.rounds, ports, lambda one, request=request: (timed(one, request),), row)


NAMES = ("start", "one", "sixteen", "refusals", "events", "lines", "files")


def table(rows: list[Measure]) -> str:
    lines = ["| measure | | ours | peer | times better (10–90 %) | target |", "|---|---|--:|--:|--:|--:|"]
    for row in rows:
        ours, peer = (f"{statistics.median(values):,.{row.digits}f}" for values in (row.ours, row.peer))
        ratios = row.ratios()
        tenth = len(ratios) // 10
        ratio = f"{statistics.median(ratios):.2f} ({ratios[tenth]:.2f}–{ratios[-1 - tenth]:.2f})"
        goal = "" if row.target is None else f"{row.target:g}"
        if row.target is not None and statistics.median(ratios) < row.target:
            goal += " missed"
        if not row.unit:  # a count that must be nothing
            ratio, goal = "", "0" if sum(row.ours) == 0 else "0 missed"
        lines.append(f"| {row.name} | {row.unit} | {ours} | {peer} | {ratio} | {goal} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True, help="interpreter with the server's libraries")
    parser.add_argument("--peer", required=True, help="interpreter of an environment with cog")
    parser.add_argument("--sdk", default=str(RUNTIME), help="runtime/ of the version to measure")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--first", action="store_true", help="run before the machine's other processes; needs root")
    options = parser.parse_args()
    if options.first:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # what is started inherits it
    ours, peer = Contestant(options.ours, options.sdk), Contestant(options.peer, None)
    bench = Bench(ours, peer, options.rounds, options.first)
    for name in NAMES:
        if name in options.only:
            print(name, file=sys.stderr)
            getattr(bench, name)()
    result = table(bench.rows)
    print(result)
    return int("missed" in result)


if __name__ == "__main__":
    sys.exit(main())
