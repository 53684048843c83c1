"""Real worker processes over a socket pair."""

# Runs on Python 3.8 as well.
# ruff: noqa: UP031

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.runtime.sdk.harness import TIMEOUT_SECONDS, is_readable


def content(file, mode="r"):
    with open(file["path"], mode) as opened:
        return opened.read()


ECHO = """
    class Predictor(BasePredictor):
        def setup(self):
            print("setting up")
            self.word = "hello"
        def predict(self, s: str, n: float = 1) -> str:
            print("predicting")
            return "%s %s %r" % (self.word, s, n)
    """


def test_a_worker_loads_sets_up_and_predicts(worker):
    found = worker(ECHO)
    assert found.loaded["openapi"]["components"]["schemas"]["Input"]["required"] == ["s"]
    assert found.loaded["pid"] == found.process.pid
    assert (found.loaded["max_concurrency"], found.loaded["is_async"], found.loaded["has_healthcheck"]) == (
        1,
        False,
        False,
    )
    messages = found.finish(found.begin({"s": "a", "n": 2}))
    assert [message["type"] for message in messages] == ["started", "done"]
    done = messages[-1]
    assert (done["status"], done["output"], done["error"], done["files"]) == ("succeeded", "hello a 2.0", None, [])
    assert 0 <= done["seconds"] < 5
    assert found.predict({"s": "b"})["output"] == "hello b 1.0"
    log = "setting up\npredicting\npredicting\n"
    assert found.log_with(log) == log


def test_models_do_not_see_the_arguments_of_the_worker(worker):
    source = """
        import argparse
        class Predictor:
            def setup(self):
                parser = argparse.ArgumentParser()
                parser.add_argument("--steps", type=int, default=3)
                self.steps = parser.parse_args().steps
            def predict(self) -> int:
                return self.steps + len(sys.argv)
        """
    assert worker(source).predict()["output"] == 4


def test_files_that_cannot_be_read_fail_their_prediction_only(worker, tmp_path):
    source = """
        import io
        class Broken(io.RawIOBase):
            def read(self, size=-1):
                raise RuntimeError("no more")
        def predict(kind: str) -> Any:
            if kind == "closed":
                with open("closed.txt", "w") as file:
                    return file
            return {"null": Path("a\\0b"), "odd": Path("a\\ud800"), "broken": Broken()}[kind]
        """
    found = worker(source, "predict")
    for kind, error in (("closed", "closed file"), ("null", "null byte"), ("odd", "encode"), ("broken", "no more")):
        done = found.predict({"kind": kind})
        assert done["status"] == "failed"
        assert error in done["error"]
    assert list(tmp_path.rglob("cog-output-*")) == []


def test_a_worker_ends_when_its_socket_closes(worker):
    assert worker(ECHO).end() == 0


def test_a_worker_ends_on_shutdown_after_what_was_accepted(worker):
    found = worker("def predict() -> str:\n    time.sleep(0.2)\n    return 'x'", "predict")
    id_ = found.begin()
    found.send(type="shutdown")
    assert found.finish(id_)[-1]["output"] == "x"
    assert found.process.wait(TIMEOUT_SECONDS) == 0


def test_threads_of_the_model_do_not_keep_a_worker_alive(worker):
    source = """
        import threading
        def predict() -> str:
            threading.Thread(target=time.sleep, args=(60,)).start()
            return "x"
        """
    found = worker(source, "predict")
    found.predict()
    assert found.end() in (0, 1)


def test_a_worker_ends_when_the_server_dies_during_a_prediction(worker):
    source = """
        def predict() -> str:
            try:
                print("inside", flush=True)
                time.sleep(60)
            finally:
                print("cleaned", flush=True)
        """
    found = worker(source, "predict")
    found.begin()
    assert "inside" in found.log_with("inside")
    found.hang_up()
    assert found.process.wait(TIMEOUT_SECONDS) is not None
    assert "cleaned" in found.log_with("cleaned")


def test_a_worker_ends_when_the_server_dies_during_setup(worker):
    source = "class Predictor(BasePredictor):\n    def setup(self):\n        time.sleep(60)\n    def predict(self) -> str: ..."
    found = worker(source, is_ready=False)
    found.receive("loaded")
    found.hang_up()
    assert found.process.wait(TIMEOUT_SECONDS) == 1


