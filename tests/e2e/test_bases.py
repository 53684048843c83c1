"""Base images: the user's own, and CUDA images with each source of Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.images import BuildFailed, Engine, Image

pytestmark = pytest.mark.engine

OWN_BASE = """\
FROM debian:bookworm-slim
RUN apt-get update -qq && apt-get install -qqy --no-install-recommends python3 python3-pip python-is-python3 && rm -rf /var/lib/apt/lists/*
ENV OF_THE_BASE=kept
WORKDIR /somewhere
"""


def test_base_image_of_the_user(engine: Engine, image: Callable[..., Image], tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(OWN_BASE)
    base = engine.build("own-base", tmp_path)
    config = """\
build:
  python_version: "3.11"
  python_packages: [six==1.16.0, "httpie==3.2.2"]
  system_packages: [cowsay]
predict: predict.py:Predictor
"""
    made = image("on-own-base", config, {}, "--base-image", base.reference)
    assert made.environment["OF_THE_BASE"] == "kept"
    assert made.config["WorkingDir"] == "/src"
    assert made.layers[: len(base.layers)] == base.layers
    assert made.output("python", "-c", "import six, cog; print(six.__version__)").strip() == "1.16.0"
    assert made.output("http", "--version").strip() == "3.2.2"
    assert made.output("cat", "/proc/1/comm").strip() == "tini"


CUDA = """\
build:
  gpu: true
  cuda: "12.4"
  python_version: "3.11"
  python_packages: [six==1.16.0, httpie==3.2.2]
  run:
    - python -m pip install toml==0.10.2
    - pip install colorama==0.4.6
predict: predict.py:Predictor
"""


@pytest.fixture(scope="module", params=["apt", "image"])
def cuda(request: pytest.FixtureRequest, engine: Engine, image: Callable[..., Image]) -> Image:
    if not engine.has("nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04"):
        pytest.skip("there is no nvidia/cuda image here")
    options = ["--use-cuda-base-image=true", "--cuda-python", request.param]
    if request.param == "image":  # the tools take most of the time of a build
        options.append("--no-tools")
    return image(f"cuda-{request.param}", CUDA, {}, *options)


@pytest.mark.parametrize("command", ["python", "python3", "/usr/bin/env python3"])
def test_python_of_cuda_images_is_the_wanted_one(cuda: Image, command: str) -> None:
    assert cuda.output(*command.split(), "--version").startswith("Python 3.11.")


def test_pip_of_cuda_images_is_that_python_s(cuda: Image) -> None:
    assert "(python 3.11)" in cuda.output("pip", "--version")
    assert cuda.output("python", "-m", "pip", "--version") == cuda.output("pip", "--version")


def test_packages_of_cuda_images(cuda: Image) -> None:
    assert {"six==1.16.0", "httpie==3.2.2", "toml==0.10.2", "colorama==0.4.6"} <= cuda.freeze()
    code = "import six, toml, colorama, ssl, sqlite3, lzma, bz2, ctypes, readline, zlib, cog; print('fine')"
    assert cuda.output("python", "-c", code) == "fine\n"


def test_console_scripts_of_cuda_images_are_on_the_path(cuda: Image) -> None:
    assert cuda.output("http", "--version").strip() == "3.2.2"


def test_tools_of_cuda_images(cuda: Image) -> None:
    if "cuda-image" in cuda.reference:
        pytest.skip("built without tools")
    for tool in ("curl", "git", "make", "g++", "wget"):
        assert cuda.run(tool, "--version").returncode == 0, tool


def test_environment_of_cuda_images(cuda: Image) -> None:
    assert cuda.environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert "/usr/local/nvidia/lib64" in cuda.environment["LD_LIBRARY_PATH"].split(":")
    assert "" not in cuda.environment["LD_LIBRARY_PATH"].split(":")


def test_cuda_image_with_python_of_uv(engine: Engine, image: Callable[..., Image]) -> None:
    if not engine.has("nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04"):
        pytest.skip("there is no nvidia/cuda image here")
    try:
        made = image("cuda-uv", CUDA, {}, "--use-cuda-base-image=true", "--cuda-python", "uv")
    except BuildFailed as failure:
        if "python install" in str(failure) and "ownload" in str(failure):
            pytest.skip("uv cannot reach the place where it downloads Python from")
        raise
    for command in ("python", "python3"):
        assert made.output(command, "--version").startswith("Python 3.11.")
    assert made.output("http", "--version").strip() == "3.2.2"
    assert {"six==1.16.0", "toml==0.10.2", "colorama==0.4.6"} <= made.freeze()
    assert made.shell("python -c 'import six'; id -u", options=["--user=1234"]).strip() == "1234"
