"""Async targets: slots, cancels, and lines that belong to one of several predictions."""

# Runs on Python 3.8 as well.
# ruff: noqa: UP031

from __future__ import annotations

import time

import pytest

from tests.runtime.sdk.harness import TIMEOUT_SECONDS


def logs_of(messages, id_):
    return "".join(m["data"] for m in messages if m["type"] == "log" and m["id"] == id_)


def test_as_many_run_at_once_as_there_are_slots(worker):
    source = """
        import asyncio
        class Predictor(BasePredictor):
            running = most = 0
            async def setup(self):
                self.loop, self.all_run = asyncio.get_running_loop(), asyncio.Event()
            @concurrent(max=16)
            async def predict(self, n: int) -> Any:
                assert asyncio.get_running_loop() is self.loop
                self.running += 1
                self.most = max(self.most, self.running)
                if self.running == 16:
                    self.all_run.set()
                await self.all_run.wait()
                self.running -= 1
                return [n, self.most]
        """
    found = worker(source)
    assert (found.loaded["max_concurrency"], found.loaded["is_async"]) == (16, True)
    for n in range(16):
        found.begin({"n": n})
    ends = []
    while len(ends) < 16:
        message = found.receive()
        if message["type"] == "done":
            ends.append(message)
    assert sorted(end["output"][0] for end in ends) == list(range(16))
    assert {end["output"][1] for end in ends} == {16}


@pytest.mark.parametrize(("variable", "expected"), [("3", 3), ("zero", 1), ("0", 1), (None, 1)])
def test_slots_come_from_the_environment(worker, variable, expected):
    source = "async def predict() -> str:\n    return 'x'"
    environment = {"COG_MAX_CONCURRENCY": variable} if variable else {}
    found = worker(source, "predict", environment=environment)
    assert found.loaded["max_concurrency"] == expected
    if variable in ("zero", "0"):
        assert "is ignored" in found.log_with("is ignored")
    else:
        assert "is ignored" not in found.log


def test_ordinary_functions_have_one_slot_whatever_the_environment_says(worker):
    found = worker("def predict() -> str:\n    return 'x'", "predict", environment={"COG_MAX_CONCURRENCY": "4"})
    assert found.loaded["max_concurrency"] == 1
    assert "only an async predict()" in found.log_with("only an async")


def test_lines_are_told_apart(worker):
    source = """
        import asyncio, logging
        logging.basicConfig(level="INFO", format="%(message)s")
        print("at import")
        @concurrent(max=2)
        async def predict(s: str) -> str:
            for n in range(3):
                print(s, n)
                logging.info("%s to stderr", s)
                await asyncio.sleep(0.01)
            await asyncio.get_running_loop().create_task(nested(s))
            print("no end of line", end="")
            return s
        async def nested(s):
            print("nested", s)
        """
    found = worker(source, "predict")
    first, second = found.begin({"s": "a"}), found.begin({"s": "b"})
    messages = found.finish()
    messages += found.finish()
    for id_, name in ((first, "a"), (second, "b")):
        lines = "".join("%s %d\n%s to stderr\n" % (name, n, name) for n in range(3))
        assert logs_of(messages, id_) == lines + "nested %s\nno end of line" % name
        kinds = [m["type"] for m in messages if m.get("id") == id_]
        assert kinds[0] == "started"
        assert kinds[-1] == "done"
    assert {m["source"] for m in messages if m["type"] == "log"} == {"stdout", "stderr"}
    assert found.log == "at import\n"


