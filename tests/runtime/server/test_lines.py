"""Lines of concurrent predictions: gathered on their way, but in order, soon, and safe when the worker dies."""

from __future__ import annotations

import json

import pytest

MODEL = """
import asyncio, os, signal, time
from typing import AsyncIterator
import cog

class Predictor(cog.BasePredictor):
    @cog.concurrent(max=4)
    @cog.streaming
    async def predict(self, do: str, n: int = 0, path: str = "") -> AsyncIterator[str]:
        for i in range(n):
            print("line", i)
        if do == "exit":
            os._exit(3)
        elif do == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif do == "block":
            while not os.path.exists(path):
                time.sleep(0.01)
        elif do == "interleave":
            for i in range(3):
                print("before", i)
                yield str(i)
                print("after", i)
        print("end")
"""


def lines(count: int) -> str:
    return "".join(f"line {i}\n" for i in range(count))


@pytest.mark.parametrize(("do", "count"), [("exit", 1), ("exit", 2), ("kill", 5000)])
def test_a_worker_that_dies_leaves_all_its_lines_once(shared, do, count):
    shared.wait_health("READY")
    assert shared.predict(do="")["status"] == "succeeded"  # else it would count as going on to crash
    answer = shared.predict(do=do, n=count)
    assert (answer["status"], answer["logs"]) == ("failed", lines(count))


def test_lines_are_there_soon_while_a_prediction_blocks_the_loop(shared, tmp_path, wait_until):
    shared.wait_health("READY")
    path = tmp_path / "go on"
    shared.begin("blocks", {"do": "block", "n": 3, "path": str(path)})
    wait_until(lambda: shared.ask("GET", "/predictions/blocks").json["logs"] == lines(3))
    path.touch()
    assert shared.wait_status("blocks", "succeeded")["logs"] == lines(3) + "end\n"


def test_events_of_lines_and_outputs_come_in_the_order_of_the_model(shared):
    shared.wait_health("READY")
    answer = shared.ask("POST", "/predictions", {"input": {"do": "interleave"}}, {"Accept": "text/event-stream"})
    told = []
    for event in answer.body.decode().split("\n\n"):
        kind, _, data = event.partition("\ndata: ")
        if kind == "event: log":
            told += json.loads(data)["data"].splitlines()
        elif kind == "event: output":
            told.append(json.loads(data)["chunk"])
    assert told == [*(word for i in range(3) for word in (f"before {i}", str(i), f"after {i}")), "end"]


def test_a_flood_of_each_of_several_predictions_is_whole(shared):
    shared.wait_health("READY")
    for number in range(4):
        shared.begin(f"flood{number}", {"do": "", "n": 2000 + number})
    for number in range(4):
        assert shared.wait_status(f"flood{number}", "succeeded")["logs"] == lines(2000 + number) + "end\n"
