"""The raw table of CUDA: toolkit and cuDNN releases as the index has them, the rest as it was typed."""

from __future__ import annotations

from typing import Any

from packaging.version import Version

from scripts.collector.files import IndexFile, newest, released, wheels_by_platform
from scripts.collector.packages import Collector, read_input

__all__ = ["collect_cuda"]

_COMPONENTS = ("nvidia-cuda-runtime", "nvidia-cublas", "nvidia-cuda-nvcc", "nvidia-cuda-nvrtc")


def collect_cuda(collector: Collector) -> dict[str, Any]:
    """The members of cuda.json."""

    def toolkit(version: Version, files: list[IndexFile]) -> dict[str, Any]:
        requires = collector.metadata(newest(files, "any")).requires
        components = {each.name: str(each.specifier) for each in requires if each.name.startswith(_COMPONENTS)}
        return {
            "cuda": str(version),
            "released_on_index": released(files),
            "components": components,
            "source": "measured: core metadata of the toolkit meta-package",
        }

    def cudnn(major: int) -> list[dict[str, Any]]:
        def row(version: Version, files: list[IndexFile]) -> dict[str, Any]:
            return {
                "cudnn": str(version),
                "cuda_major": str(major),
                "released": released(files),
                "wheels": sorted(wheels_by_platform(files)),
                "source": "measured: file names",
            }

        return collector.each(f"nvidia-cudnn-cu{major}", row, "8")

    typed = read_input("cuda-drivers")
    return {
        "toolkit": collector.each("cuda-toolkit", toolkit, "1.1"),
        "cudnn": [row for major in (11, 12, 13) for row in cudnn(major)],
        "drivers": typed["drivers"],
        "gpus": typed["gpus"],
        "toolkit_architectures": typed["toolkit_architectures"],
    }