def test_a_cancel_hits_its_own_task_and_cleanup_runs(worker):
    source = """
        import asyncio
        @concurrent(max=4)
        async def predict(s: str) -> str:
            try:
                print("inside", s)
                await asyncio.sleep(0.3 if s == "short" else 60)
                return s
            except asyncio.CancelledError:
                print("cleanup", s)
                raise
        """
    found = worker(source, "predict")
    for is_inside in (False, True):
        long, short = found.begin({"s": "long"}), found.begin({"s": "short"})
        messages = []
        while is_inside and "inside long\n" not in logs_of(messages, long):
            messages.append(found.receive())
        found.cancel(long)
        messages += found.finish(short)
        ends = {m["id"]: m["status"] for m in messages if m["type"] == "done"}
        assert ends == {long: "canceled", short: "succeeded"}
        if is_inside:
            assert logs_of(messages, long) == "inside long\ncleanup long\n"


def test_cancels_right_behind_the_request_are_never_lost(worker):
    found = worker("import asyncio\nasync def predict() -> str:\n    await asyncio.sleep(60)", "predict")
    for pause in [0, 0, 0, 0.0002, 0.0005, 0.001] * 3:
        id_ = found.begin()
        time.sleep(pause)
        found.cancel(id_)
        assert found.finish(id_)[-1]["status"] == "canceled"


def test_a_waiting_prediction_is_cancelled_without_starting(worker):
    found = worker(
        "import asyncio\nasync def predict() -> str:\n    await asyncio.sleep(0.7)\n    return 'x'", "predict"
    )
    first, second, third = found.begin(), found.begin(), found.begin()
    found.cancel(second)
    messages = found.finish(third)
    ends = {m["id"]: m["status"] for m in messages if m["type"] == "done"}
    assert ends == {first: "succeeded", second: "canceled", third: "succeeded"}


def test_a_cancel_interrupts_an_async_model_that_blocks_its_loop(worker):
    found = worker("async def predict(n: float) -> str:\n    time.sleep(n)\n    return 'x'", "predict")
    id_ = found.begin({"n": 600})
    found.receive("started")
    found.cancel(id_)
    assert found.finish(id_)[-1]["status"] == "canceled"
    assert found.predict({"n": 0})["output"] == "x"


def test_async_iterators_send_items_and_stop_on_cancel(worker):
    source = """
        import asyncio
        class Predictor(BasePredictor):
            async def predict(self, n: int) -> AsyncConcatenateIterator[str]:
                try:
                    for i in range(n):
                        yield "t%d " % i
                except asyncio.CancelledError:
                    print("cleanup")
                    raise
        """
    found = worker(source)
    messages = found.finish(found.begin({"n": 3}))
    assert [m["chunk"] for m in messages if m["type"] == "output"] == ["t0 ", "t1 ", "t2 "]
    assert (messages[-1]["status"], messages[-1]["is_iterator"]) == ("succeeded", True)
    id_ = found.begin({"n": 10**9})
    found.receive("output")
    found.cancel(id_)
    messages = found.finish(id_)
    assert messages[-1]["status"] == "canceled"
    assert logs_of(messages, id_) == "cleanup\n"


def test_failures_of_tasks_are_theirs_alone(worker):
    source = """
        import asyncio
        @concurrent(max=4)
        async def predict(s: str) -> str:
            await asyncio.sleep(0.02)
            if s == "exit":
                sys.exit(1)
            if s == "interrupt":
                raise KeyboardInterrupt
            if s == "error":
                raise ValueError("wrong")
            return s
        """
    found = worker(source, "predict")
    ids = {s: found.begin({"s": s}) for s in ("exit", "interrupt", "error", "fine")}
    messages = []
    while sum(m["type"] == "done" for m in messages) < 4:
        messages.append(found.receive())
    errors = {m["id"]: m["error"] for m in messages if m["type"] == "done"}
    assert errors[ids["exit"]] == "the model called sys.exit(1)"
    assert errors[ids["interrupt"]] == "KeyboardInterrupt"
    assert errors[ids["error"]] == "wrong"
    assert errors[ids["fine"]] is None
    log = logs_of(messages, ids["error"])
    assert "in predict" in log
    assert "ValueError: wrong" in log
    assert "runtime/cog" not in log