@pytest.mark.parametrize(
    ("source", "kind", "error"),
    [
        ("import no_such_module\n", "load_failed", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1\n", "load_failed", "predictor not found: Predictor is not defined in predict.py"),
        ("class Predictor:\n    pass\n", "load_failed", "run or predict method not found: Predictor"),
        ("class Predictor:\n    def run(self) -> str: ...\n    def predict(self) -> str: ...\n", "load_failed",
         "Predictor must define either run() or predict(), not both"),
        ("class Predictor:\n    def predict(self, x) -> str: ...\n", "load_failed", "'x' of predict has no type annotation"),
        ("class Predictor:\n    def predict(self): ...\n", "load_failed", "missing return type annotation on predict"),
        ("class Predictor:\n    def setup(self): sys.exit(3)\n    def predict(self) -> str: ...\n", "setup_failed",
         "sys.exit(3)"),
        ("class Predictor:\n    def setup(self):\n        1 / 0\n    def predict(self) -> str: ...\n", "setup_failed",
         "ZeroDivisionError: division by zero"),
    ],
)  # fmt: skip
def test_failures_before_the_first_prediction_are_reported(worker, source, kind, error):
    found = worker(source, is_ready=False)
    message = found.receive(kind)
    assert error in message["error"]
    assert "\n" not in message["error"]
    assert os.path.join("runtime", "cog") not in message["traceback"]
    assert found.process.wait(TIMEOUT_SECONDS) == 1


def test_a_failed_prediction_has_the_models_own_traceback_in_its_log(worker):
    source = """
        def inner(x):
            raise ValueError("no " + x)
        def predict(s: str) -> str:
            return inner(s)
        """
    found = worker(source, "predict")
    done = found.predict({"s": "good"})
    assert (done["status"], done["error"]) == ("failed", "no good")
    log = found.log_with("ValueError: no good\n")
    assert log.startswith("Traceback (most recent call last):\n")
    assert "in predict" in log
    assert "in inner" in log
    assert "runtime/cog" not in log
    assert found.predict({"s": "x"})["error"] == "no x"


def test_a_deep_traceback_has_its_last_calls_only(worker):
    source = """
        import sys
        def inner(n):
            return inner(n - 1) if n else 1 // n
        def predict(n: int) -> int:
            sys.setrecursionlimit(5000)
            return inner(n)
        """
    found = worker(source, "predict")
    assert found.predict({"n": 3000})["status"] == "failed"
    log = found.log_with("ZeroDivisionError: integer division or modulo by zero\n")
    assert log.startswith("The last 1000 of 3002 calls:\nTraceback")
    assert "in predict" not in log


def test_sys_exit_and_keyboard_interrupts_fail_one_prediction_only(worker):
    source = """
        def predict(s: str) -> str:
            if s == "exit":
                sys.exit(2)
            if s == "interrupt":
                raise KeyboardInterrupt
            if s == "generator":
                raise GeneratorExit
            return s
        """
    found = worker(source, "predict")
    assert found.predict({"s": "exit"})["error"] == "the model called sys.exit(2)"
    assert found.predict({"s": "interrupt"})["error"] == "KeyboardInterrupt"
    assert found.predict({"s": "generator"})["status"] == "failed"
    assert found.predict({"s": "fine"})["output"] == "fine"


def test_reading_stdin_ends_at_once(worker):
    found = worker("def predict() -> str:\n    return repr(sys.stdin.read() + (os.read(0, 5).decode()))", "predict")
    assert found.predict()["output"] == "''"


def test_raw_writes_and_those_of_children_reach_the_log(worker):
    source = """
        import subprocess
        def predict() -> str:
            os.write(1, b"raw\\n")
            subprocess.run(["sh", "-c", "echo child; echo error >&2"])
            os.system("echo system")
            print("print", end="")
            return "x"
        """
    found = worker(source, "predict")
    found.predict()
    assert found.log_with("print") == "raw\nchild\nerror\nsystem\nprint"


def test_children_do_not_hold_the_control_socket(worker):
    source = """
        import subprocess, multiprocessing
        def predict(how: str) -> str:
            if how == "program":
                subprocess.Popen(["sleep", "30"])
            else:
                multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,), daemon=True).start()
            return "x"
        """
    found = worker(source, "predict")
    found.predict({"how": "program"})
    found.predict({"how": "fork"})
    os.kill(found.process.pid, signal.SIGKILL)
    found.process.wait()
    assert is_readable(found.connections[0], 5), "a child holds the socket open"
    assert found.channel.receive() is None


def test_a_forked_child_that_comes_back_does_not_answer(worker):
    source = """
        def predict() -> str:
            if os.fork() == 0:
                return "child"
            os.wait()
            return "parent"
        """
    found = worker(source, "predict")
    assert found.predict()["output"] == "parent"
    assert found.predict()["output"] == "parent"


def test_descriptors_that_a_model_closes_are_its_own_affair(worker):
    source = """
        def predict() -> str:
            sys.stdout.close()
            return "x"
        """
    found = worker(source, "predict")
    assert found.predict()["output"] == "x"
    assert found.predict()["output"] == "x"


# -- cancelling

CANCELLED = "the prediction was cancelled"


@pytest.mark.parametrize(
    "block",
    [
        "time.sleep(600)",
        "os.read(os.pipe()[0], 1)",
        "__import__('threading').Lock().acquire() and __import__('threading').Event().wait()",
        "__import__('subprocess').run(['sleep', '60'])",
        "[0 for _ in iter(int, 1)]",
        "__import__('select').select([], [], [])",
    ],
)
def test_cancel_interrupts_what_blocks_and_cleanup_runs(worker, block):
    source = """
        def predict(block: bool = True) -> str:
            try:
                if block:
                    print("blocking", flush=True)
                    BLOCK
                return "free"
            except CancelationException:
                print("cleanup", flush=True)
                raise
        """
    found = worker(source.replace("BLOCK", block), "predict")
    id_ = found.begin()
    found.log_with("blocking")
    found.cancel(id_)
    done = found.finish(id_)[-1]
    assert (done["status"], done["output"], done["error"]) == ("canceled", None, None)
    assert found.log_with("cleanup") == "blocking\ncleanup\n"
    assert found.predict({"block": False})["output"] == "free"


def test_the_exception_is_one_class_under_all_names_and_no_exception(worker):
    source = """
        import cog.exceptions
        from cog.server.exceptions import CancelationException as Other
        def predict() -> str:
            assert Other is CancelationException is cog.exceptions.CancelationException
            try:
                print("sleeping", flush=True)
                time.sleep(60)
            except Exception:
                print("swallowed")
            except Other as e:
                print("caught", flush=True)
                raise e
        """
    found = worker(source, "predict")
    id_ = found.begin()
    found.log_with("sleeping")
    found.cancel(id_)
    assert found.finish(id_)[-1]["status"] == "canceled"
    assert found.log_with("caught") == "sleeping\ncaught\n"


def test_a_cancel_of_a_waiting_prediction_is_not_lost_and_does_not_hit_another(worker):
    found = worker("def predict(s: str) -> str:\n    time.sleep(0.7)\n    return s", "predict")
    first, second, third = found.begin({"s": "1"}), found.begin({"s": "2"}), found.begin({"s": "3"})
    found.cancel(second)
    messages = found.finish(third)
    ends = {m["id"]: m["status"] for m in messages if m["type"] == "done"}
    assert ends == {first: "succeeded", second: "canceled", third: "succeeded"}
    assert [m["id"] for m in messages if m["type"] == "started"] == [first, third]


def test_cancels_right_behind_the_request_are_never_lost(worker):
    found = worker("def predict() -> str:\n    time.sleep(60)\n    return 'x'", "predict")
    for pause in [0, 0, 0, 0.0002, 0.0005, 0.001] * 5:
        id_ = found.begin()
        time.sleep(pause)
        found.cancel(id_)
        assert found.finish(id_)[-1]["status"] == "canceled"


def test_cancels_at_the_end_of_predictions_hit_none_of_the_following(worker):
    found = worker("def predict(s: str) -> str:\n    return s", "predict")
    for number in range(300):
        id_ = found.begin({"s": str(number)})
        if number % 3:
            found.cancel(id_)
        done = found.finish(id_)[-1]
        assert done["status"] == "succeeded" or (number % 3 and done["status"] == "canceled")
        if number % 3 == 0:
            assert done["output"] == str(number)


def test_a_model_that_ignores_its_cancel_is_cancelled_all_the_same(worker):
    source = """
        def predict() -> str:
            try:
                print("sleeping", flush=True)
                time.sleep(60)
            except CancelationException:
                pass
            return "x"
        """
    found = worker(source, "predict")
    id_ = found.begin()
    found.log_with("sleeping")
    found.cancel(id_)
    done = found.finish(id_)[-1]
    assert (done["status"], done["output"]) == ("canceled", None)


def test_a_cancel_between_two_items_is_raised_inside_the_generator(worker):
    source = """
        def predict() -> Iterator[str]:
            try:
                while True:
                    yield "x"
            except CancelationException:
                print("cleanup", flush=True)
                raise
        """
    found = worker(source, "predict")
    for _ in range(5):
        id_ = found.begin()
        found.receive("output")
        found.cancel(id_)
        assert found.finish(id_)[-1]["status"] == "canceled"
    assert found.log_with("cleanup\n" * 5) == "cleanup\n" * 5


def test_metrics_are_whole_messages_when_a_cancel_comes(worker):
    source = """
        class Predictor(BasePredictor):
            def predict(self) -> str:
                while True:
                    self.record_metric("text", "x" * 20000)
        """
    found = worker(source)
    for _ in range(10):
        id_ = found.begin()
        found.receive("metric")
        found.cancel(id_)
        assert found.finish(id_)[-1]["status"] == "canceled"


def test_a_model_that_took_the_signal_gets_it_back_at_the_next_prediction(worker):
    source = """
        import signal
        def predict(take: bool) -> str:
            if take:
                signal.signal(signal.SIGUSR1, signal.SIG_IGN)
                return "taken"
            print("sleeping", flush=True)
            time.sleep(60)
        """
    found = worker(source, "predict")
    assert found.predict({"take": True})["output"] == "taken"
    id_ = found.begin({"take": False})
    found.log_with("sleeping")
    found.cancel(id_)
    assert found.finish(id_)[-1]["status"] == "canceled"


# -- outputs


def test_iterators_send_one_message_per_item(worker):
    source = """
        class Predictor(BasePredictor):
            def predict(self, n: int) -> ConcatenateIterator[str]:
                for i in range(n):
                    yield "t%d " % i
        """
    found = worker(source)
    messages = found.finish(found.begin({"n": 3}))
    assert [(m["index"], m["chunk"]) for m in messages if m["type"] == "output"] == [(0, "t0 "), (1, "t1 "), (2, "t2 ")]
    assert messages[-1]["is_iterator"] is True
    assert "output" not in messages[-1]
    assert found.predict({"n": 0})["status"] == "succeeded"


def test_an_iterator_that_fails_keeps_what_it_yielded(worker):
    source = """
        def predict() -> Iterator[int]:
            yield 1
            raise RuntimeError("late")
        """
    found = worker(source, "predict")
    messages = found.finish(found.begin())
    assert [m["chunk"] for m in messages if m["type"] == "output"] == [1]
    assert (messages[-1]["status"], messages[-1]["error"]) == ("failed", "late")


@pytest.mark.parametrize(
    ("annotation", "expression", "error"),
    [
        ("str", "1", "output must be str, but the model returned int"),
        ("List[int]", "[1, 'x']", "output[1] must be int, but the model returned str"),
        ("Dict[str, float]", "{'a': {'b': 1}}", "output.a must be float, but the model returned dict"),
        ("Path", "3", "output must be Path, but the model returned int"),
        ("Path", "Path('/no/such/file')", "No such file or directory: '/no/such/file'"),
        ("Iterator[str]", "'text'", "output must be Iterator[str], but the model returned str"),
        ("Iterator[str]", "[1]", "output must be str, but the model returned int"),
    ],
)
def test_outputs_that_do_not_fit_fail_with_the_part_that_does_not(worker, annotation, expression, error):
    found = worker("def predict() -> %s:\n    return %s" % (annotation, expression), "predict")
    done = found.predict()
    assert done["status"] == "failed"
    assert error in done["error"]
    assert found.predict()["status"] == "failed"


def test_outputs_without_a_json_form_fail_with_the_part_that_has_none(worker):
    found = worker("def predict(s: str) -> Any:\n    return eval(s)", "predict")
    for expression, error in (
        ("{'a': [1, float('nan')]}", "output.a[1] is NaN, which JSON does not have"),
        ("float('inf')", "output is infinite, which JSON does not have"),
        ("{'x': object()}", "output.x is of type object, which has no JSON form"),
        ("b'x'", "output is of type bytes, which has no JSON form; return io.BytesIO(...) or a cog.Path to send a file"),
        ("(lambda a: a.append(a) or a)([])", "output[0] contains itself"),
        ("__import__('functools').reduce(lambda a, _: [a], range(5000), 0)", "is nested too deeply"),
    ):
        for _ in range(2):
            done = found.predict({"s": expression})
            assert done["status"] == "failed", expression
            assert error in done["error"]


def test_falsy_outputs_stay_what_they_are(worker):
    found = worker("def predict(s: str) -> Any:\n    return eval(s)", "predict")
    for expression in ("False", "0", "[]", "''", "{}", "None"):
        done = found.predict({"s": expression})
        assert (done["status"], done["output"]) == ("succeeded", eval(expression))
        assert type(done["output"]) is type(eval(expression))


def test_large_values_go_through(worker):
    found = worker("def predict(s: str) -> str:\n    return s + s", "predict")
    text = "ä" * 3_000_000
    assert found.predict({"s": text})["output"] == text + text


def test_files_are_named_and_temporary_ones_moved_away(worker, tmp_path):
    source = """
        import tempfile, io
        class Output(BaseModel):
            pictures: List[Path]
            text: File
            score: Optional[float]
        def predict() -> Output:
            path = Path(tempfile.mkdtemp()) / "my picture.png"
            path.write_bytes(b"png")
            kept = Path("kept.txt")
            kept.write_text("kept")
            print(path, flush=True)
            return Output(pictures=[path, kept, path], text=io.StringIO("hellö"))
        """
    found = worker(source, "predict", environment={"TMPDIR": "/tmp"})
    done = found.predict()
    assert done["output"] == {"pictures": [None, None, None], "text": None}
    files = done["files"]
    assert [file["pointer"] for file in files] == [["pictures", 0], ["pictures", 1], ["pictures", 2], ["text"]]
    assert [file["name"] for file in files] == ["my picture.png", "kept.txt", "my picture.png", ""]
    assert [file["mime"] for file in files] == ["image/png", "text/plain", "image/png", None]
    assert [file["delete"] for file in files] == [True] * 4
    assert len({file["path"] for file in files}) == 4, "each place has a file of its own"
    contents = [content(file, "rb") for file in files]
    assert contents == [b"png", b"kept", b"png", "hellö".encode()]
    assert not os.path.exists(found.log_with("\n").strip())
    assert (tmp_path / "kept.txt").read_text() == "kept"
    for file in files:
        if file["delete"]:
            os.unlink(file["path"])


def test_a_yielded_file_may_be_written_again_or_removed(worker):
    source = """
        import tempfile
        def predict() -> Iterator[Path]:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "out.txt"
                for text in ("first", "second"):
                    path.write_text(text)
                    yield path
        """
    found = worker(source, "predict")
    messages = found.finish(found.begin())
    assert messages[-1]["status"] == "succeeded"
    files = [m["files"][0] for m in messages if m["type"] == "output"]
    assert [content(file) for file in files] == ["first", "second"]
    assert [(file["pointer"], file["name"], file["delete"]) for file in files] == [([], "out.txt", True)] * 2
    for file in files:
        os.unlink(file["path"])


def test_the_next_prediction_cannot_change_a_file_that_is_still_to_be_read(worker):
    source = """
        def predict(s: str) -> Path:
            path = Path("output.txt")
            path.write_text(s)
            return path
        """
    found = worker(source, "predict")
    first, second = found.predict({"s": "1"}), found.predict({"s": "2"})
    assert [content(done["files"][0]) for done in (first, second)] == ["1", "2"]


# -- inputs


def test_downloaded_files_secrets_and_defaults_reach_the_model(worker, tmp_path):
    (tmp_path / "a.png").write_bytes(b"picture")
    source = """
        def predict(image: Path, many: List[Path], handle: File, token: Secret, tags: List[str] = ["a"],
                    seed: int = Input(default=None), scale: float = Input(default=1, ge=0)) -> Any:
            tags.append("b")
            return [type(image).__name__, image.read_bytes().decode(), [p.name for p in many], handle.read().decode(),
                    str(token), token.get_secret_value(), tags, seed, repr(scale)]
        """
    found = worker(source, "predict")
    path = str(tmp_path / "a.png")
    pointers = [["image"], ["many", 0], ["handle"]]
    files = [{"pointer": pointer, "path": path, "name": "a.png", "url": "https://x/a.png"} for pointer in pointers]
    url = "https://x/a.png"
    for _ in range(2):
        done = found.predict({"image": url, "many": [url], "handle": url, "token": "s3"}, files=files)
        assert done["output"] == ["Path", "picture", ["a.png"], "picture", "*" * 10, "s3", ["a", "b"], None, "1.0"]
    assert "s3" not in found.log


def test_data_urls_become_files_that_are_gone_afterwards(worker):
    source = """
        def predict(image: Path, handle: File) -> Any:
            return [str(image), image.suffix, image.read_text(), handle.read().decode()]
        """
    found = worker(source, "predict")
    output = found.predict({"image": "data:text/plain;base64,aGVsbG8=", "handle": "data:,x%20y"})["output"]
    assert output[1:] == [".txt", "hello", "x y"]
    assert not os.path.exists(output[0])
    assert "valid URL scheme" in found.predict({"image": "file:///etc/passwd", "handle": "data:,"})["error"]


LAZY = """
    def predict(handle: File, many: List[File] = [], reads: bool = True) -> Any:
        seen = [type(handle).__name__, handle.name, handle.closed]
        if reads:
            seen += [handle.tell(), handle.readline().decode(), handle.read(3).decode(), handle.seek(0), list(handle)[0].decode()]
        return seen + [file.read().decode() for file in many]
    """


def lazy_file(index, *pointer):
    return {"pointer": list(pointer), "index": index, "name": "a.txt", "url": "https://x/a.txt"}


def test_files_of_open_file_inputs_are_fetched_when_they_are_read(worker, tmp_path):
    (tmp_path / "picture").write_bytes(b"line 1\nline 2\n")
    found = worker(LAZY, "predict")
    assert found.loaded["lazy_inputs"] == ["handle", "many"]
    inputs = {"handle": "", "many": [""], "reads": False}
    kinds = [m["type"] for m in found.finish(found.begin({**inputs, "many": []}, files=[lazy_file(0, "handle")]))]
    assert "fetch" not in kinds
    id_ = found.begin({**inputs, "reads": True}, files=[lazy_file(0, "handle"), lazy_file(1, "many", 0)])
    for index in (0, 1):
        wanted = found.receive("fetch")
        assert (wanted["id"], wanted["index"]) == (id_, index)
        found.send(type="fetched", number=found.numbers[id_], index=index, path=str(tmp_path / "picture"))
    text = "line 1\nline 2\n"
    assert found.finish(id_)[-1]["output"] == ["InputFile", "a.txt", False, 0, "line 1\n", "lin", 0, "line 1\n", text]


def test_a_file_that_cannot_be_fetched_raises_where_it_is_read(worker):
    found = worker(LAZY, "predict")
    id_ = found.begin({"handle": ""}, files=[lazy_file(0, "handle")])
    found.receive("fetch")
    found.send(type="fetched", number=found.numbers[id_], index=0, error="the server answered 404")
    done = found.finish(id_)[-1]
    assert (done["status"], done["error"]) == ("failed", "the server answered 404")


CHILDREN = """
    import pickle
    def predict(handle: File, how: str) -> str:
        if how == "pickled":
            # What another process would do; the URL, which does not exist, is not asked again.
            return pickle.loads(pickle.dumps(handle)).read().decode() + " of " + handle.name
        if how == "read before":
            handle.read(1)
        reading, writing = os.pipe()
        if os.fork() == 0:
            try:
                os.write(writing, handle.read())
            except OSError as error:
                os.write(writing, str(error).encode())
            os._exit(0)
        os.close(writing)
        os.wait()
        return os.read(reading, 1000).decode()
    """


@pytest.mark.parametrize(
    ("how", "output"),
    [
        ("pickled", "line 1 of a.txt"),
        ("read before", "ine 1"),
        ("forked", "a child of os.fork() cannot fetch the file: read from it before"),
    ],
)
def test_children_read_files_that_were_fetched(worker, tmp_path, how, output):
    (tmp_path / "picture").write_bytes(b"line 1")
    found = worker(CHILDREN, "predict")
    id_ = found.begin({"handle": "", "how": how}, files=[lazy_file(0, "handle")])
    if how != "forked":
        assert found.receive("fetch")["id"] == id_
        found.send(type="fetched", number=found.numbers[id_], index=0, path=str(tmp_path / "picture"))
    assert found.finish(id_)[-1]["output"] == output


@pytest.mark.parametrize("word", ["def", "async def"])
def test_a_prediction_that_waits_for_a_file_can_be_cancelled(worker, word):
    found = worker(LAZY.replace("def", word), "predict")
    id_ = found.begin({"handle": ""}, files=[lazy_file(0, "handle")])
    found.receive("fetch")
    found.cancel(id_)
    assert found.finish(id_)[-1]["status"] == "canceled"
    assert found.predict({"handle": "", "reads": False}, files=[lazy_file(0, "handle")])["status"] == "succeeded"


# -- scope, health, setup


def test_metrics_and_context(worker):
    source = """
        import threading
        class Predictor(BasePredictor):
            def setup(self):
                self.record_metric("outside", 1)
            def predict(self) -> Any:
                scope = current_scope()
                self.record_metric("a.b", 1)
                scope.metrics["a.b"] = 2
                scope.record_metric("n", 1.5, mode="increment")
                del scope.metrics["n"]
                scope.metrics.record("n", "now a text")
                scope.metrics.delete("n")
                scope.metrics.record("n", 1)
                self.record_metric("n", 2, mode="append")
                thread = threading.Thread(target=lambda: current_scope().record_metric("thread", True))
                thread.start()
                thread.join()
                try:
                    self.record_metric("a.b", "x")
                except TypeError as error:
                    return [str(error), scope.context]
        """
    found = worker(source)
    messages = found.finish(found.begin(context={"k": "v"}))
    assert [(m["name"], m["value"], m["mode"]) for m in messages if m["type"] == "metric"] == [
        ("a.b", 1, "replace"), ("a.b", 2, "replace"), ("n", 1.5, "incr"), ("n", None, "replace"),
        ("n", "now a text", "replace"), ("n", None, "replace"), ("n", 1, "replace"), ("n", 2, "append"), ("thread", True, "replace"),
    ]  # fmt: skip
    assert messages[-1]["output"] == ["Metric 'a.b' has type int, cannot set to str without deleting first", {"k": "v"}]


def test_health_is_checked_beside_a_prediction(worker):
    source = """
        class Predictor(BasePredictor):
            state = True
            def healthcheck(self) -> bool:
                if self.state is None:
                    raise RuntimeError("broken")
                return self.state
            def predict(self, how: str) -> str:
                self.state = {"fine": True, "bad": False, "broken": None}[how]
                time.sleep(0.3)
                return "x"
        """
    found = worker(source)
    assert found.loaded["has_healthcheck"] is True
    for how, expected in {
        "fine": (True, None),
        "bad": (False, "user-defined healthcheck returned False"),
        "broken": (False, "broken"),
    }.items():
        id_ = found.begin({"how": how})
        found.receive("started")
        time.sleep(0.05)
        found.send(type="healthcheck", nonce=how)
        message = found.receive()
        assert (message["type"], message["nonce"], message["ok"], message["error"]) == ("health", how, *expected)
        found.finish(id_)


CODER = """
    class Colour:
        def __init__(self, code):
            self.code = code
    class ColourCoder(Coder):
        @staticmethod
        def factory(tpe):
            return ColourCoder() if tpe is Colour else None
        def encode(self, value):
            return {"code": value.code}
        def decode(self, value):
            return Colour(value["code"])
    Coder.register(ColourCoder)
    def predict(one: Colour, many: List[Colour], maybe: Optional[Colour] = None) -> Colour:
        return Colour("%s %s %s" % (one.code, "".join(c.code for c in many), maybe and maybe.code))
    """


def test_coders_make_inputs_and_outputs(worker):
    found = worker(CODER, "predict")
    properties = found.loaded["openapi"]["components"]["schemas"]["Input"]["properties"]
    assert {name: schema["type"] for name, schema in properties.items()} == {
        "one": "object", "many": "array", "maybe": "object",
    }  # fmt: skip
    given = {"one": {"code": "a"}, "many": [{"code": "b"}, {"code": "c"}]}
    assert found.predict(given)["output"] == {"code": "a bc None"}
    assert found.predict({**given, "maybe": {"code": "d"}})["output"] == {"code": "a bc d"}
    failed = found.predict({**given, "one": {}})
    assert (failed["status"], failed["error"]) == ("failed", "'code'")


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("class Runner:\n    def run(self) -> str:\n        return 'runner'\n"
         "class Predictor:\n    def predict(self) -> str:\n        return 'predictor'\n", "runner"),
        ("class Predictor:\n    def predict(self) -> str:\n        return 'predictor'\n", "predictor"),
    ],
)  # fmt: skip
def test_a_file_alone_is_searched_for_the_usual_classes(worker, source, output):
    assert worker(source, None).predict()["output"] == output


