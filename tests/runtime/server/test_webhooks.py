"""Webhooks: which events, in which order, how often, and what a bad receiver can do (nothing)."""

from __future__ import annotations

import re
import socket
import threading

import pytest

from tests.runtime.server.harness import until

MODEL = """
import time
from typing import Iterator
from cog import BasePredictor
class Predictor(BasePredictor):
    def predict(self, n: int = 3, pause: float = 0.0, fail: bool = False, hold: float = 0.0) -> Iterator[str]:
        for i in range(n):
            print("log", i)
            yield str(i)
            time.sleep(pause)
        if fail:
            raise ValueError("no")
        time.sleep(hold)
"""
ENVIRONMENT = {"WEBHOOK_AUTH_TOKEN": "token-of-the-webhook", "COG_THROTTLE_RESPONSE_INTERVAL": "0.3"}


def send(server, receiver, events=None, headers=None, **inputs):
    body = {"input": inputs, "webhook": receiver.url + "/hook"}
    if events is not None:
        body["webhook_events_filter"] = events
    return server.ask("POST", "/predictions", body, headers)


def test_start_comes_first_completed_last_and_bodies_grow(shared, receiver):
    send(shared, receiver, n=0)  # the first delivery of a server takes longer
    receiver.wait_completed()
    receiver.requests.clear()
    answer = send(shared, receiver, n=8, pause=0.1)
    assert answer.json["status"] == "succeeded"
    bodies = receiver.wait_completed()
    assert bodies[0]["status"] == "starting"
    assert not {"error", "version", "completed_at", "metrics"} & set(bodies[0])
    assert bodies[-1]["output"] == [str(i) for i in range(8)]
    assert bodies[-1]["logs"].count("\n") == 8
    assert bodies[-1]["metrics"]["predict_time"] > 0.7
    lengths = [len(body["output"] or []) for body in bodies]
    assert lengths == sorted(lengths)
    assert {body["status"] for body in bodies[1:-1]} == {"processing"}


def test_updates_are_throttled(shared, receiver):
    send(shared, receiver, n=50, pause=0.02)
    receiver.wait_completed()
    updates = receiver.requests[:-1]
    assert len(updates) >= 3
    # Not one for each of the 50 items, but one in each interval; the first and the last may come at once.
    assert len(updates) <= (updates[-1].at - updates[0].at) / 0.3 + 3


def test_what_was_held_back_is_sent_when_the_interval_ends(shared, receiver):
    shared.begin("held", {"n": 3, "hold": 60}, webhook=receiver.url)
    body = receiver.wait(lambda requests: requests and requests[-1].json["output"] == ["0", "1", "2"] and requests[-1].json)
    assert body["status"] == "processing"
    assert body["logs"] == "log 0\nlog 1\nlog 2\n"
    assert shared.ask("POST", "/predictions/held/cancel").status == 200
    assert receiver.wait_completed()[-1]["status"] == "canceled"


def test_without_completed_the_last_state_is_still_sent(shared, receiver):
    send(shared, receiver, ["output"], n=5)
    receiver.wait(lambda requests: requests and requests[-1].json["output"] == ["0", "1", "2", "3", "4"])


def test_only_events_of_the_filter_are_sent(shared, receiver):
    send(shared, receiver, ["completed", "completed"], n=3)
    shared.wait_webhooks()
    assert [request.json["status"] for request in receiver.requests] == ["succeeded"]
    receiver.requests.clear()
    send(shared, receiver, ["start"], n=3)
    shared.wait_webhooks()
    assert [request.json["status"] for request in receiver.requests] == ["starting"]


def test_headers_carry_token_agent_and_trace(shared, receiver):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    send(shared, receiver, headers={"traceparent": trace, "tracestate": "a=b"})
    receiver.wait_completed()
    for request in receiver.requests:
        assert request.method == "POST"
        assert request.headers["authorization"] == "Bearer token-of-the-webhook"
        assert request.headers["user-agent"].startswith("cog-worker/")
        assert request.headers["content-type"] == "application/json"
        assert (request.headers["traceparent"], request.headers["tracestate"]) == (trace, "a=b")


