"""Workers that crash, hang, leak processes or never start: the server stays, says why, and goes on."""

from __future__ import annotations

import time

import pytest

from tests.runtime.server.harness import impatient_python


def is_gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


MODEL = """
import os, signal, subprocess, sys, time
from typing import Any
from cog import BasePredictor, CancelationException

class Predictor(BasePredictor):
    def predict(self, do: str = "pid", text: str = "") -> Any:
        return getattr(self, do)(text)
    def pid(self, _): return os.getpid()
    def exit(self, _):
        print("last words", flush=True)
        os._exit(3)
    def segv(self, _): os.kill(os.getpid(), signal.SIGSEGV)
    def kill(self, _): os.kill(os.getpid(), signal.SIGKILL)
    def close(self, _):
        os.closerange(3, 256)
        time.sleep(0.2)
    def child(self, path):
        for command in [["sleep", "300"], ["setsid", "sleep", "300"]] * 15:
            child = subprocess.Popen(command)
            with open(path, "a") as file: file.write(str(child.pid) + "\\n")
        os._exit(1)
    def stubborn(self, _):
        end = time.time() + 60
        while time.time() < end:
            try:
                time.sleep(1)
            except BaseException:
                pass
"""
ENVIRONMENT = {"COGC_CANCEL_GRACE_SECONDS": "1"}


@pytest.mark.parametrize(
    ("do", "words"),
    [
        ("exit", ["exit code 3", "memory"]),
        ("segv", ["SIGSEGV", "exit code -11"]),
        ("kill", ["SIGKILL", "memory"]),
        ("close", ["model's process"]),
    ],
)
def test_a_worker_that_dies_fails_its_prediction_and_is_replaced(shared, do, words):
    shared.wait_health("READY")
    before = shared.predict()["output"]
    answer = shared.predict(do=do)
    assert answer["status"] == "failed"
    assert all(word in answer["error"] for word in words), answer["error"]
    assert answer["metrics"]["predict_time"] >= 0
    if do == "exit":
        assert answer["logs"] == "last words\n"
    shared.wait_health("READY")
    assert shared.predict()["output"] != before


def test_children_of_a_dead_worker_are_gone_daemons_too(shared, tmp_path, wait_until):
    shared.wait_health("READY")
    path = tmp_path / "pids"
    assert shared.predict(do="child", text=str(path))["status"] == "failed"
    pids = [int(line) for line in path.read_text().split()]
    assert len(pids) == 30
    wait_until(lambda: all(is_gone(pid) for pid in pids))


def test_a_model_that_ignores_its_cancel_is_killed_after_the_grace(shared):
    shared.wait_health("READY")
    shared.begin("stubborn", {"do": "stubborn"})
    shared.wait_status("stubborn", "processing")
    time.sleep(0.2)
    assert shared.ask("POST", "/predictions/stubborn/cancel").status == 200
    assert shared.wait_status("stubborn", "canceled")
    shared.wait_health("READY")
    assert shared.predict()["status"] == "succeeded"


def test_repeated_crashes_end_as_defunct(serve):
    server = serve(MODEL, environment={"COGC_MAX_CRASHES": "2"})
    assert server.predict(do="exit")["status"] == "failed"
    server.wait_health("READY")
    assert server.predict(do="exit")["status"] == "failed"
    server.wait_health("DEFUNCT")
    assert server.ask("POST", "/predictions", {"input": {}}).status == 503
    assert server.ask("GET", "/livez").status == 503
    assert server.ask("GET", "/readyz").status == 503
    assert server.stop() == 1


SETUP = """
import os, sys, time
from cog import BasePredictor
class Predictor(BasePredictor):
    def setup(self):
        print("loading weights")
        %s
    def predict(self) -> str:
        return "ok"
"""


@pytest.mark.parametrize(
    ("statement", "text"),
    [("raise RuntimeError('no weights')", "no weights"), ("os._exit(4)", "exit code 4"), ("undefined()", "NameError")],
)
def test_a_failed_setup_is_told_with_its_logs(serve, statement, text):
    server = serve(SETUP % statement, states=("SETUP_FAILED",))
    setup = server.health()["setup"]
    assert setup["status"] == "failed"
    assert "loading weights" in setup["logs"]
    assert text in setup["logs"]
    assert server.ask("POST", "/predictions", {"input": {}}).status == 503
    assert server.stop() == 1