def test_a_class_is_made_once_and_set_up_once(worker):
    source = """
        class Predictor(BasePredictor):
            calls = []
            def __init__(self):
                self.calls.append("init")
            def setup(self):
                self.calls.append("setup")
            def predict(self) -> list:
                self.calls.append("predict")
                return [*self.calls, os.getcwd() in sys.path]
        """
    found = worker(source)
    found.predict()
    assert found.predict()["output"] == ["init", "setup", "predict", "predict", True]


@pytest.mark.parametrize(
    ("annotation", "variable", "expected"),
    [
        ("Optional[Union[Path, str]]", None, "NoneType None"),
        ("Optional[Union[Path, str]]", "data:text/plain,hello", "Path hello"),
        ("Optional[Union[Path, str]]", "plain", "str plain"),
        ("Path", "data:text/plain,hello", "Path hello"),
        ("str", "data:text/plain,hello", "str data:text/plain,hello"),
        ("File", "data:text/plain,hello", "BytesIO hello"),
        ("Optional[Union[str, Path, File]]", "data:text/plain,hello", "BytesIO hello"),
    ],
)
def test_setup_gets_weights(worker, annotation, variable, expected):
    source = """
        class Predictor(BasePredictor):
            def setup(self, weights: ANNOTATION = None) -> None:
                text = weights.read_text() if isinstance(weights, Path) else weights
                text = text.read().decode() if hasattr(text, "read") else text
                self.seen = "%s %s" % (type(weights).__name__, text)
            def predict(self) -> str:
                return self.seen
        """
    environment = {"COG_WEIGHTS": variable} if variable else {}
    found = worker(source.replace("ANNOTATION", annotation), environment=environment)
    assert found.predict()["output"] == expected


