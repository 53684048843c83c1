"""The HTTP interface of 2021, for models on `cog.Predictor`: forms in, a plain value or a file out."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple
from urllib.parse import parse_qsl

import msgspec

from .files import base_name
from .predictions import FileInput, PredictionRequest, new_id
from .validation import real_number, whole_number

__all__ = ["FormError", "answer", "form_request", "parse_form", "type_signature"]

_TYPES = {"integer": "int", "number": "float", "boolean": "bool", "string": "str"}


class FormError(Exception):
    """The form is refused; the text is the `message` of the answer."""


class Upload(NamedTuple):
    """A file part of a form."""

    name: str
    content: bytes
    mime: str


def _schema(document: Mapping[str, Any]) -> Dict[str, Dict[str, Any]]:
    components = document.get("components", {}).get("schemas", {})
    result = {}
    for name, written in components.get("Input", {}).get("properties", {}).items():
        merged = dict(written)
        for part in written.get("allOf", []):
            component = components.get(str(part.get("$ref", "")).rsplit("/", 1)[-1], {})
            # What describes the enumeration is not the help of the input.
            merged.update({key: value for key, value in component.items() if key not in ("title", "description")})
        result[name] = merged
    return result


def _type(schema: Mapping[str, Any]) -> str:
    return "Path" if schema.get("format") == "uri" else _TYPES.get(str(schema.get("type")), "str")


def type_signature(document: Mapping[str, Any]) -> Dict[str, Any]:
    """The body of GET /type-signature."""
    inputs = []
    for name, schema in _schema(document).items():
        entry: Dict[str, Any] = {"name": name, "type": _type(schema)}
        for key, source in (("help", "description"), ("default", "default"), ("min", "minimum"), ("max", "maximum")):
            if schema.get(source) is not None:
                entry[key] = str(schema[source])
        if schema.get("enum"):
            entry["options"] = [str(option) for option in schema["enum"]]
        inputs.append(entry)
    return {"inputs": inputs}


def parse_form(content_type: str, body: bytes) -> Tuple[Dict[str, str], Dict[str, Upload]]:
    """(fields, files). Errors: FormError."""
    if not content_type.lower().startswith("multipart/form-data"):
        try:
            return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=1000)), {}
        except ValueError:
            raise FormError("The form cannot be read") from None
    boundary = re.search(r'boundary="?([^";,]{1,200})"?', content_type)
    if boundary is None:
        raise FormError("The form has no boundary")
    fields: Dict[str, str] = {}
    files: Dict[str, Upload] = {}
    mark = b"--" + boundary.group(1).encode("latin-1", "replace")
    for part in body.split(mark, 1000)[1:]:
        if part.startswith(b"--"):
            break
        head, _, content = part.partition(b"\r\n\r\n")
        text = head.decode("utf-8", "replace")
        name = re.search(r'[;\s]name="([^"]*)"', text)
        if name is None:
            continue
        content = content[:-2] if content.endswith(b"\r\n") else content
        filename = re.search(r'filename="([^"]*)"', text)
        mime = re.search(r"(?im)^content-type:\s*([\w.+-]+/[\w.+-]+)", text)
        if filename is not None:
            files[name.group(1)] = Upload(filename.group(1), content, mime.group(1) if mime else "")
        else:
            fields[name.group(1)] = content.decode("utf-8", "replace")
    both = sorted(fields.keys() & files.keys())
    if both:
        raise FormError("Duplicated argument name in form and files: %s" % ", ".join(both))
    return fields, files


def form_request(document: Mapping[str, Any], fields: Dict[str, str], files: Dict[str, Upload]) -> PredictionRequest:
    """The request of a form. Errors: FormError."""
    schemas = _schema(document)
    extra = [name for name in (*fields, *files) if name not in schemas]
    if extra:
        raise FormError("Extraneous input keys: %s" % ", ".join(extra))
    values: Dict[str, Any] = {}
    downloads: List[FileInput] = []
    for name, schema in schemas.items():
        required = "default" not in schema and not schema.get("nullable")
        if name in files:
            values[name] = _file(name, schema, files[name], downloads)
        elif name in fields:
            values[name] = _convert(name, schema, fields[name])
            if _type(schema) == "Path":
                raise FormError("Could not convert file input %s to Path" % name)
        elif required:
            raise FormError("Missing expected argument: %s" % name)
        elif "default" in schema:
            values[name] = schema["default"]
    return PredictionRequest(id=new_id(), input=values, shown=dict(values), files=downloads)


def _file(name: str, schema: Mapping[str, Any], upload: Upload, downloads: List[FileInput]) -> str:
    if _type(schema) != "Path":
        raise FormError("Could not convert file input %s to %s" % (name, _type(schema)))
    if not upload.name:
        raise FormError("No filename is provided for file input %s" % name)
    mime = upload.mime or "application/octet-stream"
    url = "data:%s;base64,%s" % (mime, base64.b64encode(upload.content).decode())
    downloads.append(FileInput([name], url, base_name(upload.name)))
    return url


def _convert(name: str, schema: Mapping[str, Any], text: str) -> Any:
    kind = _type(schema)
    value: Any = text
    if kind in ("int", "float"):
        value = whole_number(text) if kind == "int" else real_number(text)
        if value is None:
            raise FormError("Could not convert %s=%s to %s" % (name, text, kind))
    elif kind == "bool":
        if text.lower() not in ("true", "false"):
            raise FormError("%s=%s is not a boolean" % (name, text))
        value = text.lower() == "true"
    if schema.get("minimum") is not None and value < schema["minimum"]:
        raise FormError("Value %s is less than the min value %s" % (value, schema["minimum"]))
    if schema.get("maximum") is not None and value > schema["maximum"]:
        raise FormError("Value %s is greater than the max value %s" % (value, schema["maximum"]))
    options = schema.get("enum")
    if options and value not in options:
        raise FormError("Value %s is not an option. Valid options are: %s" % (value, ", ".join(map(str, options))))
    return value


def answer(output: Any) -> Tuple[str, bytes]:
    """(content type, body) for the value that a legacy model returned."""
    file = re.match(r"data:([^;,]+)[^,]*;base64,", output) if isinstance(output, str) else None
    if file is not None:
        with suppress(ValueError):  # a text that only begins like a file
            return file.group(1), base64.b64decode(output[file.end() :], validate=True)
    if isinstance(output, str):
        return "text/plain; charset=utf-8", output.encode("utf-8", "replace")
    return "application/json", msgspec.json.encode(output)


def last_of(output: Any, is_iterator: bool) -> Any:
    """Generators answered with their last value."""
    return (output[-1] if output else None) if is_iterator else output
