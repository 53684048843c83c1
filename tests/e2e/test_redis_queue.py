"""An image takes its predictions from a Redis queue, with what is in it and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.e2e.images import Image

pytestmark = pytest.mark.engine

CONFIG = """\
build:
  python_version: "3.11"
  system_packages: [redis-server]
predict: predict.py:Predictor
"""
PREDICT = """\
from cog import BasePredictor


class Predictor(BasePredictor):
    def predict(self, prompt: str) -> str:
        return prompt + " there"
"""
# Redis runs beside the worker, in the same container: no network is needed.
SCRIPT = """\
redis-server --save '' --dir /tmp --daemonize yes >/dev/null
until redis-cli XGROUP CREATE my-queue my-queue '$' MKSTREAM >/dev/null; do sleep 0.1; done
python -m cog.server.redis_queue --redis-host localhost --input-queue my-queue --consumer-id worker-1 >&2 &
redis-cli XADD my-queue '*' value '{"id": "1", "input": {"prompt": "hi"}, "response_queue": "answer-1"}' >/dev/null
tries=0
until redis-cli GET answer-1 | grep -q completed_at && [ "$(redis-cli XLEN my-queue)" = 0 ] || [ $tries = 300 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
redis-cli GET answer-1
kill $!
wait $!
echo "$?"
"""


def test_a_worker_runs_the_messages_of_a_queue(image: Callable[..., Image]) -> None:
    model = image("redis-queue", CONFIG, {"predict.py": PREDICT})
    answer, code = model.shell(SCRIPT).splitlines()
    document = json.loads(answer)
    assert (document["status"], document["output"], document["id"]) == ("succeeded", "hi there", "1")
    assert code == "0"