def test_setup_gets_the_weights_folder_and_refuses_other_types(worker, tmp_path):
    (tmp_path / "weights").mkdir()
    source = "class Predictor(BasePredictor):\n    def setup(self, weights: %s):\n        self.w = weights\n    def predict(self) -> str:\n        return repr(self.w)"
    assert worker(source % "Path").predict()["output"] == "Path('weights')"
    failed = worker(source % "int", is_ready=False).receive("setup_failed")
    assert "'weights' of type int; it must be cog.File, cog.Path or str" in failed["error"]


@pytest.mark.parametrize(
    ("annotation", "expected"), [("File", "b'trained'"), ("Path", "Path('weights')"), ("str", "'weights'")]
)
def test_setup_gets_the_weights_file(worker, tmp_path, annotation, expected):
    (tmp_path / "weights").write_text("trained")
    source = """
        class Predictor(BasePredictor):
            def setup(self, weights: ANNOTATION):
                self.seen = weights.read() if hasattr(weights, "read") else weights
            def predict(self) -> str:
                return repr(self.seen)
        """
    assert worker(source.replace("ANNOTATION", annotation)).predict()["output"] == expected
    trainer = source.replace("predict", "train").replace("ANNOTATION", annotation)
    assert worker(trainer, mode="train").predict()["output"] == expected


