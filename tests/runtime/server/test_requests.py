"""What stands around the input of a request: its other fields, its headers, and the fields of the answer."""

from __future__ import annotations

import gzip
import json
import re

import pytest

MODEL = """
import sys, time
from typing import Any, Dict, List, Optional
from cog import BasePredictor, Input, Path, Secret, current_scope
class Predictor(BasePredictor):
    def predict(self, prompt: str = Input(min_length=2, max_length=5, regex="^[a-z]+$"), seconds: float = 0,
                file: Optional[Path] = None, numbers: Dict[str, int] = {}, lists: Dict[str, List[float]] = {},
                files: Dict[str, Path] = {}, secrets: Dict[str, Secret] = {}, floats: float = Input(default=0.5, choices=[0.5, 1.5]), anywhere: str = Input(default="b", regex="b[0-9]?")) -> Any:
        time.sleep(seconds)
        if prompt == "scope":
            scope = current_scope()
            scope.record_metric("tokens.out", 3)
            scope.record_metric("words", "a", mode="append")
            scope.record_metric("words", "b", mode="append")
            return scope.context
        if prompt == "bar":
            sys.stderr.write("  10%\\r  50%\\r 100%\\n\\tindented\\n")
        if prompt == "dicts":
            return [numbers, lists, {k: v.read_text() for k, v in files.items()},
                    {k: v.get_secret_value()[::-1] for k, v in secrets.items()}]
        if prompt == "fail":
            raise ValueError("no")
        return prompt
"""
ARGUMENTS = ("--queue", "2")


def ask(server, body, **headers):
    return server.ask("POST", "/predictions", body, {name.replace("_", "-"): value for name, value in headers.items()})


def problems(answer):
    assert answer.status == 422, answer
    return [(problem["loc"], problem["msg"], problem["type"]) for problem in answer.json["detail"]]


# -- the answer


def test_the_answer_has_these_fields_and_no_others(shared):
    answer = shared.predict(prompt="hello")
    assert set(answer) == {
        "id", "input", "output", "logs", "error", "status", "metrics", "version", "created_at", "started_at", "completed_at",
    }  # fmt: skip
    assert (answer["version"], answer["error"], answer["logs"]) == (None, None, "")
    assert answer["input"] == {
        "prompt": "hello", "seconds": 0.0, "numbers": {}, "lists": {}, "files": {}, "secrets": {}, "floats": 0.5, "anywhere": "b",
    }  # fmt: skip
    for name in ("created_at", "started_at", "completed_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", answer[name])


def test_every_final_state_has_the_time_of_the_model(shared):
    ended = [
        shared.predict(prompt="hello"),
        shared.predict(prompt="fail"),
        shared.predict(prompt="hello", file="data:;base64,*"),  # the model never had it
    ]
    shared.begin("runs", {"prompt": "hello", "seconds": 60})
    shared.begin("waits", {"prompt": "hello"})
    for identity in ("waits", "runs"):
        assert shared.ask("POST", f"/predictions/{identity}/cancel").status == 200
        ended.append(shared.wait_status(identity, "canceled"))
    assert [one["status"] for one in ended] == ["succeeded", "failed", "failed", "canceled", "canceled"]
    for one in ended:
        assert one["metrics"]["predict_time"] >= 0


def test_metrics_nest_at_their_dots_and_the_context_reaches_the_model(shared):
    answer = ask(shared, {"input": {"prompt": "scope"}, "context": {"tenant": "a", "empty": ""}}).json
    assert answer["output"] == {"tenant": "a", "empty": ""}
    assert answer["metrics"].pop("predict_time") >= 0
    assert answer["metrics"] == {"tokens": {"out": 3}, "words": ["a", "b"]}


def test_the_log_keeps_leading_blanks_and_progress_bars(shared):
    assert shared.predict(prompt="bar")["logs"] == "  10%\r  50%\r 100%\n\tindented\n"


# -- fields of the request


