"""Models on a real GPU of this machine, asked through the driver's own library: no package is needed for that.

COGC_TEST_PACKAGES is a directory with an installed torch, where there is one for this Python.
"""

from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import distributions

import pytest
from packaging.version import Version

from tests.local.harness import CONFIG, Project

PREDICT = """
    import ctypes
    from cog import BasePredictor
    class Predictor(BasePredictor):
        def setup(self):
            self.cuda = ctypes.CDLL("libcuda.so.1")
            self.has_device = self.cuda.cuInit(0) != 100
        def call(self, name, *arguments):
            status = getattr(self.cuda, name)(*arguments)
            if status: raise RuntimeError(name + " gives " + str(status))
        def predict(self, text: str = "through the memory of the GPU") -> str:
            if not self.has_device: return "no device"
            device, context, place = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
            name = ctypes.create_string_buffer(100)
            self.call("cuDeviceGet", ctypes.byref(device), 0)
            self.call("cuDeviceGetName", name, 100, device)
            self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
            self.call("cuCtxSetCurrent", context)
            sent = text.encode()
            received = ctypes.create_string_buffer(len(sent))
            self.call("cuMemAlloc_v2", ctypes.byref(place), len(sent))
            self.call("cuMemcpyHtoD_v2", place, sent, len(sent))
            self.call("cuMemcpyDtoH_v2", received, place, len(sent))
            self.call("cuMemFree_v2", place)
            return name.value.decode() + ": " + received.raw.decode()
"""
TORCH = """
    import os, sys
    sys.path.append(os.environ["PACKAGES"])
    import torch
    from cog import BasePredictor, BaseModel
    class Output(BaseModel):
        device: str
        difference: float
        cuda: str
        cudnn: int
        kernels: str
    class Predictor(BasePredictor):
        def setup(self):
            self.weights = torch.randn(512, 512, device="cuda")
        def predict(self, size: int = 512) -> Output:
            x = torch.randn(size, 512)
            found = (x.cuda() @ self.weights).cpu()
            return Output(
                device=torch.cuda.get_device_name(), difference=float((found - x @ self.weights.cpu()).abs().max()),
                cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(), kernels=" ".join(torch.cuda.get_arch_list()),
            )
"""
GPU = CONFIG.replace("build:\n", "build:\n  gpu: true\n")


@pytest.fixture(scope="module")
def names() -> list[str]:
    """The GPUs of this machine."""
    words = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        found = []
    return found or pytest.skip("this machine has no NVIDIA GPU")


@pytest.mark.parametrize("words", [[], ["--gpus", "all"], ["--gpus", "1"], ["--gpus", "device=0"]])
def test_a_model_for_a_gpu_uses_it(words: list[str], project: Project, names: list[str]) -> None:
    project.write("cog.yaml", GPU)
    project.write("predict.py", PREDICT)
    done = project.run("predict", "--engine", "local", *words)
    assert (done.status, done.out) == (0, f"{names[0]}: through the memory of the GPU\n"), done.err
    assert "There is no NVIDIA GPU" not in done.err


def test_a_model_without_one_does_not_see_it(project: Project, names: list[str]) -> None:
    project.write("predict.py", PREDICT)
    done = project.run("predict", "--engine", "local")
    assert (done.status, done.out) == (0, "no device\n"), done.err
    done = project.run("predict", "--engine", "local", "--gpus", "all")
    assert (done.status, done.out) == (0, f"{names[0]}: through the memory of the GPU\n"), done.err


def test_more_gpus_than_there_are(project: Project, names: list[str]) -> None:
    project.write("predict.py", PREDICT)
    done = project.run("predict", "--engine", "local", "--gpus", str(len(names) + 1))
    assert (done.status, done.out) == (1, "")
    assert f"error[COG603]: --gpus {len(names) + 1}: this machine shows {len(names)}" in done.err


@pytest.mark.parametrize(("torch", "state"), [("2.11.0", "ok"), ("1.10.2", "warning")])
def test_doctor_knows_what_torch_has_code_for(torch: str, state: str, project: Project, names: list[str]) -> None:
    if not any(new in names[0] for new in ("H100", "H200", "GH200")):
        pytest.skip(f"the test knows GPUs of compute capability 9.0, not {names[0]}")
    python = "3.9" if torch.startswith("1.") else "3.12"
    project.write(
        "cog.yaml",
        f'build: {{gpu: true, python_version: "{python}", python_packages: ["torch=={torch}"]}}\npredict: predict.py:Predictor\n',
    )
    project.write("predict.py", PREDICT)
    done = project.run("doctor", "--format", "json")
    (check,) = (each for each in json.loads(done.out)["checks"] if each["name"] == "env-gpu-compat")
    assert check["state"] == state, check
    assert names[0] in json.dumps(check)


def test_torch_computes_on_it_and_is_as_the_tables_say(project: Project, names: list[str]) -> None:
    packages = os.environ.get("COGC_TEST_PACKAGES") or pytest.skip("COGC_TEST_PACKAGES names no directory with torch")
    (torch,) = distributions(name="torch", path=[packages])
    project.write("cog.yaml", GPU)
    project.write("predict.py", TORCH)
    done = project.run("predict", "--engine", "local", "-e", f"PACKAGES={packages}")
    assert done.status == 0, done.err
    output = json.loads(done.out)
    assert output["device"] == names[0]
    assert output["difference"] < 1
    shown = json.loads(project.run("matrix", "show", f"torch=={Version(torch.version).public}", "--format", "json").out)
    (row,) = (each for each in shown["rows"] if each["arch"] == "amd64")
    (build,) = (each for each in row["builds"] if each["id"] == "default")
    assert output["cuda"] == build["cuda"]
    assert output["kernels"].split() == build["kernels"]
    major, minor, patch = (int(part) for part in build["cudnn"].split(".")[:3])
    assert output["cudnn"] == major * 10000 + minor * 100 + patch