def test_weights_behind_a_web_address_are_opened_when_they_are_read(worker):
    source = """
        class Predictor(BasePredictor):
            def setup(self, weights: File):
                self.weights = weights
            def predict(self) -> list:
                return [type(self.weights).__name__, self.weights.name]
        """
    found = worker(source, environment={"COG_WEIGHTS": "http://127.0.0.1:9/folder/model%20a.bin"})
    assert found.predict()["output"] == ["URLFile", "model a.bin"]


def test_optional_inputs_that_are_not_given_are_none(worker):
    source = """
        def predict(a: Optional[int], b: "int | None", c: Optional[List[str]], d: Optional[Path], e: int = Input(default=None, ge=1)) -> Any:
            return [a, b, c, d, e]
        """
    found = worker(source, "predict")
    assert "required" not in found.loaded["openapi"]["components"]["schemas"]["Input"]
    assert found.predict()["output"] == [None] * 5


def test_sequences_arrive_as_what_was_declared(worker):
    source = """
        def predict(t: Tuple[float, ...], s: Set[str], n: List[List[int]]) -> str:
            return repr((t, sorted(s), type(s).__name__, n))
        """
    given = {"t": [1, 2.5], "s": ["b", "a", "b"], "n": [[1], []]}
    assert worker(source, "predict").predict(given)["output"] == "((1.0, 2.5), ['a', 'b'], 'set', [[1], []])"


