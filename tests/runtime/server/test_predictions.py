"""What a client sees of predictions: answers, ids, cancels, logs, checks of inputs."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from tests.runtime.server.harness import until

MODEL = """
import os, subprocess, sys, time
from typing import Any, Iterator, List, Optional
from cog import BasePredictor, Input, Path, Secret, CancelationException

class Predictor(BasePredictor):
    def setup(self):
        print("setting up")

    def predict(self, do: str = "echo", text: str = Input(default="x", max_length=2000000), n: int = Input(default=3, ge=0, le=200000),
                scale: float = 1.5, flag: bool = False, size: str = Input(default="a", choices=["a", "b"]),
                file: Optional[Path] = None, files: List[Path] = Input(default=[]), token: Optional[Secret] = None,
                maybe: int = Input(default=None), anything: Any = None) -> Any:
        return getattr(self, do)(**{k: v for k, v in locals().items() if k not in ("self", "do")})

    def echo(self, text, **_): return "hello " + text
    def types(self, n, scale, flag, size, maybe, **_):
        return [n, scale, flag, size, maybe, type(scale).__name__]
    def falsy(self, n, **_): return [False, 0, [], ""][n]
    def anyvalue(self, anything, **_): return anything
    def sleep(self, scale, **_):
        try:
            print("sleeping", flush=True)
            time.sleep(scale)
        except CancelationException:
            print("cleaning up")
            raise
        return "slept"
    def gate(self, text, **_):
        while not os.path.exists(text): time.sleep(0.01)
        return "passed"
    def fail(self, text, **_): raise ValueError("failed with " + text)
    def write(self, **_):
        print("from print"); sys.stdout.flush()
        os.write(1, b"from descriptor\\n")
        subprocess.run(["sh", "-c", "echo from child; echo from stderr >&2"])
        print("  indented")
    def lines(self, n, **_):
        for i in range(n): print("line", i)
        return n
    def stdin(self, **_): return repr(sys.stdin.read())
    def read(self, file, **_): return [os.path.basename(str(file)), open(file, "rb").read().decode("latin-1")[:100]]
    def readall(self, files, **_): return [open(file).read() for file in files]
    def leak(self, token, **_):
        print("the token is", token.get_secret_value())
        raise RuntimeError("bad token " + token.get_secret_value())
    def exit(self, n, **_): sys.exit(n)
    def path(self, **_):
        with open("/tmp/cog-test-output.txt", "w") as file: file.write("content")
        return Path("/tmp/cog-test-output.txt")
    def big(self, n, **_): return "y" * n * 100
    def where(self, **_): return [sys.executable, "httptools" in sys.modules, "msgspec" in sys.modules]