def test_a_model_that_cannot_be_imported_fails_setup(serve):
    server = serve("import does_not_exist_at_all\n", states=("SETUP_FAILED",))
    assert "does_not_exist_at_all" in server.health()["setup"]["logs"]


def test_setup_has_a_time_limit(serve):
    server = serve(SETUP % "time.sleep(60)", environment={"COG_SETUP_TIMEOUT": "0.7"}, states=("SETUP_FAILED",))
    assert "0.7 seconds" in server.health()["setup"]["logs"]


def test_before_ready_the_port_answers_503_and_the_probe_too(serve, tmp_path):
    gate = tmp_path / "gate"
    server = serve(SETUP % f"while not os.path.exists({str(gate)!r}): time.sleep(0.01)", states=("STARTING",))
    assert server.ask("POST", "/predictions", {"input": {}}).status == 503
    assert server.ask("GET", "/readyz").status == 503
    assert server.ask("GET", "/livez").status == 200
    gate.touch()
    server.wait_health("READY")
    assert server.ask("GET", "/readyz").status == 200
    setup = server.health()["setup"]
    assert (setup["status"], setup["logs"]) == ("succeeded", "loading weights\n")


def test_the_server_keeps_its_tokens_from_the_model(serve):
    model = (
        "import os\nfrom cog import BasePredictor\nclass Predictor(BasePredictor):\n"
        "    def predict(self) -> str:\n        return str([k for k in ('WEBHOOK_AUTH_TOKEN', 'MY_TOKEN') if k in os.environ])\n"
    )
    server = serve(model, environment={"WEBHOOK_AUTH_TOKEN": "w", "MY_TOKEN": "m"})
    assert server.predict()["output"] == "['MY_TOKEN']"


def test_a_health_check_of_the_model_is_asked(serve):
    model = """
from cog import BasePredictor
class Predictor(BasePredictor):
    is_well = True
    def healthcheck(self) -> bool:
        return self.is_well
    def predict(self, well: bool) -> str:
        self.is_well = well
        return "ok"
"""
    server = serve(model)
    assert server.health()["status"] == "READY"
    server.predict(well=False)
    document = server.health()
    assert document["status"] == "UNHEALTHY"
    assert "user-defined healthcheck returned False" in document["user_healthcheck_error"]
    assert server.predict(well=True)["output"] == "ok"
    assert server.health()["status"] == "READY"


CHECKED = """
import time
from cog import BasePredictor
class Predictor(BasePredictor):
    state = "fine"
    def setup(self): print("  set up")
    def healthcheck(self) -> bool:
        if self.state == "raises":
            raise RuntimeError("no GPU")
        while self.state == "hangs":
            time.sleep(0.05)
        return True
    def predict(self, state: str) -> str:
        self.state = state
        return "ok"
"""


def test_what_a_health_check_can_come_to(serve, tmp_path):
    """The limit is 5 seconds; here it is less."""
    statement = "import cog_server.runner as r; r.HEALTHCHECK_SECONDS = 0.5"
    server = serve(CHECKED, environment={"COGC_SERVER_PYTHON": impatient_python(tmp_path, statement)})
    document = server.health()
    assert set(document) == {"status", "setup", "version"}
    assert set(document["setup"]) == {"started_at", "completed_at", "status", "logs"}
    assert (document["setup"]["status"], document["setup"]["logs"]) == ("succeeded", "  set up\n")
    for state, complaint in (
        ("raises", "Healthcheck failed: no GPU"),
        ("hangs", "Healthcheck failed: user-defined healthcheck timed out after 0.5 seconds"),
    ):
        assert server.predict(state=state)["output"] == "ok"
        document = server.health()
        assert (document["status"], document["user_healthcheck_error"]) == ("UNHEALTHY", complaint)
    assert server.predict(state="fine")["output"] == "ok"
    server.wait_health("READY")


def test_setup_that_has_not_ended_has_no_end_and_no_limit_unless_one_is_set(serve):
    server = serve(SETUP % "time.sleep(60)", environment={"COG_SETUP_TIMEOUT": "soon"}, states=("STARTING",))
    setup = server.wait_health("STARTING")["setup"]
    assert set(setup) == {"started_at", "status", "logs"}
    assert setup["status"] == "starting"
    assert "COG_SETUP_TIMEOUT='soon' is not a number" in server.output


def test_no_process_is_left_when_the_server_is_killed(serve, wait_until):
    server = serve(MODEL)
    pid = server.predict()["output"]
    server.process.kill()
    server.process.wait()
    wait_until(lambda: is_gone(pid))
