"""The end of the server: signals, /shutdown, grace, and what clients and webhooks are told."""

from __future__ import annotations

import contextlib
import signal
import threading

import pytest

from tests.runtime.server.harness import PATIENCE_SECONDS, impatient_python

MODEL = """
import signal, time
from cog import BasePredictor
class Predictor(BasePredictor):
    def predict(self, seconds: float = 0, stubborn: bool = False) -> str:
        end = time.time() + seconds
        while time.time() < end:
            try:
                print("waiting", flush=True)
                time.sleep(max(end - time.time(), 0))
            except BaseException:
                if not stubborn:
                    raise
        return "done"
"""
HANGING = """
import signal, time
from cog import BasePredictor
class Predictor(BasePredictor):
    def setup(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("hanging", flush=True)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    def predict(self) -> str:
        return ""
"""


# A grace that nobody here waits for.
LONG = {"COGC_SHUTDOWN_GRACE_SECONDS": "600"}


def test_an_idle_server_ends_with_0(serve):
    server = serve(MODEL, environment=LONG)
    assert server.stop() == 0


def test_the_running_prediction_may_end_within_the_grace(serve):
    server = serve(MODEL)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(server.predict(seconds=1.0)))
    thread.start()
    server.wait_health("BUSY")
    assert server.stop() == 0
    thread.join()
    assert answers[0]["status"] == "succeeded"


def test_nobody_is_served_during_the_grace(serve, wait_until):
    server = serve(MODEL, environment=LONG)
    server.begin("last", {"seconds": 600})
    server.wait_status("last", "processing")
    server.process.send_signal(signal.SIGTERM)

    def is_refused() -> bool:
        with contextlib.closing(server.connect()) as connection:
            try:
                connection.connect()
            except ConnectionRefusedError:
                return True
        return False

    wait_until(is_refused)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)  # a second one skips the wait
    assert server.process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize("stubborn", [False, True])
def test_after_the_grace_it_is_cancelled_and_the_webhook_is_told(serve, receiver, wait_until, tmp_path, stubborn):
    """The webhook has 3 seconds at most; here it has as long as a busy machine takes."""
    python = impatient_python(
        tmp_path, "import cog_server.main as m; m.LEAST_WEBHOOK_SECONDS = m.MOST_WEBHOOK_SECONDS = 60"
    )
    server = serve(MODEL, environment={"COGC_SHUTDOWN_GRACE_SECONDS": "0.3", "COGC_SERVER_PYTHON": python})
    inputs = {"seconds": 600, "stubborn": stubborn}
    server.begin("last", inputs, webhook=receiver.url, webhook_events_filter=["completed"])
    wait_until(lambda: "waiting" in server.output, context=server)
    assert server.stop() == 0
    (body,) = receiver.wait_completed()
    assert (body["id"], body["status"]) == ("last", "canceled")


def test_it_ends_while_setup_hangs_and_ignores_signals(serve, wait_until):
    server = serve(HANGING, environment=LONG, states=("STARTING",))
    wait_until(lambda: "hanging" in server.output, context=server)
    assert server.stop() == 0


def test_a_dead_webhook_receiver_does_not_hold_the_end_up(serve):
    server = serve(MODEL, environment=LONG)
    server.ask("POST", "/predictions", {"input": {}, "webhook": "http://127.0.0.1:9/"})
    assert server.stop() == 0


def test_shutdown_by_request(serve):
    server = serve(MODEL)
    answer = server.ask("POST", "/shutdown")
    assert (answer.status, answer.body) == (200, b"{}")
    assert server.process.wait(PATIENCE_SECONDS) == 0


def test_explicit_shutdown_ignores_sigterm(serve):
    server = serve(MODEL, "--await-explicit-shutdown=true")
    server.process.send_signal(signal.SIGTERM)
    for _ in range(2):  # by the second one the signal has certainly come
        assert server.predict()["output"] == "done"
    server.ask("POST", "/shutdown")
    assert server.process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize("arguments", [(), ("--await-explicit-shutdown=1",)])
def test_sigint_ends_it_too(serve, arguments):
    server = serve(MODEL, *arguments)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(PATIENCE_SECONDS) == 0


def test_a_failed_setup_is_no_failure_of_a_server_that_waits_for_its_end(serve):
    broken = MODEL.replace("    def predict", "    def setup(self): raise ValueError('no')\n    def predict")
    server = serve(broken, "--await-explicit-shutdown=false", states=("SETUP_FAILED",))  # any text counts as yes
    server.process.send_signal(signal.SIGTERM)
    assert server.health()["status"] == "SETUP_FAILED"
    server.ask("POST", "/shutdown")
    assert server.process.wait(PATIENCE_SECONDS) == 0