def test_parameters_of_2021_without_decorators_are_optional_texts(worker):
    source = """
        class Predictor(Predictor):
            def predict(self, text, other):
                return [text, other]
        """
    found = worker(source)
    assert found.predict({"text": "1"})["output"] == ["1", None]
    typed = source.replace("self, text, other):", "self, text: int, other: float = 1) -> list:")
    assert worker(typed).predict({"text": 1})["output"] == [1, 1.0]


def test_trainers_of_both_kinds(worker):
    source = """
        import io
        class TrainingOutput(BaseModel):
            weights: Path
            metrics: dict
        class Trainer:
            def setup(self) -> None:
                self.base = "base "
            def train(self, data: str, epochs: int = Input(default=10, ge=1, le=100)) -> TrainingOutput:
                path = Path("/tmp/fine_tuned_%d.pth" % os.getpid())
                path.write_text(self.base + data)
                return TrainingOutput(weights=path, metrics={"loss": 0.5, "epochs": epochs})
        def train(param: str) -> File:
            return io.StringIO("hello " + param)
        """
    done = worker(source, "Trainer", mode="train").predict({"data": "x"})
    assert done["output"] == {"weights": None, "metrics": {"loss": 0.5, "epochs": 10}}
    assert content(done["files"][0]) == "base x"
    found = worker(source, "train", mode="train")
    assert "TrainingInput" in found.loaded["openapi"]["components"]["schemas"]
    done = found.predict({"param": "train"})
    assert content(done["files"][0]) == "hello train"


