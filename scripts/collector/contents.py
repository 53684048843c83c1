"""What small files and libraries inside wheels say: build-time constants, GPU code, names of libraries."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["assignments", "build_info", "gpu_code", "library_names"]

_GPU_CODE = re.compile(rb"(?:(?:sm|compute)_\d{2,3}[af]?[ ;,]?){2,}")
_LIBRARY = re.compile(rb"lib(?:cudart|cudnn|cublas|cufft|curand)\.so\.\d+")
_BUILD_FACTS = {
    "is_cuda_build": "is_cuda_build",
    "cuda_version": "cuda_version",
    "cuda_version_number": "cuda_version",
    "cudnn_version": "cudnn_version",
    "cudnn_version_number": "cudnn_version",
    "cuda_compute_capabilities": "cuda_compute_capabilities",
}


def gpu_code(library: bytes) -> bytes:
    """The architectures that torch was compiled for: the longest list of their names in its Python library."""
    lists = (re.findall(rb"(?:sm|compute)_\d{2,3}[af]?", found) for found in _GPU_CODE.findall(library))
    return b" ".join(max(lists, key=len, default=[]))


def library_names(library: bytes) -> bytes:
    """The names of CUDA libraries that a library is linked with, as a sorted JSON list."""
    return json.dumps(sorted({name.decode() for name in _LIBRARY.findall(library)})).encode()


def assignments(source: bytes) -> dict[str, Any]:
    """The constants that a Python module assigns at its top level.

    >>> assignments(b"cuda: Optional[str] = '12.8'\\ndebug = False\\nroot = path()")
    {'cuda': '12.8', 'debug': False}
    """
    return dict(_constants(ast.parse(source.decode("utf-8", "replace"))))


def _constants(module: ast.Module) -> Iterator[tuple[str, Any]]:
    for statement in module.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        # TensorFlow writes OrderedDict([...]).
        if isinstance(value, ast.Call) and len(value.args) == 1 and not value.keywords:
            value = value.args[0]
        try:
            constant = ast.literal_eval(value)
        except ValueError:
            continue
        yield from ((target.id, constant) for target in targets if isinstance(target, ast.Name))


def build_info(source: bytes) -> dict[str, Any] | None:
    """What TensorFlow's platform/build_info.py says about CUDA: a mapping in newer releases, single names in older."""
    found = assignments(source)
    given = {**found, **dict(found.get("build_info") or {})}
    return {_BUILD_FACTS[name]: value for name, value in given.items() if name in _BUILD_FACTS} or None