def test_scopes_of_tasks_are_their_own(worker):
    source = """
        import asyncio
        @concurrent(max=2)
        async def predict(s: str) -> Any:
            await asyncio.sleep(0.02)
            current_scope().record_metric("name", s)
            return current_scope().context
        """
    found = worker(source, "predict")
    for name in ("a", "b"):
        found.begin({"s": name}, id=name, context={"who": name})
    messages = found.finish()
    messages += found.finish()
    assert {(m["id"], m["value"]) for m in messages if m["type"] == "metric"} == {("a", "a"), ("b", "b")}
    assert {(m["id"], m["output"]["who"]) for m in messages if m["type"] == "done"} == {("a", "a"), ("b", "b")}


@pytest.mark.parametrize("kind", ["async ", ""])
def test_health_checks_of_async_models(worker, kind):
    source = """
        import asyncio
        class Predictor(BasePredictor):
            KINDdef healthcheck(self) -> bool:
                return False
            async def predict(self) -> str:
                await asyncio.sleep(0.3)
                return "x"
        """
    found = worker(source.replace("KIND", kind))
    id_ = found.begin()
    found.send(type="healthcheck", nonce=7)
    message = found.receive("health")
    assert (message["nonce"], message["ok"]) == (7, False)
    assert found.finish(id_)[-1]["output"] == "x"


def test_async_setup_of_an_ordinary_model(worker):
    source = """
        import asyncio
        class Predictor(BasePredictor):
            async def setup(self):
                await asyncio.sleep(0)
                self.word = "set"
            def predict(self) -> str:
                return self.word
        """
    assert worker(source).predict()["output"] == "set"


def test_an_async_worker_ends_on_shutdown_and_when_the_socket_closes(worker):
    source = "import asyncio\nasync def predict() -> str:\n    await asyncio.sleep(0.2)\n    return 'x'"
    found = worker(source, "predict")
    id_ = found.begin()
    found.send(type="shutdown")
    assert found.finish(id_)[-1]["output"] == "x"
    assert found.process.wait(TIMEOUT_SECONDS) == 0
    assert worker(source, "predict").end() == 0
    found = worker(source.replace("0.2", "60"), "predict")
    found.begin()
    found.receive("started")
    found.hang_up()
    assert found.process.wait(TIMEOUT_SECONDS) is not None


def test_floods_of_lines_come_whole_and_in_order(worker):
    source = """
        import asyncio
        @concurrent(max=2)
        async def predict(n: int) -> str:
            for i in range(n):
                print("out", i)
                if i % 100 == 99:
                    sys.stderr.write("err %d\\n" % i)
                    await asyncio.sleep(0)
            sys.stdout.write("no end of line")
            return "x"
        """
    found = worker(source, "predict")
    ids = [found.begin({"n": n}) for n in (2000, 3000)]
    messages = found.finish()
    messages += found.finish()
    for id_, n in zip(ids, (2000, 3000)):
        wanted = "".join("out %d\n" % i + ("err %d\n" % i if i % 100 == 99 else "") for i in range(n))
        assert logs_of(messages, id_) == wanted + "no end of line"


def test_lines_come_before_what_was_made_after_them(worker):
    source = """
        @concurrent(max=2)
        async def predict() -> AsyncIterator[int]:
            for i in range(5):
                print("line", i)
                current_scope().record_metric("m", i)
                print("more", i)
                yield i
        """
    found = worker(source, "predict")
    kinds = [m["type"] for m in found.finish(found.begin()) if m["type"] != "started"]
    assert kinds == ["log", "metric", "log", "output"] * 5 + ["done"]


def test_lines_come_soon_even_from_a_prediction_that_blocks_the_loop(worker):
    source = """
        @concurrent(max=2)
        async def predict() -> str:
            for i in range(3):
                print("line", i)
            time.sleep(60)
        """
    found = worker(source, "predict")
    id_ = found.begin()
    text = ""
    while "line 2\n" not in text:
        text += found.receive("log")["data"]
    found.cancel(id_)
    assert found.finish(id_)[-1]["status"] == "canceled"


