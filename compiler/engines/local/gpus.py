"""Which GPUs a model on this machine sees: a question of CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping

from ...diagnostics import report
from .. import EngineFailure, Gpus

__all__ = ["gpu_variables", "has_gpu"]

_VARIABLE = "CUDA_VISIBLE_DEVICES"
# The devices of NVIDIA's driver, also inside of Windows.
_DEVICES = ("/dev/nvidia[0-9]*", "/dev/dxg")


def has_gpu() -> bool:
    """Whether the driver shows one."""
    return bool(_devices())


def gpu_variables(gpus: Gpus | None, environment: Mapping[str, str], on_missing: Callable[[], None]) -> dict[str, str]:
    """What to set: nothing for all GPUs, an empty list for none. Error: COG603 when those asked for cannot be had.

    A count and device numbers are among those that `environment` shows already.
    """
    if gpus is None:
        return {_VARIABLE: ""}
    if not has_gpu():
        if gpus.is_asked:
            raise EngineFailure(report("COG603", f"--gpus {gpus.spec}: there is no NVIDIA GPU on this machine"))
        on_missing()
        return {_VARIABLE: ""}
    if gpus.spec == "all":
        return {}
    listed = environment.get(_VARIABLE)
    shown = [name for name in (listed or "").split(",") if name]
    if gpus.spec.isdigit():
        names = shown if listed is not None else [str(number) for number in range(len(_devices()))]
        wanted = int(gpus.spec)
        if wanted > len(names):
            raise EngineFailure(report("COG603", f"--gpus {wanted}: this machine shows {len(names)}"))
        return {_VARIABLE: ",".join(names[:wanted])}
    return {_VARIABLE: gpus.spec.removeprefix("device=")}


def _devices() -> list[str]:
    return [device for pattern in _DEVICES for device in glob.glob(pattern)]
