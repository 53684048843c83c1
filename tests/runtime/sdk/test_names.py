"""Names, import paths, and what importing them costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import cog
from tests.runtime.sdk.harness import ROOT

NAMES = ("BasePredictor BaseRunner Predictor input Input BaseModel Path File Secret ConcatenateIterator "
         "AsyncConcatenateIterator AsyncIterator URLFile URLPath CancelationException current_scope emit_metric "
         "ExperimentalFeatureWarning streaming concurrent Opaque FieldInfo RedisQueueWorker __version__")  # fmt: skip
MODULES = ("types schema errors json files predictor base_predictor mode suppress_output coder exceptions server.exceptions "
           "server.scope command.openapi_schema command.type_signature server.redis_queue server.http")  # fmt: skip


def run(code: str) -> subprocess.CompletedProcess:
    environment = {"PYTHONPATH": str(ROOT / "runtime"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True)


@pytest.mark.parametrize("name", NAMES.split())
def test_name_can_be_imported(name):
    assert getattr(cog, name) is not None


@pytest.mark.parametrize("name", MODULES.split())
def test_module_can_be_imported(name):
    assert importlib.import_module("cog." + name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("types", "ExperimentalFeatureWarning"), ("types", "URLPath"), ("coder", "Coder"), ("errors", "CogError"),
        ("errors", "ConfigDoesNotExist"), ("errors", "PredictorNotSet"), ("schema", "Status"),
        ("schema", "WebhookEvent"), ("server.exceptions", "FatalWorkerException"),
        ("server.exceptions", "InvalidStateException"), ("server.scope", "current_scope"), ("mode", "Mode"),
    ],
)  # fmt: skip
def test_module_has_the_name(module, name):
    assert getattr(importlib.import_module("cog." + module), name)


def test_the_cancelation_exception_is_one_class_that_except_exception_lets_through():
    from cog import exceptions
    from cog.server import exceptions as older

    assert cog.CancelationException is exceptions.CancelationException is older.CancelationException
    assert not issubclass(cog.CancelationException, Exception)


def test_star_import_brings_what_the_compiler_expects_and_prints_nothing():
    result = run("from cog import *\nprint(sorted(n for n in dir() if not n.startswith('_')))")
    assert result.stderr == ""
    for name in ("BasePredictor", "Input", "Path", "Opaque", "Predictor", "streaming", "concurrent", "input"):
        assert repr(name) in result.stdout


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        cog.no_such_name  # noqa: B018


def test_import_cog_loads_nothing_else():
    code = "import sys\nbefore = set(sys.modules)\nimport cog\nprint(*set(sys.modules) - before)"
    assert set(run(code).stdout.split()) <= {"cog", "__future__"}


def test_importing_the_names_of_a_model_loads_nothing_heavy():
    code = "import cog\nfrom cog import BasePredictor, Input, Path, BaseModel, Secret, current_scope\nimport sys\nprint(*sys.modules)"
    loaded = set(run(code).stdout.split())
    assert loaded.isdisjoint(
        {"numpy", "torch", "pydantic", "asyncio", "inspect", "dataclasses", "urllib.request", "mimetypes"}
    )


def test_names_of_the_past_say_so_once():
    result = run("import cog\nfor _ in range(2):\n    cog.emit_metric('a', 1)\n    cog.ExperimentalFeatureWarning\n")
    assert result.stderr.count("deprecated") == 1
    assert result.stderr.count("ExperimentalFeatureWarning") == 1


def test_output_can_be_suppressed():
    result = run(
        "import os\nfrom cog.suppress_output import suppress_output\nprint('a')\nwith suppress_output():\n    print('b')\n    os.system('echo c')\nprint('d')"
    )
    assert result.stdout == "a\nd\n"
