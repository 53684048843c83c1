"""The queue of 2021, for models on `cog.Predictor`.

    {"inputs": {NAME: {"value": …} | {"file": {"url", "name"}}}, "id"?, "response_queue"?}

Answers are pushed to the response queue: `{"status": "processing" | "success", "value": …}`, or `"file": {"url",
"name"}` in place of a value, or `{"status": "failed", "error"}`. Of a model that yields, `success` has the last value.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import msgspec
from msgspec import Raw

from ..files import Files, base_name
from ..messages import File
from ..predictions import Observer, Prediction
from ..validation import InputChecker, Invalid, parse_request, problem
from .messages import Message, QueuePrediction, problems_text, refused

__all__ = ["Answers2021", "NamedFiles", "predict_2021"]

_encode = msgspec.json.Encoder().encode


def predict_2021(message: Message, checker: InputChecker) -> QueuePrediction:
    """The prediction that a message asks for; one that cannot be run has a `refusal`."""
    try:
        if message.problem is not None:
            return refused(message, checker, False, message.problem)
        values, names = _inputs(message.value_of("inputs"))
        document = {"id": message.text("id"), "input": values}
        request = parse_request(json.dumps(document).encode(), checker)
    except Invalid as invalid:
        return refused(message, checker, False, problems_text(invalid))
    except RecursionError:
        return refused(message, checker, False, "the JSON is nested too deeply")
    for file in request.files:
        file.name = names.get(str(file.pointer[0]))
    request.trace = message.trace()
    return QueuePrediction(request, message, False, None)


def _inputs(given: Any) -> Tuple[Dict[str, Any], Dict[str, str]]:
    """(input, name → name of its file). Errors: Invalid."""
    if not isinstance(given, dict):
        raise Invalid([problem(("inputs",), "value is not a valid dict")])
    values: Dict[str, Any] = {}
    names: Dict[str, str] = {}
    for name, item in given.items():
        file = item.get("file") if isinstance(item, dict) else None
        if isinstance(file, dict) and isinstance(file.get("url"), str):
            values[name] = file["url"]
            if isinstance(file.get("name"), str):
                names[name] = base_name(file["name"])
        elif isinstance(item, dict) and "value" in item:
            values[name] = item["value"]
        else:
            raise Invalid([problem(("inputs", name), 'either {"value": …} or {"file": {"url": …}} is expected')])
    return values, names


class Answers2021(Observer):
    """Pushes one answer per output, one behind the model: whether it is the last one is only known afterwards."""

    def __init__(self, push: Callable[[bytes, bool], None]) -> None:
        """`push` takes an answer and whether it is the last."""
        self._push = push
        self._held: Optional[Raw] = None

    def output(self, prediction: Prediction, index: int, chunk: Raw) -> None:
        """Push the output before this one."""
        self._push_held(prediction)
        self._held = chunk

    def completed(self, prediction: Prediction) -> None:
        """Push the last output, or the error."""
        if prediction.status == "succeeded":
            self._push(_answer(prediction, "success", self._held or Raw(b"null")), True)
        else:
            self._push_held(prediction)
            error = prediction.error or "The prediction was canceled."
            self._push(_encode({"status": "failed", "error": error}), True)

    def _push_held(self, prediction: Prediction) -> None:
        if self._held is not None:
            self._push(_answer(prediction, "processing", self._held), False)


def _answer(prediction: Prediction, status: str, output: Raw) -> bytes:
    name = prediction.file_names.get(bytes(output)) if isinstance(prediction, QueuePrediction) else None
    if name is not None:
        return _encode({"status": status, "file": {"url": output, "name": name}})
    return _encode({"status": status, "value": output})


class NamedFiles(Files):
    """Remembers the names of files that are an output of their own: the answers of 2021 tell them."""

    async def publish(self, prediction: Prediction, output: Raw, files: Sequence[File]) -> Raw:
        """The output with URLs where files stand. Errors: FileError."""
        names = [base_name(file.name or file.path) for file in files if not file.pointer]
        published = await super().publish(prediction, output, files)
        if names and isinstance(prediction, QueuePrediction):
            prediction.file_names[bytes(published)] = names[0]
        return published
