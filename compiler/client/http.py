"""The HTTP interface of a model's server, as a client sees it: health, document, predictions, events, cancellation.

Works with every server that speaks Cog's interface. A prediction has an id of the client's choice, so that it can be
cancelled from a second connection while the first one waits.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from ..diagnostics import Diagnostic, Note, report
from ..record import record
from .operation import Operation
from .problems import Refused, Unreachable

__all__ = ["Health", "ModelClient", "Prediction", "new_identity"]

_EVENTS = "text/event-stream"
_SHORT_SECONDS = 10.0
_MAX_SHOWN = 500


@record(kw_only=False)
class Health:
    """What the server says about the model, such as STARTING or READY, and its logs of setup."""

    status: str
    setup_logs: str = ""


@record
class Prediction:
    """A prediction that has ended. `document` is the whole answer."""

    status: str
    output: Any
    error: str
    document: Mapping[str, Any]

    @property
    def has_succeeded(self) -> bool:
        """Whether there is an output to use."""
        return self.status == "succeeded"


def new_identity() -> str:
    """An id that no other prediction has."""
    return uuid.uuid4().hex


class ModelClient:
    """One server, at an http or https URL (ValueError: it is none). `token` is sent as a bearer token."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        self._is_encrypted = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if self._is_encrypted else 80)
        self._base = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def health(self) -> Health | None:
        """The state of the model; None while nobody answers."""
        try:
            status, body = self._ask("GET", "/health-check")
            document = json.loads(body)
        except (Unreachable, ValueError):
            return None
        if status != 200 or not isinstance(document, dict):
            return None
        setup = document.get("setup")
        logs = setup.get("logs") if isinstance(setup, dict) else None
        if isinstance(logs, list):  # one string per line, in the oldest servers
            logs = "\n".join(map(str, logs))
        return Health(str(document.get("status", "UNKNOWN")).upper(), logs if isinstance(logs, str) else "")

    def document(self) -> dict[str, Any]:
        """The OpenAPI document. Errors: `ClientProblem` (COG724)."""
        status, body = self._ask("GET", "/openapi.json")
        document = _json(body)
        if status != 200 or not isinstance(document, dict):
            raise Refused(_unexpected("GET /openapi.json", status, body))
        return document

    def predict(
        self,
        operation: Operation,
        inputs: Mapping[str, Any],
        *,
        identity: str,
        context: Mapping[str, str] | None = None,
        on_piece: Callable[[str], None] | None = None,
    ) -> Prediction:
        """Run to the end, however long it takes; `identity` is what `cancel` names.

        With `on_piece` the pieces of the output are handed over as they come, where the server can do that. Errors:
        `Refused` (COG722, COG724), `Unreachable` (COG725).
        """
        body: dict[str, Any] = {"id": identity, "input": inputs}
        if context:
            body["context"] = context
        encoded = json.dumps(body).encode()
        if on_piece is not None:
            streamed = self._stream(operation, encoded, on_piece)
            if streamed is not None:
                return streamed
        status, answer = self._ask("POST", operation.path, encoded, seconds=None)
        return _prediction(operation, status, answer)

    def cancel(self, operation: Operation, identity: str) -> bool:
        """Ask for the end of a prediction; whether the server knew it."""
        path = f"{operation.path}/{quote(identity, safe='')}/cancel"
        try:
            status, _ = self._ask("POST", path, b"", seconds=2.0)
        except Unreachable:
            return False
        return status == 200

    # -- requests ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], seconds: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._is_encrypted else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=seconds)
        try:
            with _connected():
                content = {} if body is None else {"Content-Type": "application/json"}
                connection.request(method, self._base + path, body, {**self._headers, **content, **headers})
                response = connection.getresponse()
            yield response
        finally:
            connection.close()

    def _ask(
        self, method: str, path: str, body: bytes | None = None, seconds: float | None = _SHORT_SECONDS
    ) -> tuple[int, bytes]:
        with self._request(method, path, body, {}, seconds) as response:
            return response.status, _content(response)

    def _stream(self, operation: Operation, body: bytes, on_piece: Callable[[str], None]) -> Prediction | None:
        """The same with events; None when the server has none for this model, and nothing has run."""
        with self._request("POST", operation.path, body, {"Accept": f"{_EVENTS}, application/json"}, None) as response:
            if response.status == 406:
                return None
            if not (response.getheader("Content-Type") or "").startswith(_EVENTS):
                return _prediction(operation, response.status, _content(response))
            for name, data in _events(response):
                if name == "output" and isinstance(data, dict) and isinstance(data.get("chunk"), str):
                    on_piece(data["chunk"])
                elif name == "completed" and isinstance(data, dict):
                    return _ended(data)
                elif name == "error":
                    reason = data.get("error") if isinstance(data, dict) else data
                    raise Unreachable(report("COG725", f"the model's server ended the events: {reason}"))
        raise Unreachable(report("COG725", "the connection to the model's server was lost: the events ended early"))


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """Errors of the connection as `Unreachable`; those of what is done with an answer do not belong in here."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        what = str(error) or type(error).__name__
        raise Unreachable(report("COG725", f"the connection to the model's server was lost: {what}")) from error


def _content(response: http.client.HTTPResponse) -> bytes:
    with _connected():
        return response.read()


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        with _connected():
            line = response.readline()
        if not line:
            return
        yield line


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """(name, JSON) of each server-sent event; comments are skipped."""
    name = "message"
    lines: list[str] = []
    for raw in _lines(response):
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if lines:
                yield name, _json("\n".join(lines).encode())
            name, lines = "message", []
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            lines.append(value)


def _prediction(operation: Operation, status: int, body: bytes) -> Prediction:
    document = _json(body)
    if status == 422 and isinstance(document, dict):
        raise Refused(_refused_inputs(document))
    if status != 200 or not isinstance(document, dict) or "status" not in document:
        raise Refused(_unexpected(f"POST {operation.path}", status, body))
    return _ended(document)


def _ended(document: Mapping[str, Any]) -> Prediction:
    error = document.get("error")
    return Prediction(
        status=str(document.get("status")),
        output=document.get("output"),
        error=error if isinstance(error, str) else "" if error is None else json.dumps(error),
        document=document,
    )


def _refused_inputs(document: Mapping[str, Any]) -> Diagnostic:
    """COG722 with a note for each problem: `name: message`."""
    details = document.get("detail")
    notes = []
    for detail in details if isinstance(details, list) else [details]:
        location = detail.get("loc") if isinstance(detail, dict) else None
        message = detail.get("msg") if isinstance(detail, dict) else detail
        name = ".".join(str(part) for part in location[2:]) if isinstance(location, list) else ""
        notes.append(Note(message=f"{name}: {message}" if name else str(message)))
    hint = "-i NAME=VALUE gives an input, and -i NAME=@PATH the content of a file"
    return report("COG722", "the model refuses the inputs", notes=notes, hint=hint)


def _unexpected(request: str, status: int, body: bytes) -> Diagnostic:
    document = _json(body)
    said = body.decode("utf-8", "replace").strip()
    if isinstance(document, dict):
        said = str(document.get("detail") or document.get("error") or said)
    shown = said if len(said) <= _MAX_SHOWN else f"{said[:_MAX_SHOWN]}…"
    return report("COG724", f"the model's server answers {request} with {status}: {shown or 'nothing'}")


def _json(body: bytes) -> Any:
    """The document, or None for what is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