def test_the_legacy_sample_runs_with_the_inputs_it_takes(worker):
    source = """
        import cog
        from pathlib import Path
        class ImageScalingPredictor(cog.Predictor):
            def setup(self):
                self.model = lambda path: path.read_text().upper()
            @cog.input("input", type=Path, help="Image to enlarge")
            @cog.input("scale", type=float, default=1.5, help="Factor to scale image by")
            def predict(self, input):
                return self.model(input)
        """
    found = worker(source, "ImageScalingPredictor")
    assert found.loaded["is_legacy"] is True
    assert found.predict({"input": "data:text/plain,abc", "scale": 2})["output"] == "ABC"


def test_the_program_has_the_options_of_the_protocol():
    environment = {**os.environ, "PYTHONPATH": "runtime"}
    result = subprocess.run(
        [sys.executable, "-m", "cog.worker", "--help"], capture_output=True, text=True, env=environment
    )
    assert all(option in result.stdout for option in ("--fd", "--mode", "--target"))


def test_documents_are_printed_by_the_command(tmp_path):
    from tests.runtime.sdk.harness import ROOT

    (tmp_path / "predict.py").write_text("print('noise')\ndef predict(s: str) -> str: ...\n")
    (tmp_path / "cog.yaml").write_text('build: {}\npredict: "predict.py:predict"  # the model\n')
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "runtime")}
    command = [sys.executable, "-m", "cog.command.openapi_schema"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=str(tmp_path))
    assert json.loads(result.stdout)["components"]["schemas"]["Input"]["required"] == ["s"]
    assert "noise" in result.stderr


