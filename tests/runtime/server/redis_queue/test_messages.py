"""Messages of the queue: what they may say, and how they are answered."""

from __future__ import annotations

import itertools
import json
import threading
from typing import Any

import pytest

from tests.runtime.server.harness import until

pytestmark = pytest.mark.slow

numbers = itertools.count()
MODEL = """
import os, sys, time
from typing import Iterator
from cog import BasePredictor, Input, Path, Secret

class Predictor(BasePredictor):
    def setup(self):
        print("setting up")

    def predict(
        self,
        text: str = "hi",
        count: int = Input(default=2, ge=1, le=5),
        gate: str = "",
        does: str = "",
        token: Secret = None,
        file: Path = None,
    ) -> Iterator[str]:
        if file is not None:
            text = file.read_text() + file.suffix
        if does == "sleep":
            time.sleep(60)
        if does == "fail":
            raise ValueError("not today, " + token.get_secret_value() if token else "not today")
        if does == "die":
            os._exit(7)
        for number in range(count):
            print("line", number)
            yield text + str(number)
            while gate and not os.path.exists(gate):
                time.sleep(0.01)
"""


def test_a_message_is_answered_in_its_response_queue_and_taken_from_the_stream(queue, workers):
    workers.write(MODEL)
    workers.start(queue)
    answer = queue.ask({"text": "a"}, id="one", mine={"large": 2**70, "kept": None}, status="odd")
    assert answer.pop("metrics")["predict_time"] > 0
    for name in ("started_at", "completed_at"):
        assert answer.pop(name).endswith("Z")
    assert answer == {
        "id": "one",
        "response_queue": answer["response_queue"],
        "mine": {"large": 2**70, "kept": None},
        "input": {"text": "a", "count": 2, "gate": "", "does": ""},
        "status": "succeeded",
        "output": ["a0", "a1"],
        "logs": "line 0\nline 1\n",
    }
    queue.wait_empty()


def test_snapshots_show_the_state_from_the_start_on(queue, workers, tmp_path):
    workers.write(MODEL)
    workers.start(queue)
    gate = tmp_path / "gate"
    seen: list[Any] = []
    with queue.client.pubsub() as events:
        key = f"{queue.name}:watched"
        events.subscribe(f"__keyspace@0__:{key}")

        def watch() -> None:
            for event in events.listen():
                if event["type"] == "message":
                    seen.append(json.loads(queue.client.get(key)))
                    if seen[-1]["status"] != "processing":
                        return

        thread = threading.Thread(target=watch)
        thread.start()
        queue.put(input={"gate": str(gate)}, response_queue=key)
        until(lambda: seen and seen[-1]["output"] == ["hi0"], 20)
        assert seen[-1]["logs"] == "line 0\n"
        assert "completed_at" not in seen[-1]
        gate.touch()
        thread.join(20)
    assert seen[0]["status"] == "processing"
    assert seen[-1]["status"] == "succeeded"
    assert seen[-1]["output"] == ["hi0", "hi1"]


def test_a_webhook_wins_over_the_response_queue(queue, workers, receiver):
    workers.write(MODEL)
    workers.start(queue)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    key = queue.put(input={"count": 1}, id="w", webhook=receiver.url + "/hook", traceparent=trace, more=1)
    bodies = receiver.wait_completed(20)
    assert [body["status"] for body in bodies][0] == "processing"
    assert bodies[-1]["output"] == ["hi0"]
    assert bodies[-1]["more"] == 1
    assert bodies[-1]["webhook"] == receiver.url + "/hook"
    assert receiver.requests[-1].headers["traceparent"] == trace
    queue.wait_empty()
    assert queue.client.get(key) is None


def test_the_last_event_comes_whatever_the_filter_says(queue, workers, receiver):
    workers.write(MODEL)
    workers.start(queue)
    queue.put(input={}, webhook=receiver.url, webhook_events_filter=["start"])
    statuses = [body["status"] for body in receiver.wait_completed(20)]
    assert statuses == ["processing", "succeeded"]


