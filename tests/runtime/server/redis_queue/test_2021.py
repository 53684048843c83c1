"""The queue of 2021: its messages, its answers, and its class."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.slow

MODEL = """
import cog
import tempfile
from pathlib import Path

class Predictor(cog.Predictor):
    def setup(self):
        print("setting up")

    @cog.input("text", type=str, default="hi", options=["hi", "ho", "two", "none", "fail", "file"])
    @cog.input("scale", type=float, default=1.5, max=10)
    @cog.input("file", type=Path, default=None)
    def predict(self, text, scale, file):
        print("running", text)
        if text == "fail":
            raise ValueError("not today")
        if text == "file":
            path = Path(tempfile.mkdtemp()) / ("made" + file.suffix)
            path.write_text(file.name + ":" + file.read_text())
            return path
        if text in ("two", "none"):
            return iter(["1", "2"] if text == "two" else [])
        return text + str(scale)
"""
YIELDS = """
import cog

class Predictor(cog.Predictor):
    def setup(self):
        pass

    @cog.input("count", type=int, default=3)
    @cog.input("fails", type=bool, default=False)
    def predict(self, count, fails):
        for number in range(count):
            yield number
        if fails:
            raise ValueError("at last")
"""


def answers(queue: Any, **message: Any) -> list[Any]:
    """All answers to a message, once it is acknowledged."""
    key = queue.put(**message)
    queue.wait_empty()
    return [json.loads(answer) for answer in queue.client.lrange(key, 0, -1)]


def test_values_come_as_text_and_are_answered_with_success(queue, workers):
    workers.write(MODEL)
    workers.run("127.0.0.1", str(queue.server.port), queue.name, "", "one", "m", f"{queue.name}:logs")
    found = answers(queue, id="v", inputs={"text": {"value": "ho"}, "scale": {"value": "2"}})
    assert found == [{"status": "success", "value": "ho2.0"}]
    assert answers(queue, inputs={}) == [{"status": "success", "value": "hi1.5"}]
    lines = [json.loads(line) for line in queue.client.lrange(f"{queue.name}:logs", 0, -1)]
    assert [(line["stage"], line["id"], line["line"]) for line in lines][:2] == [
        ("setup", "m", "setting up"),
        ("run", "v", "running ho"),
    ]


def test_what_is_wrong_is_answered_with_failed(queue, workers):
    workers.write(MODEL)
    workers.start(queue)
    for inputs, error in (
        ({"text": {"value": "fail"}}, "not today"),
        ({"scale": {"value": "11"}}, "scale: ensure this value is less than or equal to 10"),
        ({"scale": 3}, 'inputs.scale: either {"value": …} or {"file": {"url": …}} is expected'),
        ({"file": {"file": {"name": "x"}}}, 'inputs.file: either {"value": …} or {"file": {"url": …}} is expected'),
        ({"file": {"file": {"url": "/etc/passwd"}}}, "file: '/etc/passwd' is not a valid URL scheme."),
        ([1], "inputs: value is not a valid dict"),
        ({"text": {"value": json.loads("[" * 500 + "]" * 500)}}, "the JSON is nested too deeply"),
    ):
        (answer,) = answers(queue, inputs=inputs)
        assert answer["status"] == "failed"
        assert answer["error"].startswith(error)


def test_a_model_that_yields_is_answered_for_each_value(queue, workers):
    workers.write(YIELDS)
    workers.start(queue)
    processing = [{"status": "processing", "value": number} for number in range(3)]
    assert answers(queue, inputs={}) == [*processing[:2], {"status": "success", "value": 2}]
    assert answers(queue, inputs={"count": {"value": 0}}) == [{"status": "success", "value": None}]
    found = answers(queue, inputs={"fails": {"value": "true"}})
    assert found == [*processing, {"status": "failed", "error": "at last"}]


@pytest.mark.parametrize("uploads", [True, False])
def test_files_have_their_names(queue, workers, receiver, uploads):
    workers.write(MODEL)
    receiver.answer = lambda request: (200, {}, b"content" if request.method == "GET" else b"")
    workers.start(queue, *(["--upload-url", receiver.url + "/up"] if uploads else []))
    given = {"file": {"file": {"url": receiver.url + "/0815", "name": "cat.txt"}}, "text": {"value": "file"}}
    (answer,) = answers(queue, inputs=given)
    assert answer["status"] == "success"
    assert answer["file"]["name"] == "made.txt"
    if uploads:
        assert answer["file"]["url"] == receiver.url + "/up/made.txt"
        assert receiver.requests[-1].body == b"cat.txt:content"
    else:
        assert answer["file"]["url"].startswith("data:text/plain;base64,")


def test_messages_of_today_are_understood_beside_them(queue, workers):
    workers.write(MODEL)
    workers.start(queue)
    assert queue.ask({"text": "ho"})["output"] == "ho1.5"


def test_the_class_starts_a_worker(queue, workers):
    workers.write(MODEL)
    (workers.folder / "cog.yaml").unlink()
    main = f"""
if __name__ == "__main__":
    cog.RedisQueueWorker(
        Predictor(), redis_host="127.0.0.1", redis_port={queue.server.port}, input_queue={queue.name!r},
        upload_url="", consumer_id="one", model_id="m", log_queue="", predict_timeout=30,
    ).start()
"""
    (workers.folder / "predict.py").write_text(MODEL + main)
    worker = workers.run(command=("predict.py",))
    assert answers(queue, inputs={}) == [{"status": "success", "value": "hi1.5"}], worker.output
    assert worker.stop() == 0