def test_a_forked_child_of_a_prediction_may_write(worker):
    source = """
        import multiprocessing
        def child():
            print("from the child", flush=True)
        @concurrent(max=2)
        async def predict() -> int:
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start()
            process.join()
            return process.exitcode
        """
    found = worker(source, "predict")
    assert found.predict()["output"] == 0
    assert "from the child" in found.log_with("from the child")


def test_threads_of_a_prediction_lose_no_lines(worker):
    source = """
        import asyncio, contextvars
        @concurrent(max=2)
        async def predict(n: int) -> str:
            def write(thread):
                for i in range(n):
                    print("thread", thread, "line", i)
            loop = asyncio.get_running_loop()
            calls = [(contextvars.copy_context().run, write, thread) for thread in range(4)]
            await asyncio.gather(*[loop.run_in_executor(None, *call) for call in calls])
            return "x"
        """
    found = worker(source, "predict")
    id_ = found.begin({"n": 500})
    # print() writes in pieces, which may come between each other.
    wanted = "".join("thread %d line %d\n" % (thread, i) for thread in range(4) for i in range(500))
    assert sorted(logs_of(found.finish(), id_)) == sorted(wanted)


def test_a_cancel_in_a_flood_of_lines_neither_loses_nor_repeats_any(worker):
    source = """
        import itertools
        @concurrent(max=2)
        async def predict() -> str:
            for i in itertools.count():
                print("line", i)
        """
    found = worker(source, "predict")
    id_ = found.begin()
    text = found.receive("log")["data"]
    found.cancel(id_)
    messages = found.finish(id_)
    assert messages[-1]["status"] == "canceled"
    lines = (text + logs_of(messages, id_)).split("\n")
    assert lines[:-1] == ["line %d" % i for i in range(len(lines) - 1)]


def test_what_a_thread_writes_after_its_prediction_has_ended_is_plain(worker):
    source = """
        import contextvars, threading
        ended = threading.Event()
        @concurrent(max=2)
        async def predict(n: int) -> str:
            if n:
                ended.set()
                return "y"
            print("in time, ", end="")
            def write():
                ended.wait(20)
                print("too late")
            threading.Thread(target=contextvars.copy_context().run, args=(write,)).start()
            return "x"
        """
    found = worker(source, "predict")
    id_ = found.begin({"n": 0})
    assert logs_of(found.finish(), id_) == "in time, "
    found.predict({"n": 1})
    assert found.log_with("too late").endswith("too late\n")


def test_lines_larger_than_the_shared_memory_come_whole(worker):
    source = """
        @concurrent(max=2)
        async def predict(n: int) -> str:
            print("first")
            print("x" * n)
            print("no end of line " * n, end="")
            print("last")
            return "x"
        """
    found = worker(source, "predict")
    id_ = found.begin({"n": 200000})
    assert logs_of(found.finish(), id_) == "first\n" + "x" * 200000 + "\n" + "no end of line " * 200000 + "last\n"


def test_what_a_finalizer_writes_while_a_line_is_written_is_not_lost(worker):
    source = """
        import gc
        class Noisy:
            def __init__(self): self.me = self
            def __del__(self): print("finalizer")
        @concurrent(max=2)
        async def predict() -> str:
            gc.set_threshold(1)
            for i in range(200):
                Noisy()
                print("line", i)
            gc.set_threshold(700)
            gc.collect()
            return "x"
        """
    found = worker(source, "predict")
    id_ = found.begin()
    messages = found.finish()
    assert messages[-1]["status"] == "succeeded"
    text = logs_of(messages, id_) + found.log
    assert text.count("finalizer") == 200
    assert "".join(line + "\n" for line in text.split("\n") if line.startswith("line")) == "".join(
        "line %d\n" % i for i in range(200)
    )
