"""What goes wrong around a message: workers and Redis that end, connections that break, setup that fails."""

from __future__ import annotations

import signal

import pytest

from tests.runtime.server.harness import until
from tests.runtime.server.redis_queue.conftest import Queue

pytestmark = pytest.mark.slow

MODEL = """
import os, time
from cog import BasePredictor

class Predictor(BasePredictor):
    def setup(self):
        if os.path.exists("broken"):
            raise RuntimeError("no weights")
        print("setting up")

    def predict(self, gate: str = "", does: str = "") -> str:
        with open("runs", "a") as runs:
            runs.write("x")
        if does == "fail":
            raise ValueError("not today")
        if does == "die":
            os._exit(7)
        while gate and not os.path.exists(gate):
            time.sleep(0.01)
        return os.environ.get("COGC_REDIS_URL", "done")
"""


@pytest.fixture
def gate(tmp_path):
    return tmp_path / "gate"


@pytest.fixture
def runs(workers):
    """How often the model has run."""

    def count() -> int:
        path = workers.folder / "runs"
        return len(path.read_text()) if path.exists() else 0

    return count


def test_another_worker_takes_over_the_message_of_one_that_was_killed(queue, workers, gate, runs):
    workers.write(MODEL)
    first = workers.start(queue, COGC_REDIS_CLAIM_SECONDS="1")
    key = queue.put(input={"gate": str(gate)}, id="k")
    until(runs, 20, first)
    first.process.kill()
    first.wait()
    assert [entry["consumer"] for entry in queue.pending] == [b"one"]
    gate.touch()
    workers.start(queue, name="two", COGC_REDIS_CLAIM_SECONDS="1")
    answer = queue.answer(key)
    assert (answer["id"], answer["status"]) == ("k", "succeeded")
    queue.wait_empty()
    assert runs() == 2


def test_a_message_that_is_in_work_is_taken_over_by_nobody(queue, workers, gate, runs):
    workers.write(MODEL)
    first = workers.start(queue, COGC_REDIS_CLAIM_SECONDS="2")
    key = queue.put(input={"gate": str(gate)})
    until(runs, 20, first)
    second = workers.start(queue, name="two", COGC_REDIS_CLAIM_SECONDS="2")
    begun = queue.count("xautoclaim")
    until(lambda: queue.count("xautoclaim") > begun + 5, 30, second)
    assert [entry["consumer"] for entry in queue.pending] == [b"one"]
    gate.touch()
    assert queue.answer(key)["status"] == "succeeded"
    queue.wait_empty()
    assert runs() == 1


def test_a_message_that_ended_many_workers_is_given_up(queue, workers, runs):
    workers.write(MODEL)
    key = queue.put(input={})
    ((_, ((identity, _),)),) = queue.client.xreadgroup(queue.name, "dead", {queue.name: ">"}, count=1)
    queue.client.xclaim(queue.name, queue.name, "dead", 0, [identity], idle=60_000, retrycount=5, justid=True)
    workers.start(queue, COGC_REDIS_CLAIM_SECONDS="1")
    answer = queue.answer(key)
    assert answer["status"] == "failed"
    assert answer["error"] == "The message was given up: 5 consumers took it, and none came to an end."
    queue.wait_empty()
    assert runs() == 0


def test_nothing_is_lost_when_redis_is_killed_during_a_prediction(own_redis, workers, gate, runs):
    server = own_redis()
    server.start()
    queue = Queue(server)
    queue.make()
    workers.write(MODEL)
    worker = workers.start(queue)
    key = queue.put(input={"gate": str(gate)}, cancel_key="never")
    queue.answer(key, "processing")
    server.kill()
    gate.touch()
    worker.wait_output("Redis cannot be used")
    server.start()
    assert queue.answer(key)["status"] == "succeeded"
    queue.wait_empty()
    assert queue.ask({})["status"] == "succeeded"
    assert runs() == 2
    assert "Redis can be used again" in worker.output


def test_connections_that_break_are_made_anew(queue, workers, proxy, gate, runs):
    workers.write(MODEL)
    worker = workers.start(queue, port=proxy.port)
    key = queue.put(input={"gate": str(gate)}, cancel_key="never")
    until(runs, 20, worker)
    for _ in range(3):
        before = proxy.accepted
        proxy.cut()
        until(lambda before=before: proxy.accepted > before, 20, worker)
    gate.touch()
    assert queue.answer(key)["status"] == "succeeded"
    queue.wait_empty()
    proxy.cut()  # while it waits for messages
    assert queue.ask({})["status"] == "succeeded"
    queue.wait_empty()
    assert runs() == 2