def test_a_client_may_say_when_it_made_the_request(shared):
    made = "2026-01-02T03:04:05.678901+02:00"
    assert ask(shared, {"input": {"prompt": "hello"}, "created_at": made}).json["created_at"] == made


@pytest.mark.parametrize(
    "made", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.1+0200", "2026-01-02 03:04", "2024-02-29T23:59:60-00:00", "", None]
)
def test_dates_have_several_forms(shared, made):
    assert ask(shared, {"input": {"prompt": "hello"}, "created_at": made}).status == 200


@pytest.mark.parametrize(
    "made", ["yesterday", "2026-13-01T00:00:00Z", "2025-02-29T00:00:00Z", "2026-01-01", "2026-01-01T24:00:00Z", "٢026-01-01T00:00"]
)
def test_what_is_no_date_is_refused(shared, made):
    answer = ask(shared, {"input": {"prompt": "hello"}, "created_at": made})
    assert answer.status == 422
    assert answer.json["detail"] == [
        {"loc": ["body", "created_at"], "msg": "invalid datetime format", "type": "value_error.datetime"}
    ]


def test_inputs_that_are_not_declared_are_written_to_the_log(shared):
    assert ask(shared, {"input": {"prompt": "hello", "no_such_input": 1}}).status == 200
    assert "no_such_input" in shared.output


def test_urls_of_webhooks_have_a_limit(shared):
    url = "https://files.example/" + "x" * 65536
    for field in ("webhook", "output_file_prefix"):
        ((location, message, _),) = problems(ask(shared, {"input": {"prompt": "hello"}, field: url}))
        assert (location, message) == (["body", field], "ensure this value has at most 65536 characters")


def test_events_of_the_filter_are_known_and_may_be_doubled(shared, receiver):
    body = {"input": {"prompt": "hello"}, "webhook": receiver.url, "webhook_events_filter": ["start", "done"]}
    ((location, message, _),) = problems(ask(shared, body))
    assert location == ["body", "webhook_events_filter", 1]
    assert message.endswith("permitted: 'start', 'output', 'logs', 'completed'")
    body["webhook_events_filter"] = ["start", "start", "completed", "start"]
    assert ask(shared, body).status == 200
    shared.wait_webhooks()
    assert [request.json["status"] for request in receiver.requests] == ["starting", "succeeded"]


def test_a_prediction_with_an_id_of_the_server_can_be_cancelled(shared):
    begun = ask(shared, {"input": {"prompt": "hello", "seconds": 60}}, Prefer="respond-async")
    assert begun.status == 202
    assert re.fullmatch("[a-z2-7]{26}", begun.json["id"])
    assert shared.ask("POST", f"/predictions/{begun.json['id']}/cancel").status == 200
    assert shared.wait_status(begun.json["id"], "canceled")["error"] is None


# -- what is wrong with the input


def test_a_missing_input_is_named(shared):
    for body in (None, {}, {"input": None}, {"input": {}}):
        assert problems(ask(shared, body)) == [(["body", "input", "prompt"], "field required", "value_error.missing")]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("a", "ensure this value has at least 2 characters"),
        ("abcdef", "ensure this value has at most 5 characters"),
        ("AB", 'string does not match regex "^[a-z]+$"'),
    ],
)
def test_texts_are_measured(shared, prompt, message):
    ((location, text, _),) = problems(ask(shared, {"input": {"prompt": prompt}}))
    assert (location, text) == (["body", "input", "prompt"], message)


def test_a_pattern_may_fit_anywhere(shared):
    assert shared.predict(prompt="hello", anywhere="ab1c")["status"] == "succeeded"
    assert problems(ask(shared, {"input": {"prompt": "hello", "anywhere": "ac"}}))[0][0][2] == "anywhere"


