"""The output of a prediction against what an example expects of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .media import is_data_url, read_data_url

__all__ = ["mismatches"]

_MOST_SHOWN = 300
_TOLERANCE = 1e-6


def mismatches(output: Any, expected: Mapping[str, Any], read: Callable[[str], bytes]) -> Iterator[str]:
    """What is not as expected, in phrases; nothing where all is well. `read` gives the content of a project's file.

    Files are compared by their content; against text they are read as UTF-8.
    """
    if "output" in expected and not _equals(output, expected["output"], read):
        yield f"the output is {_shown(output)}, not {_shown(expected['output'])}"
    if "contains" in expected and not _contains(output, expected["contains"]):
        yield f"the output {_shown(output)} does not contain {_shown(expected['contains'])}"
    if "matches" in expected and re.search(expected["matches"], _text(output)) is None:
        yield f"the output {_shown(output)} does not match {_shown(expected['matches'])}"
    if "close_to" in expected:
        tolerance = float(expected.get("tolerance", _TOLERANCE))
        if not _is_close(output, expected["close_to"], tolerance):
            yield f"the output {_shown(output)} is not within {tolerance:g} of {_shown(expected['close_to'])}"
    if "media_type" in expected:
        found = _media_type(output)
        if found != expected["media_type"]:
            yield f"the output is {found or 'no file'}, not {expected['media_type']}"


def _equals(output: Any, wanted: Any, read: Callable[[str], bytes]) -> bool:
    if isinstance(wanted, str) and is_data_url(output):
        content, _ = read_data_url(output)
        return content == (read(wanted[1:]) if wanted.startswith("@") else wanted.encode())
    if isinstance(wanted, str) and wanted.startswith("@") and isinstance(output, str):
        return output.encode() == read(wanted[1:])
    if isinstance(wanted, list) and isinstance(output, list):
        return len(wanted) == len(output) and all(
            _equals(one, other, read) for one, other in zip(output, wanted, strict=True)
        )
    if isinstance(wanted, dict) and isinstance(output, dict):
        return wanted.keys() == output.keys() and all(_equals(output[key], wanted[key], read) for key in wanted)
    if isinstance(wanted, bool) or isinstance(output, bool):
        return output is wanted
    if isinstance(wanted, str) and isinstance(output, list) and all(isinstance(piece, str) for piece in output):
        return "".join(output) == wanted  # pieces of one text
    return bool(output == wanted)


def _contains(output: Any, wanted: Any) -> bool:
    if isinstance(output, list) and wanted in output:
        return True
    if isinstance(output, dict) and isinstance(wanted, dict):
        return all(key in output and output[key] == value for key, value in wanted.items())
    return isinstance(wanted, str) and wanted in _text(output)


def _is_close(output: Any, wanted: Any, tolerance: float) -> bool:
    if isinstance(wanted, list) and isinstance(output, list):
        return len(wanted) == len(output) and all(
            _is_close(one, other, tolerance) for one, other in zip(output, wanted, strict=True)
        )
    if isinstance(wanted, dict) and isinstance(output, dict):
        return all(key in output and _is_close(output[key], wanted[key], tolerance) for key in wanted)
    if isinstance(output, bool) or isinstance(wanted, bool):
        return False
    if not (isinstance(output, int | float) and isinstance(wanted, int | float)):
        return False
    return math.isclose(output, wanted, rel_tol=0.0, abs_tol=tolerance)


def _text(output: Any) -> str:
    if is_data_url(output):
        return read_data_url(output)[0].decode("utf-8", "replace")
    if isinstance(output, list) and all(isinstance(piece, str) and not is_data_url(piece) for piece in output):
        return "".join(output)
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)


def _media_type(output: Any) -> str | None:
    return read_data_url(output)[1] if is_data_url(output) else None


def _shown(value: Any) -> str:
    """A value in a message; of a file what it is and how large."""
    if is_data_url(value):
        content, media_type = read_data_url(value)
        text = content.decode("utf-8", "replace")
        is_short = text.isprintable() and len(text) <= 80
        return f"a file of {media_type or 'no type'}, " + (repr(text) if is_short else f"{len(content)} bytes")
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
