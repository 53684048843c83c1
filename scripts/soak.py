"""Keep two servers busy with everything that may happen to them, and look for what is lost or left behind.

    python scripts/soak.py [--minutes 10 | --seconds N] [--seed N]

One serves an ordinary model, one an async model with eight slots. Clients ask, cancel, leave, stream and send files;
models crash, are killed, ignore cancels and flood the log; receivers of webhooks are slow, dead, or refuse twice; the
reader of the containers' log stops now and then. Everything is on the loopback address.

The time is cut into phases. After each the load stops, and there must be: a `completed` webhook for every prediction
that was accepted, no prediction that still holds a slot, no process but the server and its worker, no temporary file.
At the end the server must not have more open descriptors, nor notably more memory, than after the early phases. The
figures are printed. Exit status 1 if any of this is not so.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import http.server
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.runtime.server.harness import MODEL_PYTHON, free_port, prepare  # noqa: E402

MODEL = """
import os, signal, subprocess, sys, tempfile, time
from typing import Any, Iterator, List, Optional
import cog
from cog import BasePredictor, CancelationException, Path, Secret

class Predictor(BasePredictor):
    def setup(self):
        print("set up")
    @cog.streaming
    def predict(self, do: str = "echo", seconds: float = 0, n: int = 1, files: List[Path] = [],
                token: Optional[Secret] = None) -> Iterator[Any]:
        end = time.monotonic() + seconds
        if do == "files":
            yield [os.path.getsize(file) for file in files]
            with tempfile.TemporaryDirectory(prefix="model-") as folder:
                for number in range(n):
                    path = Path(folder) / ("file %d.bin" % number)
                    path.write_bytes(os.urandom(200_000))
                    yield path
        elif do == "flood":
            for number in range(n):
                print("line", number, "x" * 80)
            os.write(2, b"to standard error\\n" * (n // 10))
            subprocess.run(["sh", "-c", "echo from a child"])
        elif do == "tokens":
            for number in range(n):
                yield "token"
                time.sleep(seconds / n)
        elif do == "big":
            yield "y" * 2_000_000
        elif do == "fail":
            raise ValueError("failed, " + (token.get_secret_value() if token else "no token"))
        elif do == "exit":
            sys.exit(3)
        elif do in ("die", "segv", "kill"):
            subprocess.Popen(["sleep", "600"])
            subprocess.Popen(["setsid", "sleep", "600"])
            {"die": lambda: os._exit(1), "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
             "kill": lambda: os.kill(os.getpid(), signal.SIGKILL)}[do]()
            time.sleep(60)
        elif do == "stubborn":
            while time.monotonic() < end:
                try:
                    time.sleep(0.1)
                except CancelationException:
                    pass
        else:
            time.sleep(seconds)
        yield do
"""
ASYNC = """
import asyncio, os, sys, tempfile, time
from typing import Any, AsyncIterator, List, Optional
import cog
from cog import BasePredictor, Path, Secret

class Predictor(BasePredictor):
    @cog.streaming
    async def predict(self, do: str = "echo", seconds: float = 0, n: int = 1, files: List[Path] = [],
                      token: Optional[Secret] = None) -> AsyncIterator[Any]:
        if do == "files":
            yield [os.path.getsize(file) for file in files]
            with tempfile.TemporaryDirectory(prefix="model-") as folder:
                for number in range(n):
                    path = Path(folder) / ("file %d.bin" % number)
                    path.write_bytes(os.urandom(200_000))
                    yield path
        elif do == "flood":
            for number in range(n // 10):
                print("line", number, "x" * 80)
            os.write(1, b"from nobody in particular\\n" * (n // 10))
        elif do == "tokens":
            for number in range(n):
                yield "token"
                await asyncio.sleep(seconds / n)
        elif do == "big":
            yield "y" * 2_000_000
        elif do == "fail":
            raise ValueError("failed, " + (token.get_secret_value() if token else "no token"))
        elif do == "exit":
            sys.exit(3)
        elif do == "die":
            os._exit(1)
        elif do == "block":
            time.sleep(min(seconds, 0.2))
        else:
            await asyncio.sleep(seconds)
        yield do
"""
SECRET = "the-secret-that-nobody-may-see"
ENDED = ("succeeded", "failed", "canceled")
# How often an ordinary client does what; the dangerous things are rare, as they are for others.
ACTIONS = {"echo": 30, "sleep": 15, "tokens": 10, "files": 10, "flood": 6, "big": 4, "fail": 6, "exit": 2, "die": 2,
           "segv": 1, "kill": 1, "stubborn": 1}  # fmt: skip
ASYNC_ACTIONS = {"echo": 30, "sleep": 20, "tokens": 10, "files": 10, "flood": 6, "big": 4, "fail": 6, "exit": 2,
                 "die": 1, "block": 2}  # fmt: skip
WAYS = {"sync": 30, "async": 20, "cancel": 15, "leave": 8, "events": 8, "leave events": 5, "twice": 5, "nonsense": 5,
        "look": 5}  # fmt: skip


class Receiver:
    """Takes webhooks and uploads and serves files. What it does depends on the path: /good, /slow, /refuse."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.statuses: dict[str, list[str]] = defaultdict(list)
        self.refused: Counter[str] = Counter()
        self.leaks: list[str] = []
        self.count = 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.answer(receiver.hook(self.path, body))

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                time.sleep(random.choice((0, 0, 0, 0.3)))
                self.answer(random.choice((200, 200, 200, 200, 500)))

            def do_GET(self) -> None:
                time.sleep(random.choice((0, 0, 0, 0.5)))
                self.answer(random.choice((200, 200, 200, 404)), b"z" * random.choice((0, 1000, 300_000)))

            def answer(self, status: int, content: bytes = b"") -> None:
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 256

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients that have left

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def hook(self, path: str, body: bytes) -> int:
        """The status for one webhook; what was accepted is remembered."""
        document = json.loads(body)
        identity, status = document["id"], document["status"]
        if path == "/slow":
            time.sleep(random.uniform(0.2, 1.5))
        with self.lock:
            self.count += 1
            if SECRET in body.decode():
                self.leaks.append(identity)
            if path == "/refuse" and status in ENDED and self.refused[identity] < 2:
                self.refused[identity] += 1
                return 503
            self.statuses[identity].append(status)
        return 200

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Log:
    """Reads what a container writes, keeps the end of it, and stops reading now and then."""

    def __init__(self, pipe: Any) -> None:
        self.size = 0
        self.end = b""
        self.has_secret = False
        self.trace = b""
        self._pipe = pipe
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        descriptor = self._pipe.fileno()
        while data := os.read(descriptor, 65536):
            self.size += len(data)
            self.has_secret = self.has_secret or SECRET.encode() in self.end[-100:] + data
            self.end = (self.end + data)[-20_000:]
            if not self.trace and b"cog_server/" in data and b'File "' in data:
                self.trace = self.end[-6000:]
            if random.random() < 0.0005:
                time.sleep(1)


@dataclass
class Snapshot:
    """A server at rest after a phase."""

    megabytes: float
    descriptors: int
    processes: int
    files: int


@dataclass
class Box:
    """One server, what its clients have seen, and what it left behind."""

    name: str
    model: str
    actions: dict[str, int]
    clients: int
    slots: int
    folder: Path
    receiver: Receiver
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    owed: set[str] = field(default_factory=set)
    asked: deque[str] = field(default_factory=lambda: deque(maxlen=5000))
    repeated: set[str] = field(default_factory=set)
    snapshots: list[Snapshot] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, *arguments: str) -> None:
        self.temporary = self.folder / "temporary"
        self.temporary.mkdir(parents=True)
        self.port = free_port()
        environment = {
            "TMPDIR": str(self.temporary),
            "COG_MAX_CONCURRENCY": str(self.slots),
            "COGC_CANCEL_GRACE_SECONDS": "1",
            "COGC_MAX_CRASHES": "1000",
            "COG_THROTTLE_RESPONSE_INTERVAL": "0.1",
        }
        variables = prepare(
            self.folder / "project", self.model, self.port, "predict: predict.py:Predictor\n", environment
        )
        self.process = subprocess.Popen(
            [MODEL_PYTHON, "-m", "cog.server.http", "--host", "127.0.0.1", *arguments],
            cwd=self.folder / "project", env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, bufsize=0,
        )  # fmt: skip
        self.log = Log(self.process.stdout)
        self.wait(lambda: self.health() == "READY", 30, "it does not become ready")

    # Requests

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, data, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def health(self) -> str:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return str(json.loads(self.ask("GET", "/health-check")[1])["status"])
        return "NOT THERE"

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def complain(self, text: str) -> None:
        with self.lock:
            self.problems.append(text)
            print(f"PROBLEM {self.name}: {text}", file=sys.stderr, flush=True)

    def wait(self, is_true: Callable[[], bool], seconds: float, complaint: str) -> bool:
        deadline = time.monotonic() + seconds
        while not is_true():
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.complain(complaint)
                return False
            time.sleep(0.05)
        return True

    # What is left

    def gauges(self) -> tuple[int, int]:
        """(running, waiting) as the server counts them."""
        return self.gauge("running"), self.gauge("waiting")

    def gauge(self, name: str) -> int:
        """One value of the page of metrics."""
        found = re.search(rf"^cog_{name} (\S+)", self.ask("GET", "/metrics")[1].decode(), re.M)
        assert found
        return int(float(found[1]))

    def processes(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if str(self.temporary).encode() in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
        return found

    def files(self, has_ended: bool = False) -> list[str]:
        """Temporary files of ours that are left; those of a model that has crashed are its own.

        Large final states wait in files for receivers that are away, as long as the server runs.
        """
        found = [path.relative_to(self.temporary) for path in self.temporary.rglob("*") if path.is_file()]
        return [
            str(path)
            for path in found
            if not path.parts[0].startswith("model-") and (has_ended or path.parent.name != "webhooks")
        ]

    def waiting(self) -> int:
        """How many final states wait in files."""
        return sum(1 for path in self.temporary.rglob("webhooks/*"))

    def megabytes(self) -> float:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096 / 1e6

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rest(self, is_last: bool) -> None:
        """All of what must be true when nothing is going on."""
        idle = self.wait(lambda: self.health() == "READY" and self.gauges() == (0, 0), 60, "a slot is stuck")
        if not idle:
            self.complain(f"health {self.health()}, running and waiting {self.gauges()}: {self.stuck()}")
        self.wait(lambda: not self.undelivered(), 60, "webhooks are lost")
        for identity in sorted(self.undelivered())[:5]:
            self.complain(f"no `completed` of {identity}: {self.receiver.statuses.get(identity)}")
        self.owed.clear()
        if not self.wait(lambda: len(self.processes()) == 2, 10, "processes are left"):
            self.complain(f"processes: {[command(pid) for pid in self.processes()]}")
        if not self.wait(lambda: not self.files(), 10, "temporary files are left"):
            self.complain(f"files: {self.files()[:10]}")
        if self.waiting() > self.gauge("webhooks_open"):
            self.complain(f"{self.waiting()} webhooks wait in files, and {self.gauge('webhooks_open')} at all")
        together = [threading.Thread(target=self.prove_slot) for _ in range(self.slots)]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
        # Connections to receivers are kept open for up to half a minute.
        deadline = time.monotonic() + (40 if is_last else 0)
        least = min([snapshot.descriptors for snapshot in self.snapshots], default=0)
        while self.descriptors() > least + 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        self.snapshots.append(Snapshot(self.megabytes(), self.descriptors(), len(self.processes()), len(self.files())))

    def stuck(self) -> list[str]:
        """What the server says of predictions that have not ended."""
        found = []
        for identity in list(self.asked):
            status, body = self.ask("GET", f"/predictions/{identity}")
            if status == 200 and json.loads(body)["status"] not in ENDED:
                found.append(body[:1000].decode())
        return found

    def prove_slot(self) -> None:
        status, body = self.ask("POST", "/predictions", {"input": {"do": "sleep", "seconds": 0.2}})
        if status != 200 or json.loads(body)["status"] != "succeeded":
            self.complain(f"a slot does not work: {status} {body[:300]!r}")

    def undelivered(self) -> set[str]:
        with self.lock, self.receiver.lock:
            return {one for one in self.owed if not set(self.receiver.statuses.get(one, ())) & set(ENDED)}

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            code: int | None = self.process.wait(12)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = None
        if code != 0:
            self.complain(f"the server ended with {code}")
        self.log.thread.join(5)
        self.look_for_rest()
        if self.log.has_secret:
            self.complain("a secret is in the log")
        if self.log.trace:
            self.complain("the server has a traceback: " + self.log.trace.decode("utf-8", "replace"))

    def look_for_rest(self) -> None:
        deadline = time.monotonic() + 5
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.processes():
            self.complain(f"processes after the end: {[command(pid) for pid in self.processes()]}")
        if self.files(has_ended=True):
            self.complain(f"files after the end: {self.files(has_ended=True)[:10]}")


def command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")[:120]
    return "gone"


class Client:
    """One of several clients of a server: does this and that, until it is told to stop."""

    def __init__(self, box: Box, number: int, seed: int) -> None:
        self.box = box
        self.random = random.Random(f"{box.name} {number} {seed}")
        self.name = f"{box.name}-{seed}-{number}"
        self.made = 0

    def run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            way = self.choose(WAYS)
            try:
                getattr(self, "ask_" + way.replace(" ", "_"))()
            except (OSError, http.client.HTTPException) as error:
                if self.box.process.poll() is not None:
                    self.box.complain("the server has gone")
                    return
                self.box.complain(f"{way}: {error!r}")
            self.box.count(f"way: {way}")

    def choose(self, weights: dict[str, int]) -> str:
        return self.random.choices(list(weights), list(weights.values()))[0]

    def request(self, do: str | None = None, **inputs: Any) -> tuple[str, dict[str, Any], bool]:
        """(id, body, whether its `completed` is owed)."""
        self.made += 1
        identity = f"{self.name}-{self.made}"
        do = do or self.choose(self.box.actions)
        values = {
            "do": do,
            "seconds": self.random.choice((0, 0.01, 0.05, 0.3)),
            "n": self.random.choice((1, 5, 50)),
            **inputs,
        }
        if do == "flood":
            values["n"] = self.random.choice((100, 3000, 30_000))
        if do == "stubborn":
            values["seconds"] = 3
        if do == "fail":
            values["token"] = SECRET
        if do == "files":
            data = (
                "data:text/plain;base64,"
                + base64.b64encode(self.random.randbytes(self.random.choice((10, 400_000)))).decode()
            )
            values["files"] = self.random.choice(([], [data], [data, self.box.receiver.url + "/a%20file.bin"]))
            values["n"] = self.random.choice((1, 3))
        body: dict[str, Any] = {"id": identity, "input": values}
        if self.random.random() < 0.3:
            body["output_file_prefix"] = self.box.receiver.url + "/put/"
        hook = self.random.choice(("/good", "/good", "/slow", "/refuse", "dead", None))
        if hook is not None:
            body["webhook"] = "http://127.0.0.1:9/dead" if hook == "dead" else self.box.receiver.url + hook
        if self.random.random() < 0.3:
            body["webhook_events_filter"] = ["completed"]
        self.box.count(f"do: {do}")
        self.box.asked.append(identity)
        return identity, body, hook not in (None, "dead")

    def owe(self, identity: str, is_owed: bool) -> None:
        if is_owed:
            with self.box.lock:
                self.box.owed.add(identity)

    def judge(self, status: int, body: bytes, identity: str, is_owed: bool) -> bool:
        """Whether a request was accepted; an answer that is none is a problem."""
        document = json.loads(body)
        self.box.count(f"status: {status}")
        if SECRET.encode() in body:
            self.box.complain(f"{identity}: the secret is in an answer")
        if status in (200, 202):
            self.owe(identity, is_owed)
            self.box.count(f"prediction: {document['status']}" if status == 200 else "prediction: accepted")
            if status == 200 and document["status"] not in ENDED:
                self.box.complain(f"{identity}: answered with {document['status']}")
            return True
        if status not in (409, 503):
            self.box.complain(f"{identity}: {status} {body[:300]!r}")
        time.sleep(0.01)
        return False

    # Ways to ask

    def ask_sync(self) -> None:
        identity, body, is_owed = self.request()
        self.judge(*self.box.ask("POST", "/predictions", body), identity, is_owed)

    def begin(self, **inputs: Any) -> str | None:
        identity, body, is_owed = self.request(**inputs)
        status, answer = self.box.ask("PUT", f"/predictions/{identity}", body, {"Prefer": "respond-async"})
        return identity if self.judge(status, answer, identity, is_owed) else None

    def poll(self, identity: str) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status, body = self.box.ask("GET", f"/predictions/{identity}")
            if status == 404 or json.loads(body)["status"] in ENDED:
                return
            time.sleep(0.02)
        self.box.complain(f"{identity}: did not end within a minute")

    def ask_async(self) -> None:
        identity = self.begin()
        if identity is not None:
            self.poll(identity)

    def ask_cancel(self) -> None:
        identity = self.begin(
            **({"do": "stubborn"} if "stubborn" in self.box.actions and self.random.random() < 0.05 else {})
        )
        if identity is None:
            return
        time.sleep(self.random.choice((0, 0, 0.002, 0.05, 0.2)))
        status, _ = self.box.ask("POST", f"/predictions/{identity}/cancel")
        self.box.count(f"cancel: {status}")
        self.poll(identity)
        final, body = self.box.ask("GET", f"/predictions/{identity}")
        if status == 200 and final == 200 and json.loads(body)["status"] != "canceled":
            self.box.complain(f"{identity}: the cancel was accepted, and it {json.loads(body)['status']}")

    def send(self, body: dict[str, Any], headers: str = "") -> socket.socket:
        """A connection on which a prediction was asked for, and that the server closes after its answer."""
        data = json.dumps(body).encode()
        fields = f"Host: x\r\n{headers}Connection: close\r\nContent-Length: {len(data)}\r\n"
        head = f"POST /predictions HTTP/1.1\r\n{fields}\r\n"
        connection = socket.create_connection(("127.0.0.1", self.box.port), timeout=60)
        connection.sendall(head.encode() + data)
        return connection

    def ask_leave(self) -> None:
        """Ask, and go before the answer."""
        _, body, _ = self.request()
        with self.send(body):
            time.sleep(self.random.choice((0, 0.01, 0.1)))

    def stream(self, seconds: float | None) -> None:
        """Read events to the end, or for some seconds."""
        identity, body, is_owed = self.request()
        with self.send(body, "Accept: text/event-stream\r\n") as connection:
            if seconds is not None:
                time.sleep(seconds)
                return
            seen = b""
            while b"event: completed" not in seen and b"event: error" not in seen:
                chunk = connection.recv(1 << 20)
                if not chunk:
                    break
                seen = (seen if len(seen) < 1_000_000 else seen[:2000] + seen[-2000:]) + chunk
        status = int(seen[9:12] or 0)
        if status == 200:
            self.owe(identity, is_owed)
            if b"event: completed" not in seen and b"event: error" not in seen:
                self.box.complain(f"{identity}: the events ended early: {seen[-300:]!r}")
        elif status not in (409, 503):
            self.box.complain(f"{identity}: events answered {seen[:300]!r}")
        self.box.count(f"events: {status}")

    def ask_events(self) -> None:
        self.stream(None)

    def ask_leave_events(self) -> None:
        self.stream(self.random.choice((0, 0.02, 0.1)))

    def ask_twice(self) -> None:
        """The same PUT again while it runs; when it has ended already, it runs a second time."""
        identity, body, is_owed = self.request()
        self.box.repeated.add(identity)
        status, answer = self.box.ask("PUT", f"/predictions/{identity}", body, {"Prefer": "respond-async"})
        if self.judge(status, answer, identity, is_owed):
            again, _ = self.box.ask("PUT", f"/predictions/{identity}", body, {"Prefer": "respond-async"})
            if again not in (202, 409, 503):
                self.box.complain(f"{identity}: the second PUT answered {again}")
            self.poll(identity)

    def ask_nonsense(self) -> None:
        for body in (
            b"{",
            b"[" * 5000,
            {"input": {"n": "many"}},
            {"input": {"files": ["file:///etc/passwd"]}},
            b"\xff",
        ):
            status, _ = self.box.ask("POST", "/predictions", body)
            if status not in (422, 503):
                self.box.complain(f"nonsense is answered with {status}")

    def ask_look(self) -> None:
        for path in ("/health-check", "/metrics", "/openapi.json", "/", "/readyz", "/livez", "/docs"):
            self.box.ask("GET", path)


@contextlib.contextmanager
def boxes(folder: Path) -> Iterator[list[Box]]:
    receiver = Receiver()
    made = [
        Box("ordinary", MODEL, ACTIONS, 6, 1, folder / "ordinary", receiver),
        Box("async", ASYNC, ASYNC_ACTIONS, 8, 8, folder / "async", receiver),
    ]
    try:
        made[0].start("--queue", "4")
        made[1].start()
        yield made
    finally:
        for box in made:
            if hasattr(box, "process"):
                box.end()
        receiver.close()


def phase(all_boxes: list[Box], seconds: float, seed: int, is_last: bool) -> None:
    """Load for some seconds, then rest."""
    stopped = threading.Event()
    threads = [
        threading.Thread(target=Client(box, number, seed).run, args=(stopped,))
        for box in all_boxes
        for number in range(box.clients)
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stopped.set()
    for thread in threads:
        thread.join(120)
        if thread.is_alive():
            all_boxes[0].complain("a client hangs")
    for box in all_boxes:
        box.rest(is_last)


def judge_growth(box: Box) -> None:
    """Compare the last phases with the early ones; the first fills caches."""
    later = box.snapshots[1:] or box.snapshots
    third = max(len(later) // 3, 1)
    early, late = later[:third], later[-third:]
    grown = statistics.median(s.megabytes for s in late) - statistics.median(s.megabytes for s in early)
    box.counts["grown by MB"] = round(grown)
    if len(later) >= 3 and grown > 20:
        box.complain(f"the server's memory has grown by {grown:.0f} MB")
    more = min(s.descriptors for s in late) - min(s.descriptors for s in early)
    if more > 4:
        box.complain(f"the server has {more} more descriptors than before")


def check_orders(receiver: Receiver, repeated: set[str], complain: Callable[[str], None]) -> None:
    """Each prediction's webhooks: start first, one final state, last."""
    rank = {"starting": 0, "processing": 1, **dict.fromkeys(ENDED, 2)}
    for identity, statuses in receiver.statuses.items():
        ranks = [rank[status] for status in statuses]
        if identity not in repeated and (ranks != sorted(ranks) or ranks.count(2) > 1):
            complain(f"{identity}: webhooks in the order {statuses}")
    for identity in receiver.leaks:
        complain(f"{identity}: a secret is in a webhook")


def report(box: Box) -> None:
    print(f"\n{box.name}: {box.clients} clients, {box.slots} slots, {box.log.size / 1e6:.1f} MB of logs")
    for name in sorted(box.counts):
        print(f"  {name:24} {box.counts[name]:>8}")
    for title in ("megabytes", "descriptors", "processes", "files"):
        print(f"  {title:12} {' '.join(f'{getattr(s, title):.0f}' for s in box.snapshots)}")
    print(f"  restarts of the worker   {restarts(box)}")


def restarts(box: Box) -> str:
    return str(box.restarts) if hasattr(box, "restarts") else "?"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, help="instead of minutes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    seconds = options.seconds or options.minutes * 60
    random.seed(options.seed)
    count = 3 if seconds < 60 else 12
    folder = Path(tempfile.mkdtemp(prefix="cogc-soak-"))
    begun = time.monotonic()
    try:
        with boxes(folder) as all_boxes:
            for number in range(count):
                phase(all_boxes, seconds / count, options.seed * 1000 + number, number == count - 1)
                print(
                    f"phase {number + 1} of {count}: {sum(len(box.problems) for box in all_boxes)} problems", flush=True
                )
            for box in all_boxes:
                box.restarts = box.gauge("worker_restarts_total")
                judge_growth(box)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    receiver = all_boxes[0].receiver
    check_orders(receiver, set().union(*[box.repeated for box in all_boxes]), all_boxes[0].complain)
    for box in all_boxes:
        report(box)
    print(
        f"\n{receiver.count} webhooks for {len(receiver.statuses)} predictions, {time.monotonic() - begun:.0f} seconds"
    )
    problems = [f"{box.name}: {text}" for box in all_boxes for text in box.problems]
    for text in problems[:50]:
        print("PROBLEM", text)
    print(f"{len(problems)} problems")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
