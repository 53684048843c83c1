"""CUDA_VISIBLE_DEVICES for every form of --gpus, on a machine with GPUs and on one without."""

from __future__ import annotations

import pytest

from cogc.engines import EngineFailure, Gpus
from cogc.engines.local import gpus as local_gpus
from cogc.engines.local.gpus import gpu_variables


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Make a machine with so many GPUs."""

    def with_gpus(count: int) -> None:
        for number in range(count):
            (tmp_path / f"nvidia{number}").write_text("")
        (tmp_path / "nvidiactl").write_text("")
        monkeypatch.setattr(local_gpus, "_DEVICES", (f"{tmp_path}/nvidia[0-9]*",))

    return with_gpus


def variables(gpus, environment=None):
    said = []
    found = gpu_variables(gpus, environment or {}, lambda: said.append("none"))
    return found, said


def test_none_are_hidden(machine):
    machine(2)
    assert variables(None) == ({"CUDA_VISIBLE_DEVICES": ""}, [])


@pytest.mark.parametrize(
    ("spec", "environment", "expected"),
    [
        ("all", {}, {}),
        ("all", {"CUDA_VISIBLE_DEVICES": "1"}, {}),
        ("1", {}, {"CUDA_VISIBLE_DEVICES": "0"}),
        ("2", {}, {"CUDA_VISIBLE_DEVICES": "0,1"}),
        ("1", {"CUDA_VISIBLE_DEVICES": "1,0"}, {"CUDA_VISIBLE_DEVICES": "1"}),
        ("device=1", {}, {"CUDA_VISIBLE_DEVICES": "1"}),
        ("device=0,1", {}, {"CUDA_VISIBLE_DEVICES": "0,1"}),
        ("device=GPU-3a23c669", {}, {"CUDA_VISIBLE_DEVICES": "GPU-3a23c669"}),
    ],
)
def test_those_that_are_asked_for(spec, environment, expected, machine):
    machine(2)
    assert variables(Gpus(spec=spec, is_asked=True), environment) == (expected, [])


@pytest.mark.parametrize("environment", [{}, {"CUDA_VISIBLE_DEVICES": "0,1"}])
def test_more_than_there_are(environment, machine):
    machine(2)
    with pytest.raises(EngineFailure) as raised:
        variables(Gpus(spec="3", is_asked=True), environment)
    assert str(raised.value) == "--gpus 3: this machine shows 2"


def test_a_machine_without(machine):
    machine(0)
    assert variables(Gpus(spec="all")) == ({"CUDA_VISIBLE_DEVICES": ""}, ["none"])
    with pytest.raises(EngineFailure) as raised:
        variables(Gpus(spec="all", is_asked=True))
    assert raised.value.diagnostics[0].code == "COG603"