def test_a_message_stays_until_its_webhook_has_the_last_state(queue, workers, receiver):
    workers.write(MODEL)
    workers.start(queue)
    kept: list[int] = []

    def answer(request: Any) -> tuple[int, dict[str, str], bytes]:
        if request.json["status"] != "succeeded":
            return 200, {}, b""
        kept.append(queue.length)
        return (200 if len(kept) > 2 else 503), {}, b""

    receiver.answer = answer
    queue.put(input={}, webhook=receiver.url)
    queue.wait_empty()
    assert kept == [1, 1, 1]


def test_a_cancel_key_cancels(queue, workers):
    workers.write(MODEL)
    workers.start(queue)
    key = queue.put(input={"does": "sleep"}, cancel_key=f"{queue.name}:cancel")
    queue.answer(key, "processing")
    queue.client.set(f"{queue.name}:cancel", "")
    answer = queue.answer(key)
    assert answer["status"] == "canceled"
    assert "error" not in answer
    queue.wait_empty()
    assert queue.ask({})["status"] == "succeeded"


def test_a_prediction_fails_when_its_time_is_up(queue, workers):
    workers.write(MODEL)
    workers.start(queue, "--predict-timeout", "0.5")
    answer = queue.ask({"does": "sleep"})
    assert (answer["status"], answer["error"]) == ("failed", "Prediction timed out")
    queue.wait_empty()
    assert queue.ask({})["status"] == "succeeded"


def test_a_model_that_fails_or_dies_is_one_failed_prediction(queue, workers):
    workers.write(MODEL)
    workers.start(queue)
    failed = queue.ask({"does": "fail"})
    assert (failed["status"], failed["error"]) == ("failed", "not today")
    assert "Traceback" in failed["logs"]
    died = queue.ask({"does": "die"})
    assert died["status"] == "failed"
    assert "exit code 7" in died["error"]
    assert queue.ask({})["status"] == "succeeded"
    queue.wait_empty()


def test_wrong_input_is_answered_with_all_that_is_wrong(queue, workers):
    workers.write(MODEL)
    workers.start(queue)
    answer = queue.ask({"count": 9, "text": 3, "token": "open sesame"}, id="x")
    assert answer["status"] == "failed"
    assert answer["error"] == ("text: str type expected; count: ensure this value is less than or equal to 5")
    assert answer["input"] == {"count": 9, "text": 3, "token": "**********"}
    assert "started_at" not in answer
    queue.wait_empty()


def test_secrets_are_shown_nowhere(queue, workers):
    workers.write(MODEL)
    worker = workers.start(queue, "--log-queue", f"{queue.name}:logs")
    key = queue.put(input={"does": "fail", "token": "open sesame"})
    answer = queue.answer(key)
    queue.wait_empty()
    assert answer["error"] == "not today, **********"
    logs = b"".join(queue.client.lrange(f"{queue.name}:logs", 0, -1))
    assert b"Traceback" in logs
    for text in (json.dumps(answer), logs.decode(), worker.output):
        assert "sesame" not in text


def test_files_come_by_url_and_go_to_the_upload_url(queue, workers, receiver):
    workers.write(
        "from cog import BasePredictor, Path\n"
        "class Predictor(BasePredictor):\n"
        "    def predict(self, file: Path) -> Path:\n"
        "        made = Path('/tmp') / ('cog-redis-out' + file.suffix)\n"
        "        made.write_text(file.read_text().upper())\n"
        "        return made\n"
    )
    receiver.answer = lambda request: (200, {}, b"content" if request.method == "GET" else b"")
    workers.start(queue, "--upload-url", receiver.url + "/up/")
    answer = queue.ask({"file": receiver.url + "/in/a.txt"}, id="f1")
    assert answer["output"] == receiver.url + "/up/cog-redis-out.txt"
    assert answer["input"] == {"file": receiver.url + "/in/a.txt"}
    uploaded = next(request for request in receiver.requests if request.method == "PUT")
    assert (uploaded.body, uploaded.headers["x-prediction-id"]) == (b"CONTENT", "f1")