"""


def test_a_prediction_has_all_fields_of_its_answer(shared):
    answer = shared.predict(text="world")
    assert answer["output"] == "hello world"
    assert answer["status"] == "succeeded"
    assert answer["error"] is None
    assert answer["logs"] == ""
    assert answer["input"]["text"] == "world"
    assert answer["input"]["scale"] == 1.5
    assert answer["metrics"]["predict_time"] >= 0
    assert len(answer["id"]) == 26
    assert answer["created_at"] <= answer["started_at"] <= answer["completed_at"]
    assert answer["completed_at"].endswith("+00:00")


def test_a_sequential_client_is_never_refused(shared):
    connection = shared.connect()
    for _ in range(600):
        connection.request("POST", "/predictions", b'{"input":{}}')
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
    connection.close()


def test_falsy_outputs_stay_what_they_are(shared):
    assert [shared.predict(do="falsy", n=n)["output"] for n in range(4)] == [False, 0, [], ""]


def test_no_body_and_null_input_mean_defaults(shared):
    assert shared.ask("POST", "/predictions").json["output"] == "hello x"
    assert shared.ask("POST", "/predictions", {"input": None}).json["output"] == "hello x"


def test_numbers_and_booleans_may_be_text_and_an_integer_becomes_a_float(shared):
    output = shared.predict(do="types", n="7", scale=2, flag="True")["output"]
    assert output == [7, 2.0, True, "a", None, "float"]


def test_none_default_is_optional_and_any_takes_any_json(shared):
    assert shared.predict(do="types", maybe=None)["output"][4] is None
    value = {"a": [1, {"b": None}], "big": 2**80}
    assert shared.predict(do="anyvalue", anything=value)["output"] == value


@pytest.mark.parametrize(
    ("inputs", "name", "message"),
    [
        ({"n": 300000}, "n", "ensure this value is less than or equal to 200000"),
        ({"n": -1}, "n", "ensure this value is greater than or equal to 0"),
        ({"n": "many"}, "n", "value is not a valid integer"),
        ({"n": 1.5}, "n", "value is not a valid integer"),
        ({"n": True}, "n", "value is not a valid integer"),
        ({"scale": "nan"}, "scale", "value is not a valid float"),
        ({"size": "c"}, "size", "value is not a valid enumeration member; permitted: 'a', 'b'"),
        ({"text": 5}, "text", "str type expected"),
        ({"n": None}, "n", "none is not an allowed value"),
        ({"files": "x"}, "files", "value is not a valid list"),
        ({"file": "/etc/passwd"}, "file", "'/etc/passwd' is not a valid URL scheme."),
        ({"file": "file:///etc/passwd"}, "file", "is not a valid URL scheme. 'data', 'http', or 'https' is supported."),
        ({"files": ["ftp://x/y"]}, "files", "is not a valid URL scheme"),
        ({"file": "http://"}, "file", "the URL names no host"),
        ({"file": "https:///a/b"}, "file", "the URL names no host"),
    ],
)
def test_invalid_inputs_are_named(shared, inputs, name, message):
    answer = shared.ask("POST", "/predictions", {"input": inputs})
    assert answer.status == 422
    (problem,) = answer.json["detail"]
    assert problem["loc"][:3] == ["body", "input", name]
    assert message in problem["msg"]


def test_every_problem_is_listed(shared):
    answer = shared.ask("POST", "/predictions", {"input": {"n": "x", "size": "z"}})
    assert [problem["loc"][2] for problem in answer.json["detail"]] == ["n", "size"]


def test_unknown_inputs_and_fields_are_ignored(shared):
    answer = shared.ask("POST", "/predictions", {"input": {"nope": 1}, "other": 2})
    assert answer.status == 200
    assert "nope" not in answer.json["input"]
    assert "other" not in answer.json


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"input": "\xff"}',
        b"[" * 200000,
        b'{"a":' * 100000,
        b'{"input": NaN}',
        b'{"input": []}',
    ],
)
def test_bodies_that_are_no_object_are_refused_in_json(shared, body):
    answer = shared.ask("POST", "/predictions", body)
    assert answer.status == 422
    assert answer.json["detail"][0]["msg"]


def test_duplicate_keys_are_read_and_shown_as_the_same_value(shared):
    answer = shared.ask("POST", "/predictions", b'{"input": {"text": "one", "text": "two"}}').json
    assert answer["input"]["text"] == "two"
    assert answer["output"] == "hello two"


@pytest.mark.parametrize(
    "fields",
    [
        {"webhook": "nope"}, {"webhook": "file:///x"}, {"webhook": 5}, {"webhook_events_filter": ["nope"]},
        {"webhook_events_filter": "start"}, {"output_file_prefix": "x"}, {"id": "a/b"}, {"id": "a\r\nb"}, {"id": 5},
        {"context": {"a": 1}},
    ],
)  # fmt: skip
def test_invalid_envelopes_are_refused(shared, fields):
    assert shared.ask("POST", "/predictions", {"input": {}, **fields}).status == 422


def test_failed_predictions_answer_200_with_error_and_traceback(shared):
    answer = shared.predict(do="fail", text="reason")
    assert answer["status"] == "failed"
    assert answer["error"] == "failed with reason"
    assert "Traceback" in answer["logs"]
    assert "predict.py" in answer["logs"]
    assert answer["output"] is None


def test_logs_hold_what_any_process_wrote_in_order(shared, wait_until):
    lines = shared.predict(do="write")["logs"].splitlines()
    # Two pipes have no common order.
    assert [line for line in lines if line != "from stderr"] == [
        "from print", "from descriptor", "from child", "  indented",
    ]  # fmt: skip
    assert "from stderr" in lines
    wait_until(lambda: "from child" in shared.output)


def test_a_hundred_thousand_lines_are_complete_and_linear(shared):
    answer = shared.predict(do="lines", n=100000)
    assert answer["logs"].count("\n") == 100000
    assert answer["logs"].endswith("line 99999\n")
    assert shared.predict()["logs"] == ""


def test_reading_stdin_does_not_hang(shared):
    assert shared.predict(do="stdin")["output"] == "''"


def test_sys_exit_fails_one_prediction(shared):
    assert shared.predict(do="exit", n=3)["status"] == "failed"
    assert shared.predict()["status"] == "succeeded"


def test_the_worker_runs_in_the_models_interpreter_without_our_libraries(shared, model_python):
    assert shared.predict(do="where")["output"] == [model_python, False, False]


def test_large_values_pass_in_and_out(shared):
    text = "z" * 1_900_000
    assert shared.predict(text=text)["output"] == "hello " + text
    assert len(shared.predict(do="big", n=90000)["output"]) == 9_000_000


def test_asynchronous_answers_say_starting_and_can_be_polled(shared):
    answer = shared.begin("async1", {"do": "sleep", "scale": 0.2})
    assert answer.status == 202
    assert (answer.json["id"], answer.json["status"]) == ("async1", "starting")
    assert shared.wait_status("async1", "processing", "succeeded")
    assert shared.wait_status("async1", "succeeded")["output"] == "slept"
    assert shared.ask("GET", "/predictions/unknown").status == 404


def test_put_is_idempotent_while_running_and_runs_again_afterwards(shared, tmp_path):
    gate = tmp_path / "gate"
    shared.begin("same", {"do": "gate", "text": str(gate)})
    again = shared.ask("PUT", "/predictions/same", {"input": {"text": "other"}})
    assert again.status == 202
    assert again.json["input"]["do"] == "gate"
    assert shared.ask("POST", "/predictions", {"id": "same", "input": {}}).status == 409
    assert shared.ask("PUT", "/predictions/different", {"input": {}}).status == 409
    gate.touch()
    shared.wait_status("same", "succeeded")
    assert shared.ask("PUT", "/predictions/same", {"input": {}}).json["output"] == "hello x"


def test_ids_of_url_and_body_must_agree(shared):
    answer = shared.ask("PUT", "/predictions/a", {"id": "b", "input": {}})
    assert answer.status == 422
    assert answer.json["detail"][0]["msg"] == "prediction ID must match the ID supplied in the URL"


def test_busy_answers_409_and_health_says_so(shared):
    shared.begin("long", {"do": "sleep", "scale": 30})
    answer = shared.ask("POST", "/predictions", {"input": {}})
    assert answer.status == 409
    assert set(answer.json) == {"detail", "error", "status"}
    assert shared.health()["status"] == "BUSY"
    assert shared.ask("POST", "/predictions/long/cancel").status == 200
    shared.wait_status("long", "canceled")
    assert shared.health()["status"] == "READY"


def test_cancel_interrupts_a_blocking_call_and_cleanup_code_runs(shared):
    shared.begin("blocked", {"do": "sleep", "scale": 600})
    until(lambda: "sleeping" in shared.ask("GET", "/predictions/blocked").json["logs"])
    answer = shared.ask("POST", "/predictions/blocked/cancel")
    assert (answer.status, answer.body) == (200, b"{}")
    final = shared.wait_status("blocked", "canceled")
    assert "cleaning up" in final["logs"]
    assert final["error"] is None
    assert shared.ask("POST", "/predictions/blocked/cancel").status == 404
    assert shared.predict()["status"] == "succeeded"


def test_a_cancel_that_was_accepted_is_never_lost(shared):
    for number in range(25):
        identity = f"race{number}"
        shared.begin(identity, {"do": "sleep", "scale": 0.004 * (number % 3)})
        accepted = shared.ask("POST", f"/predictions/{identity}/cancel").status == 200
        final = shared.wait_status(identity, "succeeded", "canceled", "failed")
        assert (final["status"] == "canceled") == accepted
    assert shared.predict()["status"] == "succeeded"


def test_a_synchronous_prediction_is_cancelled_when_its_client_leaves(shared):
    body = b'{"id": "left", "input": {"do": "sleep", "scale": 60}}'
    with socket.create_connection(("127.0.0.1", shared.port)) as client:
        client.sendall(b"POST /predictions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        shared.wait_status("left", "processing")
    assert shared.wait_status("left", "canceled")


def test_prefer_wait_answers_202_after_the_time(shared):
    body = {"id": "waits", "input": {"do": "sleep", "scale": 1.5}}
    answer = shared.ask("POST", "/predictions", body, {"Prefer": "wait=0.1"})
    assert (answer.status, answer.json["status"]) == (202, "processing")
    assert shared.wait_status("waits", "succeeded")
    quick = shared.ask("POST", "/predictions", {"input": {}}, {"Prefer": "respond-async, wait=5"})
    assert (quick.status, quick.json["status"]) == (200, "succeeded")


def test_prefer_wait_queues_instead_of_refusing(shared):
    shared.begin("first", {"do": "sleep", "scale": 0.4})
    answer = shared.ask("POST", "/predictions", {"input": {"text": "second"}}, {"Prefer": "wait"})
    assert answer.json["output"] == "hello second"


def test_secrets_are_masked_everywhere(shared):
    secret = "s3cr3t-value-of-the-token"
    answer = shared.predict(do="leak", token=secret)
    assert answer["input"]["token"] == "**********"
    assert answer["status"] == "failed"
    assert secret not in str(answer)
    assert secret not in shared.output
    assert secret not in str(shared.health())
    assert secret not in shared.ask("GET", "/predictions/" + answer["id"]).body.decode()


def test_file_inputs_keep_their_extension_and_are_deleted(shared):
    answer = shared.predict(do="read", file="data:image/png;base64,aGVsbG8=")
    name, content = answer["output"]
    assert name.endswith(".png")
    assert content == "hello"
    assert answer["input"]["file"] == "data:image/png;base64,aGVsbG8="
    assert shared.predict(do="readall", files=["data:,one", "data:text/plain,t%20wo"])["output"] == ["one", "t wo"]


def test_bad_data_urls_fail_the_prediction(shared):
    answer = shared.predict(do="read", file="data:image/png;base64,*")
    assert answer["status"] == "failed"
    assert "file" in answer["error"]


def test_file_outputs_become_data_urls(shared):
    assert shared.predict(do="path")["output"] == "data:text/plain;base64,Y29udGVudA=="


def test_parallel_clients_get_200_or_409_and_nothing_else(shared):
    statuses: list[int] = []

    def hammer() -> None:
        with contextlib.closing(shared.connect()) as connection:
            for _ in range(30):
                connection.request("POST", "/predictions", b'{"input":{}}')
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 240
    assert set(statuses) <= {200, 409}
    assert shared.predict()["status"] == "succeeded"