def test_a_model_that_closes_every_descriptor_ends_its_worker(worker):
    found = worker("def predict() -> str:\n    os.closerange(3, 256)\n    return 'x'", "predict")
    found.begin()
    with pytest.raises(EOFError):
        found.receive("done")
    assert found.process.wait(TIMEOUT_SECONDS) == 1


@pytest.mark.parametrize("end", ["os._exit(7)", "os.kill(os.getpid(), 11)"])
def test_a_worker_that_dies_closes_its_socket_and_leaves_its_log(worker, end):
    found = worker("def predict() -> str:\n    print('last words')\n    %s" % end, "predict")
    found.begin()
    with pytest.raises(EOFError):
        found.receive("done")
    assert "last words\n" in found.log_with("last words")


def test_megabytes_of_lines_are_written(worker):
    found = worker(
        "def predict(n: int) -> str:\n    for i in range(n):\n        print('line', i)\n    return 'x'", "predict"
    )
    assert found.predict({"n": 100_000})["output"] == "x"
    assert found.log_with("line 99999\n").count("\n") == 100_000


def test_each_line_is_written_at_once(worker):
    found = worker("def predict() -> str:\n    print('early')\n    time.sleep(60)", "predict")
    found.begin()
    assert found.log_with("early") == "early\n"


def test_the_samples_of_lists_and_objects_of_files(worker):
    source = """
        import io
        class Output(BaseModel):
            file: File
            text: str
        class Predictor(BasePredictor):
            def predict(self, paths: bool) -> Any:
                if not paths:
                    return Output(text="hello", file=io.StringIO("hello"))
                output = []
                for i, prediction in enumerate(["foo", "bar", "baz"]):
                    out_path = Path(f"/tmp/out-{i}-{os.getpid()}.txt")
                    with out_path.open("w") as f:
                        f.write(prediction)
                    output.append(out_path)
                return output
        """
    found = worker(source)
    assert [content(file) for file in found.predict({"paths": True})["files"]] == ["foo", "bar", "baz"]
    assert found.predict({"paths": False})["output"] == {"file": None, "text": "hello"}


def test_a_cancel_right_behind_ready_does_not_end_the_worker(worker):
    source = "def predict() -> str:\n    time.sleep(60)"
    for _ in range(5):
        found = worker(source, "predict", is_ready=False)
        # Sent while the model is still loading: both wait for its setup.
        id_ = found.begin()
        found.cancel(id_)
        found.ready()
        assert found.finish(id_)[-1]["status"] == "canceled"
        assert found.end() == 0


def test_child_processes_of_multiprocessing_work(worker):
    source = """
        import multiprocessing
        def double(x):
            return 2 * x
        def predict(method: str) -> List[int]:
            with multiprocessing.get_context(method).Pool(2) as pool:
                return pool.map(double, [1, 2])
        """
    found = worker(source, "predict")
    assert found.predict({"method": "fork"})["output"] == [2, 4]
    assert found.predict({"method": "spawn"})["output"] == [2, 4]