def test_an_upload_that_is_refused_is_a_failed_prediction(queue, workers, receiver):
    workers.write(
        "import tempfile\nfrom cog import BasePredictor, Path\n"
        "class Predictor(BasePredictor):\n"
        "    def predict(self) -> Path:\n"
        "        return Path(tempfile.mkstemp()[1])\n"
    )
    receiver.answer = lambda request: (403, {}, b"")
    workers.start(queue, "--upload-url", receiver.url)
    answer = queue.ask({})
    assert answer["status"] == "failed"
    assert "the server answered 403" in answer["error"]


def test_statistics_and_log_lines_are_kept(queue, workers):
    workers.write(MODEL)
    workers.start(queue, "--log-queue", f"{queue.name}:logs", "--model-id", "m")
    queue.ask({"count": 1}, id="p")
    queue.wait_empty()
    for name in ("setup-time", "run-time"):
        ((_, fields),) = until(lambda name=name: queue.client.xrange(f"{queue.name}-{name}"), 10)
        assert float(fields[b"duration"]) > 0
    lines = [json.loads(line) for line in queue.client.lrange(f"{queue.name}:logs", 0, -1)]
    assert all(line.pop("timestamp_sec") > 1.7e9 for line in lines)
    assert lines == [
        {"stage": "setup", "id": "m", "line": "setting up"},
        {"stage": "run", "id": "p", "line": "line 0"},
    ]


def test_the_older_command_line_says_the_same(queue, workers):
    workers.write(MODEL)
    port = str(queue.server.port)
    workers.run("127.0.0.1", port, queue.name, "", "one", "m", f"{queue.name}:logs", "0.5")
    assert queue.ask({"does": "sleep"})["error"] == "Prediction timed out"
    assert queue.client.llen(f"{queue.name}:logs") > 0


def test_answers_can_be_pushed_to_a_list(queue, workers):
    workers.write(MODEL)
    workers.start(queue, "--list-responses")
    key = queue.put(input={}, id="l")
    queue.wait_empty()
    answers = [json.loads(answer) for answer in queue.client.lrange(key, 0, -1)]
    assert answers[0]["status"] == "processing"
    assert answers[-1]["status"] == "succeeded"
    assert answers[-1]["logs"] == ["line 0", "line 1"]
    assert sorted(answers[-1]["x-experimental-timestamps"]) == ["completed_at", "started_at"]
    assert "completed_at" not in answers[-1]


def test_an_async_model_runs_as_many_messages_as_it_has_slots(queue, workers):
    workers.write(
        "import asyncio\nfrom cog import BasePredictor\n"
        "class Predictor(BasePredictor):\n"
        "    def setup(self):\n"
        "        self.count = 0\n"
        "    async def predict(self) -> int:\n"
        "        self.count += 1\n"
        "        while self.count < 3:\n"
        "            await asyncio.sleep(0.01)\n"
        "        return self.count\n"
    )
    workers.start(queue, COG_MAX_CONCURRENCY="3")
    keys = [queue.put(input={}, id=f"c{number}") for number in range(3)]
    assert [queue.answer(key)["output"] for key in keys] == [3, 3, 3]
    queue.wait_empty()


