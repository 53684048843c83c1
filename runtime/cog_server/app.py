"""The application: a small table of routes, requests → predictions, predictions → responses. Thin on purpose."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections import OrderedDict
from inspect import isawaitable
from typing import Any, Awaitable, Callable, Dict, NamedTuple, Optional, Tuple, Union

import msgspec

from . import legacy
from .documents import COMPONENTS, DocumentError, Documents
from .exchange import Headers, Refusal, Request, Response, Streamed
from .health import HealthPage, health_state
from .metrics import Metrics
from .page import DOCS_PAGE
from .predictions import Prediction, PredictionRequest
from .runner import Busy, NotReady, Runner
from .settings import Settings
from .sse import EventStream, TooManyReaders
from .trainings import Trainings
from .validation import Invalid, parse_request

__all__ = ["App"]

logger = logging.getLogger("cog_server.app")

WAIT_ROOM = 16
RECENT_COUNT, RECENT_BYTES, RECENT_LARGEST = 100, 32 * 1024 * 1024, 4 * 1024 * 1024
_encode = msgspec.json.Encoder().encode
_OPEN_PATHS = ("/health-check", "/livez", "/readyz", "/ping")
_TRACE = (b"traceparent", b"tracestate")
EVENTS = b"text/event-stream; charset=utf-8"
_EVENT_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]

class Preferences(NamedTuple):
    is_async: bool
    wait_seconds: Optional[float]
    waits: bool


_NO_PREFERENCES = Preferences(False, None, False)


def _preferences(header: bytes) -> Preferences:
    """The header `Prefer`: `respond-async`, `wait`, `wait=SECONDS`, in a list."""
    is_async, waits, seconds = False, False, None
    for word in header.decode("latin-1").split(","):
        name, _, value = word.split(";")[0].strip().partition("=")
        if name.strip().lower() == "respond-async":
            is_async = True
        elif name.strip().lower() == "wait":
            waits = True
            if re.match(r'"?[0-9]{1,6}(\.[0-9]{1,3})?"?\Z', value.strip()):
                seconds = float(value.strip().strip('"'))
    return Preferences(is_async, seconds, waits)


class _Kind(NamedTuple):
    mode: str
    noun: str
    component: str
    path: str


PREDICTION = _Kind("predict", "prediction", COMPONENTS["predict"], "/predictions")
TRAINING = _Kind("train", "training", COMPONENTS["train"], "/trainings")
Result = Union[Response, Streamed, None]
"""What a handler has made of a request; None is a response that comes later, through the request."""
Handler = Callable[[Request], Union[Result, Awaitable[Result]]]
_NO_HEADERS: Headers = []


class App:
    """Routes requests. `runner` is the first worker's, None when nothing is configured for this mode."""

    def __init__(
        self,
        settings: Settings,
        runner: Optional[Runner],
        trainings: Trainings,
        metrics: Metrics,
        version: str,
        documents: Documents,
        on_shutdown: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._runner = runner
        self._trainings = trainings
        self._metrics = metrics
        self._version = version
        self._health_page = HealthPage(runner, trainings, version)
        self._on_shutdown = on_shutdown
        self._documents = documents
        self._streams: Dict[str, EventStream] = {}
        self._recent: "OrderedDict[Tuple[str, str], bytes]" = OrderedDict()
        self._recent_bytes = 0
        self._has_train = trainings.is_configured
        self._token = ("Bearer " + settings.api_token).encode() if settings.api_token else None
        self._turns = asyncio.Semaphore(settings.threads) if settings.threads is not None else None
        self._routes = self._make_routes()

    def remember(self, prediction: Prediction, kind: str) -> None:
        """Keep the final state for those who poll, for a while."""
        self._streams.pop(prediction.id, None)
        body = prediction.body()
        if len(body) > RECENT_LARGEST:
            return
        key = (kind, prediction.id)
        before = self._recent.pop(key, None)
        self._recent_bytes += len(body) - len(before or b"")
        self._recent[key] = body
        while len(self._recent) > RECENT_COUNT or self._recent_bytes > RECENT_BYTES:
            self._recent_bytes -= len(self._recent.popitem(last=False)[1])

    # Routing

    def _make_routes(self) -> Dict[str, Dict[str, Handler]]:
        """Path → method → handler; `*` stands for an id."""
        routes: Dict[str, Dict[str, Handler]] = {
            "/": {"GET": self._discovery},
            "/health-check": {"GET": self._health},
            "/livez": {"GET": self._livez},
            "/readyz": {"GET": self._readyz},
            "/metrics": {"GET": self._metrics_page},
            "/openapi.json": {"GET": self._openapi},
            "/docs": {"GET": self._docs},
            "/shutdown": {"POST": self._shutdown},
        }
        for kind in (PREDICTION, TRAINING):
            if self._is_offered(kind):
                routes[kind.path] = {"POST": self._post(kind)}
                routes[kind.path + "/*"] = {"PUT": self._put(kind), "GET": self._poll(kind)}
                routes[kind.path + "/*/cancel"] = {"POST": self._cancel(kind)}
        return routes

    def _is_offered(self, kind: _Kind) -> bool:
        if kind is TRAINING:
            return self._has_train
        return self._settings.mode == "predict"

    def offer_legacy(self) -> None:
        """Add the endpoints of 2021."""
        self._routes["/predict"] = self._routes["/infer"] = {"POST": self._in_turn(self._legacy_predict)}
        self._routes["/ping"] = {"GET": self._legacy_ping}
        self._routes["/type-signature"] = {"GET": self._legacy_signature}

    def _route(self, request: Request) -> None:
        """Find the handler, and the id in the path. Errors: Refusal."""
        path = request.path
        methods = self._routes.get(path)
        if methods is None:
            parts = path.split("/")
            if len(parts) == 3 and parts[2]:
                request.identity = parts[2]
                methods = self._routes.get("/%s/*" % parts[1])
            elif len(parts) == 4 and parts[2] and parts[3] == "cancel":
                request.identity = parts[2]
                methods = self._routes.get("/%s/*/cancel" % parts[1])
        if methods is None:
            raise Refusal(404, {"detail": "Not Found"})
        request.handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if request.handler is None:
            raise Refusal(405, {"detail": "Method Not Allowed"}, [(b"allow", ", ".join(sorted(methods)).encode())])

    def open(self, request: Request) -> Optional[Response]:
        """Route a request whose headers are there. A response means that it ends here."""
        try:
            if self._settings.cors_origins:
                request.extra = self._cors(request)
                if request.method == "OPTIONS":
                    return Response(204, b"")
            self._route(request)
            if self._token is not None and request.path not in _OPEN_PATHS:
                self._authorise(request)
        except Exception as error:
            return _failure(error)
        return None

    def handle(self, request: Request) -> Union[Result, Awaitable[Result]]:
        """Answer a request whose body is there."""
        try:
            result = request.handler(request)
        except Exception as error:
            return _failure(error)
        return result if result is None or isinstance(result, (Response, Streamed)) else _guarded(result)

    def _is_authorised(self, request: Request) -> bool:
        return self._token is None or hmac.compare_digest(request.header(b"authorization"), self._token)

    def _authorise(self, request: Request) -> None:
        if not self._is_authorised(request):
            raise Refusal(401, {"detail": "A bearer token is required."}, [(b"www-authenticate", b"Bearer")])

    def _cors(self, request: Request) -> Headers:
        origin = request.header(b"origin")
        allowed = self._settings.cors_origins
        if not origin or ("*" not in allowed and origin.decode("latin-1") not in allowed):
            return _NO_HEADERS
        return [
            (b"access-control-allow-origin", b"*" if "*" in allowed else origin),
            (b"access-control-allow-methods", b"GET, POST, PUT, OPTIONS"),
            (b"access-control-allow-headers", b"Authorization, Content-Type, Prefer, Traceparent, Tracestate"),
            (b"vary", b"Origin"),
        ]

    # Documents

    def _discovery(self, request: Request) -> Response:
        urls = {
            "cog_version": self._version,
            "docs_url": "/docs",
            "openapi_url": "/openapi.json",
            "shutdown_url": "/shutdown",
            "healthcheck_url": "/health-check",
        }
        for kind in (PREDICTION, TRAINING):
            if self._is_offered(kind):
                urls["%ss_url" % kind.noun] = kind.path
                urls["%ss_idempotent_url" % kind.noun] = "%s/{%s_id}" % (kind.path, kind.noun)
                urls["%ss_cancel_url" % kind.noun] = "%s/{%s_id}/cancel" % (kind.path, kind.noun)
        return Response(200, _encode(urls))

    def _health(self, request: Request) -> Union[Response, Awaitable[Response]]:
        runner = self._runner
        if runner is not None and runner.has_healthcheck:
            return self._checked_health(request, runner)
        return self._health_response(request, None)

    async def _checked_health(self, request: Request, runner: Runner) -> Response:
        return self._health_response(request, await runner.healthcheck())

    def _health_response(self, request: Request, complaint: Optional[str]) -> Response:
        return self._health_page.response(self._is_authorised(request), complaint)

    def _livez(self, request: Request) -> Response:
        state = health_state(self._runner, self._trainings)
        return Response(503 if state == "DEFUNCT" else 200, _encode({"status": state}))

    def _readyz(self, request: Request) -> Response:
        state = health_state(self._runner, self._trainings)
        return Response(200 if state in ("READY", "BUSY") else 503, _encode({"status": state}))

    def _metrics_page(self, request: Request) -> Response:
        runner = self._runner
        gauges: Dict[str, Tuple[str, float]] = {}
        if runner is not None:
            gauges["cog_slots"] = ("Predictions that may run at the same time.", runner.capacity)
            gauges["cog_running"] = ("Predictions that hold a slot.", len(runner.slots))
            gauges["cog_waiting"] = ("Predictions that wait for a slot.", len(runner.queue))
        open_webhooks = self._metrics.open_webhooks
        gauges["cog_webhooks_open"] = ("Predictions whose webhook has still to be told something.", open_webhooks)
        state = health_state(runner, self._trainings)
        gauges["cog_ready"] = ("1 while predictions are accepted or running.", float(state in ("READY", "BUSY")))
        return Response(200, self._metrics.text(gauges).encode(), b"text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, request: Request) -> Response:
        await self._documents.settled()
        if not self._documents.body:
            raise Refusal(503, {"error": "OpenAPI schema not available"})
        return Response(200, self._documents.body)

    def _docs(self, request: Request) -> Response:
        return Response(200, DOCS_PAGE, b"text/html; charset=utf-8")

    def _shutdown(self, request: Request) -> Response:
        asyncio.get_running_loop().call_later(0.05, self._on_shutdown)
        return Response(200, b"{}")

    # Predictions and trainings

    def _post(self, kind: _Kind) -> Handler:
        return self._in_turn(lambda request: self._run(request, kind, None))

    def _put(self, kind: _Kind) -> Handler:
        def run(request: Request) -> Any:
            return self._run(request, kind, request.identity)

        later = self._in_turn(run)
        # To ask for what runs already takes no turn.
        return lambda request: (run if self._active(kind, request.identity) is not None else later)(request)

    def _in_turn(self, handler: Handler) -> Handler:
        """The handler, of which no more than `--threads` run at a time: from the body of a request to its response."""
        turns = self._turns
        if turns is None:
            return handler

        async def run(request: Request) -> Any:
            await turns.acquire()
            request.on_end = turns.release
            result = handler(request)
            return await result if isawaitable(result) else result

        return run

    def _poll(self, kind: _Kind) -> Handler:
        def poll(request: Request) -> Response:
            prediction = self._active(kind, request.identity)
            body = prediction.body() if prediction is not None else self._recent.get((kind.noun, request.identity))
            if body is None:
                raise Refusal(404, {"detail": "No %s with this id is running or has ended lately." % kind.noun})
            return Response(200, body)

        return poll

    def _cancel(self, kind: _Kind) -> Handler:
        def cancel(request: Request) -> Response:
            runner = self._runner_of(kind)
            is_found = runner is not None and runner.cancel(request.identity)
            return Response(200 if is_found else 404, b"{}")

        return cancel

    def _runner_of(self, kind: _Kind) -> Optional[Runner]:
        return self._trainings.runner if kind is TRAINING else self._runner

    def _active(self, kind: _Kind, identity: str) -> Optional[Prediction]:
        runner = self._trainings.runner if kind is TRAINING else self._runner
        return runner.active.get(identity) if runner is not None else None

    def _run(self, request: Request, kind: _Kind, url_id: Optional[str]) -> Union[Result, Awaitable[Result]]:
        wants_events = b"text/event-stream" in request.headers.get(b"accept", b"").lower()
        if wants_events:
            self._check_streaming(kind)
        if url_id is not None:
            running = self._active(kind, url_id)
            if running is not None:
                return self._subscribe(running, request) if wants_events else Response(202, running.body())
        if kind.component not in self._documents.checkers:
            return self._run_when_known(request, kind, url_id, wants_events)
        return self._begin(request, kind, url_id, wants_events)

    async def _run_when_known(self, request: Request, kind: _Kind, url_id: Optional[str], wants_events: bool) -> Any:
        await self._know_inputs(kind)
        result = self._begin(request, kind, url_id, wants_events)
        return await result if isawaitable(result) else result

    def _begin(
        self, request: Request, kind: _Kind, url_id: Optional[str], wants_events: bool
    ) -> Union[Result, Awaitable[Result]]:
        prefer = request.headers.get(b"prefer")
        preferences = _preferences(prefer) if prefer else _NO_PREFERENCES
        checked = self._check(request, kind, url_id)
        checked.is_async = preferences.is_async
        prediction = self._submit(kind, checked, preferences, wants_events)
        if wants_events:
            return self._subscribe(prediction, request)
        if preferences.is_async and preferences.wait_seconds is None:
            return Response(202, prediction.body())
        runner = self._runner_of(kind)
        assert runner is not None
        request.on_disconnect = lambda: runner.cancel(prediction.id)
        if preferences.wait_seconds is not None:
            return self._await_result(prediction, request, preferences.wait_seconds)
        prediction.when_finished(request.respond)
        return None

    def _check(self, request: Request, kind: _Kind, url_id: Optional[str]) -> PredictionRequest:
        runner = self._runner
        checker = self._documents.checkers.get(kind.component)
        if runner is None or runner.state != "ready" or checker is None:
            raise self._not_ready(runner.why_not_ready() if runner is not None else "No model is configured.")
        try:
            checked = parse_request(request.body, checker, url_id, kind.noun)
        except Invalid as invalid:
            self._metrics.refusal("invalid")
            raise _unreadable(request) or Refusal(422, {"detail": invalid.problems}) from None
        for name in _TRACE:
            value = request.headers.get(name)
            if value is not None and len(value) <= 1024:
                checked.trace[name.decode()] = value.decode("latin-1")
        return checked

    async def _know_inputs(self, kind: _Kind) -> None:
        """Wait until the inputs can be checked, and secrets among them masked. Errors: Refusal."""
        if self._runner is None or self._runner.state != "ready":
            return  # it is refused for another reason, or its own worker will tell
        try:
            await self._documents.require(kind.mode)
        except DocumentError as error:
            raise self._not_ready("The inputs of the %s are not known: %s" % (kind.noun, error)) from None

    def _not_ready(self, reason: str) -> Refusal:
        self._metrics.refusal("not_ready")
        return Refusal(503, {"error": reason, "detail": reason, "status": "failed"})

    def _submit(
        self, kind: _Kind, checked: PredictionRequest, preferences: Preferences, wants_events: bool
    ) -> Prediction:
        runner = self._runner
        assert runner is not None
        room = self._settings.queue_length
        if preferences.waits:
            room = room or WAIT_ROOM
        try:
            if self._active(kind, checked.id) is not None:
                raise Busy
            prediction = Prediction(checked)
            if kind is PREDICTION and self._streams_events(runner):
                self._add_stream(prediction, wants_events)
            if kind is TRAINING:
                self._trainings.submit(prediction, room)
            elif self._trainings.is_busy:
                raise Busy
            else:
                runner.submit(prediction, room)
        except Busy:
            self._streams.pop(checked.id, None) if self._active(kind, checked.id) is None else None
            self._metrics.refusal("busy")
            text = "Already running a prediction" if runner.capacity == 1 else "All prediction slots are busy"
            raise Refusal(409, {"detail": text, "error": text, "status": "failed"}) from None
        except NotReady as error:
            self._streams.pop(checked.id, None)
            raise self._not_ready(str(error)) from None
        return prediction

    async def _await_result(self, prediction: Prediction, request: Request, wait_seconds: float) -> Response:
        try:
            return Response(200, await asyncio.wait_for(asyncio.shield(prediction.finished), wait_seconds))
        except asyncio.TimeoutError:
            request.on_disconnect = None
            return Response(202, prediction.body())

    # Events

    def _check_streaming(self, kind: _Kind) -> None:
        if kind is TRAINING:
            raise Refusal(406, {"error": "Training endpoints do not support streaming responses."})
        runner = self._runner
        if runner is not None and runner.loaded is not None and not self._streams_events(runner):
            text = (
                "This model does not support streaming responses. Its predict method is not marked with @cog.streaming."
            )
            raise Refusal(406, {"error": text})

    def _streams_events(self, runner: Runner) -> bool:
        return self._settings.streams_all or (runner.loaded is not None and runner.loaded.is_streaming)

    def _add_stream(self, prediction: Prediction, is_owner: bool) -> None:
        runner = self._runner
        assert runner is not None
        identity = prediction.id
        stream = EventStream(self._settings.stream_history, (lambda: runner.cancel(identity)) if is_owner else None)
        prediction.observers.append(stream)
        self._streams[identity] = stream

    def _subscribe(self, prediction: Prediction, request: Request) -> Streamed:
        stream = next((one for one in prediction.observers if isinstance(one, EventStream)), None)
        if stream is None:
            raise Refusal(406, {"error": "This model does not support streaming responses."})
        try:
            subscription = stream.open()
        except TooManyReaders:
            raise Refusal(429, {"error": "Too many readers of this prediction."}) from None
        request.on_disconnect = subscription.close
        return Streamed(EVENTS, _EVENT_HEADERS, subscription.chunks(), subscription.close)

    # The interface of 2021

    def _legacy_ping(self, request: Request) -> Response:
        return Response(200, b"PONG", b"text/plain; charset=utf-8")

    def _legacy_signature(self, request: Request) -> Response:
        return Response(200, _encode(legacy.type_signature(self._documents.document or {})))

    async def _legacy_predict(self, request: Request) -> Response:
        runner = self._runner
        document = self._documents.document
        if runner is None or runner.state != "ready" or document is None:
            raise Refusal(503, {"message": runner.why_not_ready() if runner is not None else "No model is configured."})
        try:
            fields, files = legacy.parse_form(request.header(b"content-type").decode("latin-1"), request.body)
            checked = legacy.form_request(document, fields, files)
        except legacy.FormError as error:
            raise Refusal(400, {"message": str(error)}) from None
        prediction = self._submit(PREDICTION, checked, _NO_PREFERENCES, wants_events=False)
        request.on_disconnect = lambda: runner.cancel(prediction.id)
        await prediction.finished
        if prediction.status != "succeeded":
            raise Refusal(500, {"message": prediction.error or "The prediction was canceled."})
        output = legacy.last_of(msgspec.json.decode(prediction.output()), prediction.is_iterator)
        content_type, answer = legacy.answer(output)
        headers = [
            (b"x-setup-time", b"%.6f" % runner.setup.seconds),
            (b"x-run-time", b"%.6f" % (prediction.seconds or 0.0)),
        ]
        return Response(200, answer, content_type.encode("latin-1", "replace"), headers)


def _failure(error: Exception) -> Response:
    if isinstance(error, Refusal):
        return error.response
    logger.error("the request could not be answered", exc_info=error)
    return Response(500, b'{"detail":"Internal Server Error"}')


def _unreadable(request: Request) -> Optional[Refusal]:
    """Why a body that cannot be read cannot be: it is compressed. None when it is not."""
    encoding = request.header(b"content-encoding").decode("latin-1").strip()
    if encoding.lower() in ("", "identity") or request.body.lstrip()[:1] == b"{":
        return None
    return Refusal(415, {"detail": "Bodies with Content-Encoding %s are not read: send plain JSON." % encoding[:50]})


async def _guarded(awaitable: Awaitable[Result]) -> Result:
    try:
        return await awaitable
    except Exception as error:
        return _failure(error)