def test_a_message_that_was_sent_and_never_arrived_is_read_again(queue, workers, proxy, runs):
    workers.write(MODEL)
    lost: list[bytes] = []

    def swallows(answer: bytes) -> bool:
        if b"precious" in answer and not lost:
            lost.append(answer)
            return True
        return False

    proxy.swallows = swallows
    workers.start(queue, port=proxy.port)
    answer = queue.ask({}, id="precious")
    assert (answer["id"], answer["status"]) == ("precious", "succeeded")
    assert len(lost) == 1
    queue.wait_empty()
    assert runs() == 1


def test_a_worker_waits_for_redis_and_for_the_group(own_redis, workers):
    server = own_redis()
    queue = Queue(server)
    workers.write(MODEL)
    worker = workers.start(queue)
    worker.wait_output("Redis cannot be used")
    server.start()
    worker.wait_output(f"`XGROUP CREATE {queue.name} {queue.name} $ MKSTREAM` makes both")
    queue.make()
    assert queue.ask({})["status"] == "succeeded"
    assert worker.output.count("NOGROUP") == 1


def test_a_password_is_used_and_the_model_does_not_see_it(own_redis, workers):
    server = own_redis("--requirepass", "sesame")
    server.start(password="sesame")
    queue = Queue(server)
    queue.make()
    workers.write(MODEL)
    wrong = workers.run(
        "--input-queue", queue.name, "--consumer-id", "w", COGC_REDIS_URL=f"redis://:no@127.0.0.1:{server.port}"
    )
    wrong.wait_output("Redis cannot be used")
    assert wrong.stop() == 0
    worker = workers.run(
        "--input-queue", queue.name, "--consumer-id", "r", COGC_REDIS_URL=f"redis://:sesame@127.0.0.1:{server.port}"
    )
    assert queue.ask({})["output"] == "done"
    assert "sesame" not in worker.output


def test_sigterm_lets_the_message_end_and_takes_no_other(queue, workers, gate, runs):
    workers.write(MODEL)
    worker = workers.start(queue)
    first = queue.put(input={"gate": str(gate)})
    until(runs, 20, worker)
    second = queue.put(input={})
    worker.signal(signal.SIGTERM)
    until(lambda: queue.answer(first, "processing"), 10)
    gate.touch()
    assert worker.wait() == 0
    assert queue.answer(first)["status"] == "succeeded"
    assert queue.client.get(second) is None
    assert queue.length == 1
    assert queue.pending == []
    assert runs() == 1


def test_sigterm_ends_a_worker_that_waits_or_sets_up(queue, workers):
    workers.write(MODEL)
    worker = workers.start(queue)
    queue.ask({})
    queue.wait_empty()
    assert worker.stop() == 0
    workers.write("import time\nprint('loading', flush=True)\ntime.sleep(60)\n" + MODEL)
    other = workers.start(queue)
    other.wait_output("loading")
    assert other.stop() == 0


def test_a_second_signal_hands_the_message_to_another_worker(queue, workers, gate, runs):
    workers.write(MODEL)
    worker = workers.start(queue)
    key = queue.put(input={"gate": str(gate)})
    until(runs, 20, worker)
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGINT)
    assert worker.wait() == 0
    assert queue.answer(key, "processing")["status"] == "processing"
    gate.touch()
    workers.start(queue, name="two")  # which takes it at once, not after ten minutes
    assert queue.answer(key)["status"] == "succeeded"
    queue.wait_empty()
    assert runs() == 2


def test_a_worker_ends_though_redis_is_away_and_the_message_stays(own_redis, workers, gate, runs):
    server = own_redis()
    server.start()
    queue = Queue(server)
    queue.make()
    workers.write(MODEL)
    worker = workers.start(queue)
    queue.put(input={"gate": str(gate)})
    until(runs, 20, worker)
    worker.signal()
    server.kill()
    gate.touch()
    assert worker.wait(40) == 0
    server.start()
    assert queue.length == 1
    assert [entry["consumer"] for entry in queue.pending] == [b"one"]