def test_completed_is_tried_again_and_others_are_not(shared, receiver):
    statuses = iter([500, 503, 429, 200])
    receiver.answer = lambda request: (next(statuses), {}, b"")
    send(shared, receiver, ["completed"])
    receiver.wait(lambda requests: len(requests) == 4)
    receiver.requests.clear()
    receiver.answer = lambda request: (500, {}, b"")
    send(shared, receiver, ["start"])
    shared.wait_webhooks()
    assert len(receiver.requests) == 1


def test_a_large_final_state_that_has_waited_comes_whole(shared, receiver):
    statuses = iter([503, 503, 200])
    receiver.answer = lambda request: (next(statuses), {}, b"")
    answer = send(shared, receiver, ["completed"], n=20000)
    receiver.wait(lambda requests: len(requests) == 3)
    assert len(receiver.requests[0].body) > 64 * 1024
    assert {request.body for request in receiver.requests} == {receiver.requests[0].body}
    assert receiver.requests[2].json["output"] == answer.json["output"]


@pytest.mark.parametrize("status", [302, 400, 404, 408, 501])
def test_other_answers_are_not_tried_again(shared, receiver, status):
    receiver.answer = lambda request: (status, {"Location": receiver.url + "/elsewhere"}, b"")
    send(shared, receiver, ["completed"])
    shared.wait_webhooks()
    assert [request.path for request in receiver.requests] == ["/hook"]


def failed_deliveries(server) -> int:
    found = re.search(rb'cog_webhook_deliveries_total\{result="error"\} (\d+)', server.ask("GET", "/metrics").body)
    return int(found[1]) if found else 0


def test_a_receiver_that_was_away_is_told_when_it_is_back(shared):
    """Its port is ours, but nobody listens there at first."""
    with socket.socket() as away:
        away.bind(("127.0.0.1", 0))
        body = {"input": {}, "webhook": f"http://127.0.0.1:{away.getsockname()[1]}/"}
        body["webhook_events_filter"] = ["completed"]
        before = failed_deliveries(shared)
        assert shared.ask("POST", "/predictions", body).status == 200
        until(lambda: failed_deliveries(shared) > before)
        away.listen()
        away.settimeout(10)
        connection, _ = away.accept()
        with connection:
            connection.settimeout(10)
            assert connection.recv(65536).startswith(b"POST / HTTP/1.1\r\n")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    shared.wait_webhooks()


def test_a_dead_receiver_delays_neither_answer_nor_slot(shared):
    for _ in range(3):
        body = {"input": {}, "webhook": "http://127.0.0.1:9/dead"}  # tried again for minutes
        assert shared.ask("POST", "/predictions", body).status == 200


def test_a_slow_receiver_delays_neither_answer_nor_slot(shared, receiver):
    go_on = threading.Event()
    receiver.answer = lambda request: (go_on.wait(15), (200, {}, b""))[1]
    for _ in range(3):
        assert send(shared, receiver).json["status"] == "succeeded"
    go_on.set()
    receiver.wait(lambda requests: [r.json["status"] for r in requests].count("succeeded") == 3)


RETURNS = """
from cog import BasePredictor
class Predictor(BasePredictor):
    def predict(self) -> str:
        return "whole"
"""


def test_a_returned_value_is_an_output_event_too(serve, receiver):
    server = serve(RETURNS)
    send(server, receiver, ["output"])
    server.wait_webhooks()
    (body,) = [request.json for request in receiver.requests]
    assert (body["output"], body["status"]) == ("whole", "processing")
    receiver.requests.clear()
    send(server, receiver)
    server.wait_webhooks()
    bodies = [request.json for request in receiver.requests]
    assert [body["status"] for body in bodies][::len(bodies) - 1] == ["starting", "succeeded"]


def test_failures_are_completed_too(shared, receiver):
    send(shared, receiver, n=2, fail=True)
    body = receiver.wait_completed()[-1]
    assert (body["status"], body["error"], body["output"]) == ("failed", "no", ["0", "1"])
    assert "Traceback" in body["logs"]


def test_asynchronous_predictions_report_the_same_way(shared, receiver):
    answer = shared.begin("hooked", {"n": 2}, webhook=receiver.url)
    assert answer.json["status"] == "starting"
    bodies = receiver.wait_completed()
    assert bodies[0]["status"] == "starting"
    assert {body["id"] for body in bodies} == {"hooked"}