def test_bounds_tell_the_limit(shared):
    answer = ask(shared, {"input": {"prompt": "abc", "floats": 2}})
    assert answer.json["detail"][0]["ctx"] == {"enum_values": [0.5, 1.5]}
    assert problems(answer) == [
        (["body", "input", "floats"], "value is not a valid enumeration member; permitted: 0.5, 1.5", "type_error.enum")
    ]
    assert ask(shared, {"input": {"prompt": "abc", "floats": "1.5"}}).json["input"]["floats"] == 1.5


def test_a_body_that_is_no_json_is_named(shared):
    ((location, message, kind),) = problems(ask(shared, b"{"))
    assert (location[0], kind) == ("body", "value_error.jsondecode")
    assert message.startswith("not valid JSON")


def test_a_compressed_body_is_refused_with_its_reason(shared):
    plain = json.dumps({"input": {"prompt": "hello"}}).encode()
    refused = shared.ask("POST", "/predictions", gzip.compress(plain), {"Content-Encoding": "gzip"})
    assert refused.status == 415
    assert "gzip" in refused.json["detail"]
    assert shared.ask("POST", "/predictions", plain, {"Content-Encoding": "identity"}).status == 200
    assert shared.ask("POST", "/predictions", b"{", {"Content-Encoding": "identity"}).status == 422


def test_forms_are_for_models_of_2021_only(shared):
    form = b'--B\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nhello\r\n--B--\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    assert shared.ask("POST", "/predictions", form, headers).status == 422
    assert shared.ask("POST", "/predict", form, headers).status == 404


# -- objects with values of one type


def test_values_of_dicts_are_converted_downloaded_and_masked(shared, receiver):
    receiver.answer = lambda request: (200, {}, b"downloaded")
    answer = shared.predict(
        prompt="dicts",
        numbers={"a": 1, "b": "2"},
        lists={"x": [1, "2.5"]},
        files={"one": receiver.url + "/a.txt", "two": "data:,inline"},
        secrets={"key": "hidden-value"},
    )
    assert answer["output"] == [
        {"a": 1, "b": 2}, {"x": [1.0, 2.5]}, {"one": "downloaded", "two": "inline"}, {"key": "eulav-neddih"},
    ]  # fmt: skip
    assert answer["input"]["secrets"] == "**********"
    assert answer["input"]["files"]["one"] == receiver.url + "/a.txt"
    assert "hidden-value" not in json.dumps(answer)


@pytest.mark.parametrize(
    ("inputs", "where", "message"),
    [
        ({"numbers": {"a": 1, "b": "x"}}, ["numbers", "b"], "value is not a valid integer"),
        ({"numbers": {"a": None}}, ["numbers", "a"], "none is not an allowed value"),
        ({"numbers": [1]}, ["numbers"], "value is not a valid dict"),
        ({"lists": {"x": [1, "y"]}}, ["lists", "x", 1], "value is not a valid float"),
        ({"files": {"one": "/etc/passwd"}}, ["files", "one"], "'/etc/passwd' is not a valid URL scheme."),
    ],
)
def test_values_of_dicts_that_do_not_fit_are_named(shared, inputs, where, message):
    ((location, text, _),) = problems(ask(shared, {"input": {"prompt": "dicts", **inputs}}))
    assert location == ["body", "input", *where]
    assert message in text


# -- refusals


def test_refusals_have_the_words_of_both_generations(serve):
    server = serve(MODEL.replace("    def predict(", "    def setup(self): time.sleep(60)\n    def predict(", 1), states=("STARTING",))
    answer = ask(server, {"input": {"prompt": "hello"}})
    text = "Setup has not finished yet. Wait until it has finished, or GET /health-check for status."
    assert (answer.status, answer.json) == (503, {"detail": text, "error": text, "status": "failed"})
    busy = serve(MODEL)
    busy.begin("long", {"prompt": "hello", "seconds": 60})
    answer = ask(busy, {"input": {"prompt": "hello"}})
    text = "Already running a prediction"
    assert (answer.status, answer.json) == (409, {"detail": text, "error": text, "status": "failed"})