def test_two_messages_with_one_id_run_one_after_the_other(queue, workers):
    workers.write(
        "import asyncio\nfrom cog import BasePredictor\n"
        "class Predictor(BasePredictor):\n"
        "    running = most = 0\n"
        "    async def predict(self) -> int:\n"
        "        self.running += 1\n"
        "        self.most = max(self.most, self.running)\n"
        "        await asyncio.sleep(0.2)\n"
        "        self.running -= 1\n"
        "        return self.most\n"
    )
    workers.start(queue, COG_MAX_CONCURRENCY="2")
    keys = [queue.put(input={}, id="same") for _ in range(2)]
    assert [queue.answer(key)["output"] for key in keys] == [1, 1]
    queue.wait_empty()


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (b"no json", None),
        (b'["a", "list"]', None),
        (b"null", None),
        (b"", None),
        (b'{"response_queue": "KEY", "input": ' + b"[" * 100_000, None),
        (b'{"response_queue": "KEY", "input": {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", None),
        (b'{"response_queue": "KEY", "input": {"x": ' + b"[" * 900 + b"]" * 900 + b"}}", "nested too deeply"),
        (b'{"response_queue": "KEY", "input": {}, "x": ' + b"[" * 900 + b"]" * 900 + b"}", "nested too deeply"),
        (b'{"response_queue": "KEY", "input": {"text": "\xff\xfe"}}', "the message is not UTF-8"),
        (b'{"response_queue": "KEY", "input": {"text": "' + b"x" * 40_000 + b'"}}', "larger than 30000 bytes"),
        (b'{"response_queue": "KEY", "input": [1]}', "value is not a valid dict"),
        (b'{"response_queue": "KEY", "input": {}, "id": 5}', "id: str type expected"),
        (b'{"response_queue": "KEY", "input": {}, "webhook": "file:///etc/passwd"}', "webhook: invalid"),
        (b'{"response_queue": "KEY", "input": {}, "webhook_events_filter": ["x"]}', "webhook_events_filter.0"),
        (b'{"response_queue": "KEY", "input": {"text": null}}', "text: none is not an allowed value"),
        (b'{"response_queue": 7, "input": {"count": "x"}}', None),
        (b'{"response_queue": "\\ud800", "input": {"count": "x"}}', None),
        (b'{"input": {"count": "x"}}', None),
    ],
)
def test_a_message_that_cannot_be_run_is_answered_where_that_is_possible(queue, hostile, value, error):
    worker, queue = hostile
    key = f"{queue.name}:hostile{next(numbers)}"
    queue.put_raw(value.replace(b"KEY", key.encode()))
    if error is None:
        queue.wait_empty()
        assert queue.client.get(key) is None
    else:
        answer = queue.answer(key)
        assert answer["status"] == "failed"
        assert error in answer["error"]
        queue.wait_empty()
    assert worker.process.poll() is None, worker.output
    assert "Traceback" not in worker.output


@pytest.fixture(scope="module")
def hostile(shared_redis, tmp_path_factory):
    """One worker for all hostile messages, which must survive them."""
    from tests.runtime.server.redis_queue.conftest import Queue, Workers

    queue = Queue(shared_redis)
    queue.make()
    workers = Workers(tmp_path_factory.mktemp("hostile"))
    workers.write(MODEL)
    worker = workers.start(queue, "--max-failure-count", "0", COGC_MAX_BODY_BYTES="30000")
    yield worker, queue
    assert queue.ask({})["status"] == "succeeded", worker.output
    workers.close()


def test_a_message_without_the_field_is_dropped(hostile):
    worker, queue = hostile
    queue.put_raw("{}", field="other")
    queue.wait_empty()
    worker.wait_output("it has no field `value`")


def test_large_messages_are_run_and_too_large_ones_are_answered(queue, workers):
    workers.write(MODEL)
    workers.start(queue, COGC_MAX_BODY_BYTES="20000000")
    key = f"{queue.name}:large"
    queue.put_raw(b'{"response_queue":"%s","id":"big","input":{"text":"%s"}}' % (key.encode(), b"x" * 30_000_000))
    answer = queue.answer(key)
    assert answer["error"] == "the message is larger than 20000000 bytes"
    assert answer["id"] == "big"
    queue.wait_empty()
    large = queue.ask({"text": "y" * 10_000_000, "count": 1})
    assert large["output"] == ["y" * 10_000_000 + "0"]


def test_no_answer_takes_the_place_of_the_queue(queue, workers):
    workers.write(MODEL)
    worker = workers.start(queue)
    queue.put(input={}, response_queue=queue.name)
    worker.wait_output("in a key of the queue's own")
    assert queue.ask({})["status"] == "succeeded"


def test_an_answer_that_redis_refuses_is_lost_and_nothing_else(queue, workers):
    workers.write(MODEL)
    worker = workers.start(queue, "--list-responses")
    queue.client.set(f"{queue.name}:text", "x")
    queue.put(input={}, response_queue=f"{queue.name}:text")
    queue.wait_empty()
    assert "WRONGTYPE" in worker.output
    key = queue.put(input={})
    queue.wait_empty()
    assert queue.client.llen(key) > 1
