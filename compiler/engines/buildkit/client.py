"""The calls of a build: we are the frontend, which asks the daemon to solve graphs and returns what the image is.

A build is opened without a definition; on the same connection the bridge of the frontend then solves as many graphs as
it likes, reads files of the results and asks for the configurations of images. What it returns at last is exported.

Source: https://github.com/moby/buildkit (control/control.go, frontend/gateway)
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...backends.llb.definition import Definition
from ...backends.llb.image import full_reference
from ...backends.llb.ops import Platform
from ...record import record
from .errors import BuildkitError, CallFailed, ConnectionLost
from .grpc import UNIMPLEMENTED, Call, Connection
from .messages import SERVICES
from .progress import progress_document
from .session import Offers, Session
from .transport import OpenSession

__all__ = ["Bridge", "Export", "FrontendResult", "Result", "Solved", "build", "source_detail", "workers"]

_CONTROL = "/moby.buildkit.v1.Control"
_BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge"
_SILENCE_SECONDS = 60.0
_WATCH_SECONDS = 1.0
_REFUSAL_SECONDS = 5.0
_UNKNOWN = 2
_SEVERAL = "exporter.multiple"
_SOURCE_TYPE = "github.com/moby/buildkit/errdefs.Source+json"


@record
class Export:
    """What is done with the result.

    `exporters` are pairs of a type, such as `moby`, `image`, `oci`, `docker`, `tar` or `local`, and its attributes;
    without one nothing is done with it. Caches are pairs of a type and its attributes.
    """

    exporters: Sequence[tuple[str, Mapping[str, str]]] = ()
    cache_to: Sequence[tuple[str, Mapping[str, str]]] = ()
    cache_from: Sequence[tuple[str, Mapping[str, str]]] = ()
    frontend_attributes: Mapping[str, str] = field(default_factory=dict)


@record(kw_only=False)
class Solved:
    """A graph that the daemon knows, by its id there."""

    id: str


@record(kw_only=False)
class Result:
    """What an image is: a graph for each platform, with the document of its configuration."""

    parts: tuple[tuple[Platform, Solved, Mapping[str, Any]], ...]

    @property
    def message(self) -> dict[str, Any]:
        """Its message: one platform is the plain form, several make an index."""
        if len(self.parts) == 1:
            _, solved, document = self.parts[0]
            return {"ref": {"id": solved.id}, "metadata": {"containerimage.config": _json(document)}}
        names = [str(platform) for platform, _, _ in self.parts]
        metadata = {f"containerimage.config/{platform}": _json(document) for platform, _, document in self.parts}
        listed = [
            {"ID": str(platform), "Platform": {key: value for key, value in platform.message.items() if value}}
            for platform, _, _ in self.parts
        ]
        metadata["refs.platforms"] = _json({"Platforms": listed})
        refs = {name: {"id": solved.id} for name, (_, solved, _) in zip(names, self.parts, strict=True)}
        return {"refs": {"refs": refs}, "metadata": metadata}


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@record(kw_only=False)
class FrontendResult:
    """What another frontend made, as it gave it."""

    message: Mapping[str, Any]


class Bridge:
    """The frontend's side of one build: of the one called `ref`, or of the only one there is on the connection.

    `build_id` is a text that no other build has. Errors of all methods: CallFailed, ConnectionLost.
    """

    def __init__(
        self, connection: Connection, ref: str | None, cache_from: Sequence[tuple[str, Mapping[str, str]]]
    ) -> None:
        self.build_id = ref or uuid.uuid4().hex
        self._connection = connection
        self._headers = (("buildkit-controlapi-buildid", ref),) if ref is not None else ()
        self._imports = [{"type": kind, "attrs": dict(attributes)} for kind, attributes in cache_from]

    def capabilities(self) -> dict[str, bool]:
        """What the daemon's operations can, by the names of capabilities."""
        answer = self._call("Ping", "PingRequest", {}, "PongResponse")
        return {each.get("id", ""): each.get("enabled", False) for each in answer.get("llb_caps", ())}

    def image_config(self, reference: str, platform: Platform, mode: str) -> tuple[str, bytes]:
        """The digest (empty where there is none) and the document of an image."""
        message = {"ref": full_reference(reference), "platform": platform.message, "resolve_mode": mode}
        message["log_name"] = f"[internal] load metadata for {full_reference(reference)}"
        answer = self._call("ResolveImageConfig", "ResolveImageConfigRequest", message, "ResolveImageConfigResponse")
        return answer.get("digest", ""), answer.get("config", b"{}")

    def solve(self, definition: Definition, *, evaluates: bool = False) -> Solved:
        """Solve a graph; with `evaluates` at once, else when something is read from it or it is exported."""
        return self.solved(self.start_solve(definition, evaluates=evaluates))

    def start_solve(self, definition: Definition, *, evaluates: bool = True) -> Call:
        """Begin to solve a graph, for `solved` to wait for."""
        message = {
            "definition": definition.message,
            "allow_result_return": True,
            "allow_result_array_ref": True,
            "cache_imports": self._imports,
            "evaluate": evaluates,
        }
        data = SERVICES.encode("BridgeSolveRequest", message)
        return self._connection.request(f"{_BRIDGE}/Solve", data, self._headers)

    def solved(self, call: Call) -> Solved:
        """The result of `start_solve`, once it is there."""
        answer = SERVICES.decode("BridgeSolveResponse", call.only())
        return Solved(answer.get("result", {}).get("ref", {}).get("id", ""))

    def run_frontend(self, name: str, options: Mapping[str, str], inputs: Mapping[str, Definition]) -> FrontendResult:
        """What a frontend that the daemon knows makes of some graphs."""
        message = {
            "frontend": name,
            "frontend_opt": dict(options),
            "frontend_inputs": {key: definition.message for key, definition in inputs.items()},
            "allow_result_return": True,
            "allow_result_array_ref": True,
            "cache_imports": self._imports,
        }
        answer = self._call("Solve", "BridgeSolveRequest", message, "BridgeSolveResponse")
        return FrontendResult(answer.get("result", {}))

    def read_file(self, solved: Solved, path: str, offset: int = 0, length: int = 0) -> bytes:
        """The content of a file of a result, or `length` bytes of it from `offset` on."""
        message: dict[str, Any] = {"ref": solved.id, "file_path": path}
        if length:
            message["range"] = {"offset": offset, "length": length}
        return bytes(self._call("ReadFile", "ReadFileRequest", message, "ReadFileResponse").get("data", b""))

    def read_directory(self, solved: Solved, path: str) -> list[dict[str, Any]]:
        """What is in a directory of a result: messages `Stat`."""
        answer = self._call("ReadDir", "ReadDirRequest", {"ref": solved.id, "dir_path": path}, "ReadDirResponse")
        found: list[dict[str, Any]] = answer.get("entries", [])
        return found

    def warn(self, digest: str, text: str, detail: str | None = None) -> None:
        """A warning about an operation, which clients show; daemons that know none pass over it."""
        details = [detail.encode()] if detail else []
        with contextlib.suppress(CallFailed):
            message = {"digest": digest, "level": 1, "short": text.encode(), "detail": details}
            self._call("Warn", "WarnRequest", message, "PingRequest")

    def finish(self, result: Result | FrontendResult) -> None:
        """Name the image, which is exported next."""
        self._call("Return", "ReturnRequest", {"result": result.message}, "PingRequest")

    def give_up(self, reason: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        """End the build without an image. `details` are those of an error, or `source_detail`s."""
        error = {"code": _UNKNOWN, "message": reason, "details": list(details)}
        with contextlib.suppress(BuildkitError):
            self._call("Return", "ReturnRequest", {"error": error}, "PingRequest")

    def _call(self, method: str, name: str, message: Mapping[str, Any], answer: str) -> dict[str, Any]:
        data = SERVICES.encode(name, message)
        return SERVICES.decode(answer, self._connection.unary(f"{_BRIDGE}/{method}", data, self._headers))


def source_detail(source: Mapping[str, Any]) -> dict[str, Any]:
    """A place in a file, as a detail of an error that clients show with the lines around it."""
    return {"type_url": _SOURCE_TYPE, "value": _json(source)}


def workers(connection: Connection) -> list[dict[str, Any]]:
    """What builds there: records with `platforms` and the daemon's `version`. Errors: CallFailed, ConnectionLost."""
    answer = SERVICES.decode("ListWorkersResponse", connection.unary(f"{_CONTROL}/ListWorkers", b""))
    found: list[dict[str, Any]] = answer.get("record", [])
    return found


def build(
    connection: Connection,
    offers: Offers,
    export: Export,
    frontend: Callable[[Bridge], Result | FrontendResult],
    show: Callable[[dict[str, Any]], None],
    opens: OpenSession | None = None,
) -> dict[str, str]:
    """One build; what the exporter says about the result. `show` is told of the progress, from a thread.

    `opens` is how its session becomes a connection of its own.

    Errors: CallFailed, ConnectionLost, and what `frontend` raises. Whatever happens, nothing of the build goes on.
    """
    ref = uuid.uuid4().hex
    session = Session(connection, offers, opens)
    calls: list[Call] = []
    threads: list[threading.Thread] = []
    try:
        solve = connection.request(f"{_CONTROL}/Solve", _solve_request(ref, session.id, export))
        status = connection.request(f"{_CONTROL}/Status", SERVICES.encode("StatusRequest", {"ref": ref}))
        calls += [solve, status]
        watch = _Watch(connection, session, calls)
        threads = [
            threading.Thread(target=_follow, args=(status, show), daemon=True),
            threading.Thread(target=watch.run, daemon=True),
        ]
        for thread in threads:
            thread.start()
        bridge = Bridge(connection, ref, export.cache_from)
        try:
            if len(export.exporters) > 1:
                _need(bridge, _SEVERAL)
            bridge.finish(frontend(bridge))
        except CallFailed as error:
            bridge.give_up(error.message)
            raise watch.reason or _own_failure(solve, error) from None
        except Exception as error:
            bridge.give_up(str(error))
            raise
        answer = SERVICES.decode("SolveResponse", solve.only())
        threads[0].join(10)
        return dict(answer.get("exporter_response", {}))
    finally:
        for call in calls:
            call.cancel()
        session.close()
        for thread in threads:
            thread.join(10)


def _need(bridge: Bridge, capability: str) -> None:
    """Error: CallFailed where the daemon would pass over something without a word."""
    if not bridge.capabilities().get(capability):
        raise CallFailed(UNIMPLEMENTED, f"unknown API capability {capability}")


def _own_failure(solve: Call, error: CallFailed) -> BuildkitError:
    """Why the build itself was refused, where it was: the frontend then only learns that there is no such build."""
    if "no such job" in error.message or "does not exist" in error.message:
        solve.wait(_REFUSAL_SECONDS)
        return solve.error or error
    return error


def _solve_request(ref: str, session: str, export: Export) -> bytes:
    message: dict[str, Any] = {
        "ref": ref,
        "session": session,
        "frontend_attrs": dict(export.frontend_attributes),
        "cache": {
            "exports": [{"type": kind, "attrs": dict(attributes)} for kind, attributes in export.cache_to],
            "imports": [{"type": kind, "attrs": dict(attributes)} for kind, attributes in export.cache_from],
        },
    }
    exporters = [{"type": kind, "attrs": dict(attributes)} for kind, attributes in export.exporters]
    if len(exporters) == 1:  # in the form that every daemon knows
        message |= {"exporter": exporters[0]["type"], "exporter_attrs": exporters[0]["attrs"]}
    elif exporters:
        message["exporters"] = exporters
    return SERVICES.encode("SolveRequest", message)


def _follow(status: Call, show: Callable[[dict[str, Any]], None]) -> None:
    with contextlib.suppress(BuildkitError):
        while (message := status.receive()) is not None:
            show(progress_document(SERVICES.decode("StatusResponse", message)))


@dataclass(slots=True)
class _Watch:
    """Ends a build when the daemon has said nothing for a minute: it asks for our health every few seconds."""

    connection: Connection
    session: Session
    calls: list[Call]
    reason: ConnectionLost | None = None

    def run(self) -> None:
        while not all(call.is_over for call in self.calls[:1]):
            quiet = time.monotonic() - self.session.last_heard
            if quiet > _SILENCE_SECONDS:
                self.reason = ConnectionLost(f"the daemon has said nothing for {quiet:.0f} seconds")
                self.connection.fail(self.reason)
                return
            self.calls[0].wait(_WATCH_SECONDS)
