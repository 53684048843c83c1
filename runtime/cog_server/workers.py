"""One worker process: started, listened to, signalled and buried, with everything it started itself.

Two sockets carry frames: one for predictions, one for what must come through while they run. Descriptors 1 and 2 are
pipes that are read in steps of 64 KB and handed on as they are; stdin is empty. The process leads its own session, so
that its children can be found when it ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from itertools import chain
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from cog.lines import MEMORY_BYTES

from .messages import FrameReader, Log, Message, ProtocolError, encode_frame, unsent_lines
from .scratch import Scratch

__all__ = ["Worker", "describe_exit", "kill_group", "worker_command", "worker_environment"]

logger = logging.getLogger("cog_server.worker")

READ_BYTES = 65536
PIPE_BYTES = 1024 * 1024
MARK, SCRATCH = "COGC_WORKER", "COGC_SCRATCH"
# How often, and after what time, processes without an environment are looked at again; those of the kernel have none.
MAX_SCANS, SCAN_SECONDS = 10, 0.002
KERNEL_THREADS = 2
FLOOD_READS, FLOOD_SECONDS = 16, 0.002
_F_SETPIPE_SZ, _F_GETPIPE_SZ = 1031, 1032
_SERVER_SECRETS = ("COG_API_TOKEN", "WEBHOOK_AUTH_TOKEN", "COGC_REDIS_URL")


def worker_command(python: str, mode: str, target: str, descriptors: Sequence[int]) -> List[str]:
    """The command line of a worker that serves `target`, with the descriptors of its two sockets and its memory."""
    options = zip(("--fd", "--control-fd", "--memory-fd"), map(str, descriptors))
    return [python, "-m", "cog.worker", *chain(*options), "--mode", mode, "--target", target]


def worker_environment(environment: Mapping[str, str], sdk: str, mark: str, scratch: str = "") -> Dict[str, str]:
    """The model's environment: the container's, less the secrets that are the server's own.

    `mark` tells the worker's processes from all others, `scratch` is its folder for files that the server is to read.
    """
    result = {name: value for name, value in environment.items() if name not in _SERVER_SECRETS}
    paths = result.get("PYTHONPATH", "").split(os.pathsep) if result.get("PYTHONPATH") else []
    if sdk not in paths:
        result["PYTHONPATH"] = os.pathsep.join([sdk, *paths])
    result[MARK] = mark
    result[SCRATCH] = scratch
    return result


def describe_exit(code: Optional[int]) -> str:
    """Why a worker ended, as one sentence for the user of the model."""
    if code is None:
        return "The model's process closed its connection to the server and was stopped."
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "signal %d" % -code
        cause = {
            "SIGKILL": "It has most likely run out of memory.",
            "SIGSEGV": "Native code has crashed, or memory is exhausted.",
        }.get(name, "Native code may have crashed, or memory may be exhausted.")
        return "The model's process was ended by %s (exit code %d). %s" % (name, code, cause)
    return "The model's process ended by itself (exit code %d). It may have run out of memory." % code


class Worker:
    """A child process that speaks frames. The callbacks are called in the event loop, `on_gone` once and last.

    `on_message(worker, message)`, `on_output(worker, source, data)` with source `stdout` or `stderr`,
    `on_gone(worker, exit code or None)`.
    """

    def __init__(
        self, python: str, mode: str, target: str, sdk: str, environment: Mapping[str, str], scratch: Scratch
    ) -> None:
        """Start the process; nothing is read before `attach`."""
        self.mark = uuid.uuid4().hex
        self._scratch = scratch
        self._folder = scratch.path("worker-" + self.mark)
        self.exit_code: Optional[int] = None
        self.is_gone = False
        (ours, theirs), (our_control, their_control) = socket.socketpair(), socket.socketpair()
        out, err = os.pipe(), os.pipe()
        self._memory = _shared_memory()
        self._batch = 0
        descriptors = (theirs.fileno(), their_control.fileno(), self._memory)
        try:
            self._process = subprocess.Popen(
                worker_command(python, mode, target, descriptors),
                stdin=subprocess.DEVNULL,
                stdout=out[1],
                stderr=err[1],
                env=worker_environment(environment, sdk, self.mark, self._folder),
                pass_fds=descriptors,
                start_new_session=True,
            )
        except OSError:
            for descriptor in (out[0], err[0], self._memory):
                os.close(descriptor)
            ours.close()
            our_control.close()
            raise
        finally:
            theirs.close()
            their_control.close()
            os.close(out[1])
            os.close(err[1])
        self.pid = self._process.pid
        self._sockets = (ours, our_control)
        self._pipes: List[Tuple[int, str]] = [(out[0], "stdout"), (err[0], "stderr")]
        self._pipe_bytes = PIPE_BYTES
        for descriptor, _ in self._pipes:
            os.set_blocking(descriptor, False)
            try:
                fcntl.fcntl(descriptor, _F_SETPIPE_SZ, PIPE_BYTES)
            except OSError:
                logger.debug("the pipe keeps its size")
        self._poll = select.poll()
        for descriptor, _ in self._pipes:
            self._poll.register(descriptor, select.POLLIN)
        self._transports: List[asyncio.Transport] = []
        self._streak, self._read_at = 0, 0.0
        self._is_connected = True
        self._has_exited = False
        self._is_killed = False

    async def attach(
        self,
        on_message: Callable[["Worker", Message], None],
        on_output: Callable[["Worker", str, bytes], None],
        on_gone: Callable[["Worker", Optional[int]], None],
    ) -> None:
        """Begin to read."""
        self._loop = asyncio.get_running_loop()
        self._on_output, self._on_gone = on_output, on_gone
        self._on_message = on_message
        self._reader = FrameReader(self._hear)
        for descriptor, source in self._pipes:
            self._watch_pipe(descriptor, source)
        protocols = (_Messages(self), _Control(self))
        for connection, protocol in zip(self._sockets, protocols):
            connection.setblocking(False)
            transport, _ = await self._loop.create_connection(lambda made=protocol: made, sock=connection)
            self._transports.append(transport)
        threading.Thread(target=self._wait, name="worker-%d" % self.pid, daemon=True).start()

    def send(self, message: Dict[str, object]) -> None:
        """Send a prediction; to a worker that is gone it is lost."""
        self._write(0, message)

    def control(self, message: Dict[str, object]) -> None:
        """Send what the worker hears while it runs a prediction; to a worker that is gone it is lost."""
        self._write(1, message)

    def _write(self, index: int, message: Dict[str, object]) -> None:
        if self._transports and not self._transports[index].is_closing():
            self._transports[index].write(encode_frame(message, self._folder))

    def drain(self) -> None:
        """Read what the pipes hold at this moment: everything that was written before the last frame."""
        if not self._poll.poll(0):
            return  # as a rule: one call for both pipes, and no exceptions
        for descriptor, source in list(self._pipes):
            left = self._pipe_bytes
            while left > 0:
                count = self._read_pipe(descriptor, source)
                if not count:
                    break
                left -= count

    def terminate(self) -> None:
        """Ask the process to end."""
        self.control({"type": "shutdown"})

    def kill(self) -> None:
        """End the process and all that it started, now."""
        self._is_killed = True
        kill_group(self.pid)
        _kill_marked(self.mark, self.pid)

    def _watch_pipe(self, descriptor: int, source: str) -> None:
        if (descriptor, source) in self._pipes:
            self._loop.add_reader(descriptor, self._pipe_is_ready, descriptor, source)

    def _pipe_is_ready(self, descriptor: int, source: str) -> None:
        self._read_pipe(descriptor, source)
        now = self._loop.time()
        self._streak = self._streak + 1 if now - self._read_at <= FLOOD_SECONDS else 0
        self._read_at = now
        if self._streak > FLOOD_READS:
            # To wake up for each line of a flood costs more than the line itself: let some gather.
            self._streak = 0
            self._loop.remove_reader(descriptor)
            self._loop.call_later(FLOOD_SECONDS, self._watch_pipe, descriptor, source)

    def _read_pipe(self, descriptor: int, source: str) -> int:
        try:
            data = os.read(descriptor, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            data = b""
        if data:
            self._on_output(self, source, data)
        else:
            self._close_pipe(descriptor)
        return len(data)

    def _close_pipe(self, descriptor: int) -> None:
        for pipe in self._pipes:
            if pipe[0] == descriptor:
                self._pipes.remove(pipe)
                self._poll.unregister(descriptor)
                self._loop.remove_reader(descriptor)
                os.close(descriptor)
                return

    def _received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
        except ProtocolError as error:
            logger.error("the worker is stopped: %s", error)
            self.kill()

    def _hear(self, message: Message) -> None:
        if type(message) is Log and message.batch:
            self._batch = message.batch
        self._on_message(self, message)

    def _disconnected(self) -> None:
        self._is_connected = False
        if self._has_exited:
            self._finish()
        else:
            self._lose()

    def _lose(self) -> None:
        # A worker without its sockets is lost. One that is ending needs a moment for its exit status.
        self._loop.call_later(0.25, self._kill_unless_exited)

    def _kill_unless_exited(self) -> None:
        if not self._has_exited:
            self.exit_code = None
            self._is_killed = True
            kill_group(self.pid)

    def _wait(self) -> None:
        code = self._process.wait()
        try:
            self._loop.call_soon_threadsafe(self._exited, code)
        except RuntimeError:
            pass  # the loop has ended before the process

    def _exited(self, code: int) -> None:
        self._has_exited = True
        lost_first = not self._is_connected and self._is_killed
        self.exit_code = None if lost_first else code
        kill_group(self.pid)
        _kill_marked(self.mark, self.pid)
        if self._is_connected:
            self._loop.call_later(1.0, self._finish)  # in case somebody else holds the socket
        else:
            self._finish()

    def _finish(self) -> None:
        if self.is_gone:
            return
        self.drain()
        last_lines = unsent_lines(self._memory, self._batch)
        os.close(self._memory)
        if last_lines is not None:
            self._on_message(self, last_lines)
        self.is_gone = True
        for descriptor, _ in list(self._pipes):
            self._close_pipe(descriptor)
        for transport in self._transports:
            transport.abort()
        self._scratch.remove(os.path.basename(self._folder))
        self._on_gone(self, self.exit_code)


class _Messages(asyncio.Protocol):
    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.data_received = worker._received  # type: ignore[method-assign]

    def connection_lost(self, error: Optional[Exception]) -> None:
        self._worker._disconnected()


class _Control(asyncio.Protocol):
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def connection_lost(self, error: Optional[Exception]) -> None:
        self._worker._lose()


def _shared_memory() -> int:
    """The descriptor of as many zero bytes as `cog.lines` needs."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("cogc-lines")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, MEMORY_BYTES)
    return descriptor


def kill_group(pid: int) -> None:
    """Kill a process that leads its own session, and those that are still in it."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def _kill_marked(mark: str, leader: int) -> None:
    """Kill processes that left the session (daemons): they still carry the mark in their environment.

    One that is just becoming another program has no environment for a moment, so that it is looked at again.
    """
    needle = ("%s=%s" % (MARK, mark)).encode()
    for _ in range(MAX_SCANS):
        if not [pid for pid in _processes() if pid != leader and _is_unclear(pid, needle)]:
            return
        time.sleep(SCAN_SECONDS)


def _processes() -> List[int]:
    names = os.listdir("/proc") if os.path.isdir("/proc") else []
    return [int(name) for name in names if name.isdigit() and int(name) != os.getpid()]


def _is_unclear(pid: int, needle: bytes) -> bool:
    """Kill a process that is marked; whether it, or what it is about to become, has to be looked at again."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            environment = file.read()
        if needle in environment:
            os.kill(pid, signal.SIGKILL)
            return True
        if environment:
            return False
        with open("/proc/%d/stat" % pid, "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
    except OSError:
        return False
    return state not in b"ZX" and pid != KERNEL_THREADS and int(parent) != KERNEL_THREADS