def test_a_webhook_that_is_away_at_the_end_leaves_the_message_to_another_worker(queue, workers, receiver, gate, runs):
    workers.write(MODEL)
    worker = workers.start(queue)
    receiver.answer = lambda request: (503, {}, b"")
    queue.put(input={"gate": str(gate)}, webhook=receiver.url)
    until(runs, 20, worker)
    worker.signal()
    gate.touch()
    assert worker.wait(30) == 0
    assert queue.length == 1
    receiver.answer = lambda request: (200, {}, b"")
    workers.start(queue, name="two")
    queue.wait_empty()
    assert receiver.requests[-1].json["status"] == "succeeded"


def test_a_setup_that_fails_is_reported_and_ends_the_worker(queue, workers, receiver):
    workers.write(MODEL)
    (workers.folder / "broken").touch()
    key = queue.put(input={})
    worker = workers.start(queue, "--report-setup-run-url", receiver.url + "/setup")
    assert worker.wait() == 1
    (request,) = receiver.requests
    assert (request.method, request.path, request.headers["content-type"]) == ("POST", "/setup", "application/json")
    report = request.json
    assert report.pop("started_at").endswith("Z")
    assert report.pop("completed_at").endswith("Z")
    assert report.pop("logs").endswith("RuntimeError: no weights\n")
    assert report == {"status": "failed"}
    assert queue.client.get(key) is None
    assert queue.pending == []


def test_a_setup_that_succeeds_is_reported_too(queue, workers, receiver):
    workers.write(MODEL)
    workers.start(queue, "--report-setup-run-url", receiver.url)
    receiver.answer = lambda request: (200 if len(receiver.requests) > 1 else 503, {}, b"")
    receiver.wait(lambda requests: len(requests) == 2, 20)
    assert receiver.requests[1].json["status"] == "succeeded"
    assert receiver.requests[1].json["logs"] == "setting up\n"


def test_a_worker_ends_after_too_many_failures_in_a_row(queue, workers):
    workers.write(MODEL)
    worker = workers.start(queue, "--max-failure-count", "1")
    for does in ("fail", "", "fail"):
        queue.ask({"does": does})
    queue.ask({"does": 7})
    queue.put_raw("no json")
    assert worker.process.poll() is None
    queue.ask({"does": "fail"})
    assert worker.wait() == 1
    assert "2 predictions in a row have failed" in worker.output
    queue.wait_empty()


def test_a_worker_ends_when_the_model_dies_again_and_again(queue, workers):
    workers.write(MODEL)
    worker = workers.start(queue, COGC_MAX_CRASHES="2")
    for _ in range(2):
        assert "exit code 7" in queue.ask({"does": "die"})["error"]
    assert worker.wait() == 1
    queue.wait_empty()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "the following arguments are required: --redis-host, --input-queue, --consumer-id"),
        (["localhost", "6379"], "2 arguments without a flag: there are 7, or 8"),
        (["h", "x", "q", "", "c", "m", "l"], "REDIS_PORT: invalid value: 'x'"),
        (["h", "1", "q", "", "c", "m", "l", "--input-queue", "q"], "--input-queue and arguments without a flag"),
        (["--redis-host", "h", "--redis-port", "0"], "invalid port value: '0'"),
        (["--predict-timeout", "never"], "invalid number of seconds value: 'never'"),
    ],
)
def test_a_wrong_command_line_ends_with_2(workers, arguments, error):
    workers.write(MODEL)
    worker = workers.run(*arguments)
    assert worker.wait() == 2
    assert error in worker.output
    assert "Traceback" not in worker.output


@pytest.mark.parametrize("url", ["http://h", "redis://h:x", "redis://h?no_such_option=1"])
def test_a_wrong_url_is_an_error(workers, url):
    workers.write(MODEL)
    worker = workers.run("--input-queue", "q", "--consumer-id", "c", COGC_REDIS_URL=url)
    assert worker.wait() in (1, 2)
    assert "COGC_REDIS_URL" in worker.output
    assert "Traceback" not in worker.output


def test_without_a_model_there_is_nothing_to_start(workers):
    worker = workers.run("--redis-host", "h", "--input-queue", "q", "--consumer-id", "c")
    assert worker.wait() == 1
    assert worker.output.startswith("cog.server.redis_queue: there is no `predict` in cog.yaml")


def test_the_version_is_told(workers):
    worker = workers.run("--version")
    assert worker.wait() == 0
    assert worker.output.startswith("cog.server.redis_queue 0.")
