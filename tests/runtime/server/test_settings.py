"""The command line and the environment: what wins, what is wrong, and the server's own log."""

from __future__ import annotations

import json
import logging

import pytest

from tests.runtime.server.harness import RUNTIME

FOUND = ["--model-python", "python", "--sdk", "/sdk"]
MODEL = """
from cog import BasePredictor
class Predictor(BasePredictor):
    def predict(self, n: int = 0) -> str:
        return "predicted"
class Other(BasePredictor):
    def predict(self, n: int = 0) -> str:
        return "other"
"""


@pytest.fixture
def settings(monkeypatch):
    """Parse a command line and an environment."""
    monkeypatch.syspath_prepend(str(RUNTIME))
    from cog_server.settings import parse_settings

    return lambda *arguments, **environment: parse_settings([*FOUND, *arguments], environment, "1.0")


def test_the_usual_values(settings):
    found = settings()
    assert (found.host, found.port, found.mode, found.queue_length) == ("0.0.0.0", 5000, "predict", 0)
    assert (found.threads, found.upload_url, found.max_concurrency, found.setup_timeout) == (None, None, None, None)
    assert (found.webhook_interval, found.stream_history, found.max_body_bytes) == (0.5, 1024, 104857600)
    assert (found.awaits_explicit_shutdown, found.has_legacy_http, found.ready_file) == (False, None, None)


def test_the_command_line_wins_over_the_environment(settings):
    environment = {"PORT": "8000", "COGC_QUEUE": "7"}
    assert (settings(**environment).port, settings(**environment).queue_length) == (8000, 7)
    found = settings("--port", "9000", "--queue", "0", **environment)
    assert (found.port, found.queue_length) == (9000, 0)


@pytest.mark.parametrize(("text", "expected"), [("", False), ("true", True), ("1", True), ("false", True)])
def test_any_text_means_to_wait_for_the_shutdown(settings, text, expected):
    assert settings("--await-explicit-shutdown", text).awaits_explicit_shutdown is expected


@pytest.mark.parametrize(
    ("name", "field", "text", "expected", "is_wrong"),
    [
        ("COG_MAX_CONCURRENCY", "max_concurrency", "8", 8, False),
        ("COG_MAX_CONCURRENCY", "max_concurrency", "0", 1, True),
        ("COG_MAX_CONCURRENCY", "max_concurrency", "many", 1, True),
        ("COG_MAX_CONCURRENCY", "max_concurrency", "1.5", 1, True),
        ("COG_SETUP_TIMEOUT", "setup_timeout", "12.5", 12.5, False),
        ("COG_SETUP_TIMEOUT", "setup_timeout", "0", None, False),
        ("COG_SETUP_TIMEOUT", "setup_timeout", "-1", None, True),
        ("COG_SETUP_TIMEOUT", "setup_timeout", "inf", None, True),
        ("COG_THROTTLE_RESPONSE_INTERVAL", "webhook_interval", "0.01", 0.01, False),
        ("COG_STREAM_HISTORY_CAPACITY", "stream_history", "0", 0, False),
        ("COGC_MAX_BODY_BYTES", "max_body_bytes", "10", 10, False),
        ("PORT", "port", "http", 5000, True),
        ("COGC_LEGACY_HTTP", "has_legacy_http", "no", False, False),
        ("COGC_LEGACY_HTTP", "has_legacy_http", "1", True, False),
    ],
)
def test_numbers_that_are_none_are_said_and_not_used(settings, caplog, name, field, text, expected, is_wrong):
    assert getattr(settings(**{name: text}), field) == expected
    assert (f"{name}={text!r}" in caplog.text) is is_wrong


def test_the_environment_wins_over_cog_yaml(serve):
    server = serve(MODEL, environment={"COG_PREDICT_TYPE_STUB": "predict.py:Other"})
    assert server.predict()["output"] == "other"


# -- the log


def own_lines(server) -> list[dict]:
    return [json.loads(line) for line in server.output.splitlines() if line.startswith('{"severity"')]


def test_the_log_is_json_unless_people_read_it(serve):
    server = serve(MODEL, environment={"LOG_FORMAT": "", "COG_MAX_CONCURRENCY": "x"})
    server.predict(no_such_input=1)
    lines = own_lines(server)
    assert all(set(line) == {"severity", "message", "timestamp", "logger"} for line in lines)
    assert {"WARNING", "INFO"} <= {line["severity"] for line in lines}
    for form in ("console", "development"):
        text = serve(MODEL, environment={"LOG_FORMAT": form, "COG_MAX_CONCURRENCY": "x"})
        assert own_lines(text) == []
        assert " WARNING cog_server: COG_MAX_CONCURRENCY='x' is not" in text.output


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", logging.DEBUG), ("INFO", logging.INFO), ("warn", logging.WARNING), ("Warning", logging.WARNING),
     ("ERROR", logging.ERROR), ("loud", logging.INFO)],
)  # fmt: skip
def test_levels_of_the_log(monkeypatch, level, expected):
    monkeypatch.syspath_prepend(str(RUNTIME))
    from cog_server.logs import configure_logging

    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    before = root.level
    try:
        configure_logging({"COG_LOG_LEVEL": level})
        assert root.level == expected
    finally:
        root.setLevel(before)
