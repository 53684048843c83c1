"""Files from URLs: `data:`, `http:` and `https:` to local files, and files to data URLs.

The server fetches what clients send before the worker sees it; what is left for this module are defaults, weights,
and files that model code makes itself.
"""

from __future__ import annotations

import base64
import binascii
import io
import mimetypes
import os
import shutil
import tempfile
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlparse

__all__ = [
    "check_scheme",
    "data_url",
    "fetch",
    "file_name",
    "guess_filename",
    "is_url",
    "mime_type",
    "open_data_url",
    "open_url",
    "upload_file",
]

MAX_NAME_BYTES = 200
TIMEOUT_SECONDS = 10
SCHEMES = ("data", "http", "https")

_MIME_TYPES = {".webp": "image/webp", ".avif": "image/avif", ".safetensors": "application/octet-stream",
               ".glb": "model/gltf-binary", ".flac": "audio/flac", ".m4a": "audio/mp4"}  # fmt: skip


def is_url(text: str) -> bool:
    """Whether a text begins like a URL, of any scheme; `file:` counts, a plain path does not."""
    scheme, separator, rest = text.partition(":")
    if not separator or not scheme.replace("+", "").replace("-", "").replace(".", "").isalnum():
        return False
    return rest.startswith("//") or scheme.lower() in ("data", "file")


def check_scheme(url: str) -> str:
    """The scheme of a URL. Errors: `ValueError` for schemes that are not supported."""
    scheme = url.partition(":")[0].lower()
    if scheme not in SCHEMES:
        raise ValueError("%r is not a valid URL scheme. 'data', 'http', or 'https' is supported." % scheme)
    return scheme


def file_name(url: str) -> str:
    """The name for a local copy: the last part of the URL's path, made harmless; its ending survives."""
    if url[:5].lower() == "data:":
        mime = url[5:].partition(",")[0].partition(";")[0]
        return "file" + (mimetypes.guess_extension(mime) or "")
    name = unquote(urlparse(url).path.rpartition("/")[2], errors="replace")
    name = "".join("_" if ord(letter) < 32 or letter in '/\\"' else letter for letter in name)
    return _shortened(name if name not in ("", ".", "..") else "file")


def _shortened(name: str) -> str:
    if len(name.encode("utf-8", "replace")) <= MAX_NAME_BYTES:
        return name
    stem, ending = os.path.splitext(name)
    ending = ending.encode("utf-8", "replace")[:50].decode("utf-8", "ignore")
    room = MAX_NAME_BYTES - len(ending.encode()) - 1
    return stem.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + "~" + ending


def fetch(url: str, directory: str | None = None) -> str:
    """Copy what is behind a URL to a new temporary file and return its path. Errors: `ValueError`, `OSError`."""
    source = open_data_url(url) if check_scheme(url) == "data" else open_url(url)
    with source:
        handle, path = tempfile.mkstemp(suffix=file_name(url), dir=directory)
        try:
            with os.fdopen(handle, "wb") as file:
                shutil.copyfileobj(source, file, 1024 * 1024)
        except BaseException:
            os.unlink(path)
            raise
    return path


def open_data_url(url: str) -> io.BytesIO:
    """The content of a `data:` URL. Errors: `ValueError`."""
    header, comma, body = url.partition(",")
    if not comma:
        raise ValueError("a data URL needs a comma before its content")
    try:
        is_base64 = header.lower().endswith(";base64")
        content = base64.b64decode(unquote_to_bytes(body)) if is_base64 else unquote_to_bytes(body)
    except (binascii.Error, ValueError):
        raise ValueError("the data URL does not hold valid base64") from None
    buffer = io.BytesIO(content)
    buffer.name = file_name(header + ",")
    return buffer


def open_url(url: str) -> Any:
    """The response of an http or https URL, open for reading. Errors: `ValueError`, `OSError`."""
    import urllib.request

    from . import __version__

    class _Redirects(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, request: Any, file: Any, code: int, message: str, headers: Any, target: str) -> Any:
            if target.partition(":")[0].lower() not in ("http", "https"):
                raise ValueError("the URL leads to a place that is neither http nor https")
            return super().redirect_request(request, file, code, message, headers, target)

    if check_scheme(url) == "data":
        raise ValueError("a data URL cannot be opened as a web address")
    agent = os.environ.get("COG_USER_AGENT") or "cog-worker/" + __version__
    request = urllib.request.Request(url, headers={"User-Agent": agent})
    return urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT_SECONDS)


def mime_type(name: str) -> str | None:
    """The MIME type that a file's name tells, or None."""
    ending = os.path.splitext(name)[1].lower()
    return _MIME_TYPES.get(ending) or mimetypes.guess_type(name, strict=False)[0]


def guess_filename(file: Any) -> str:
    """The base name of an open file, `file` when it has none."""
    return own_name(file) or "file"


def own_name(file: Any) -> str:
    """The base name of an open file, empty when it has none."""
    name = getattr(file, "name", None)
    return os.path.basename(name) if isinstance(name, str) else ""


def read_bytes(file: Any) -> bytes:
    """All of an open file, from its beginning where it can go back; text becomes UTF-8."""
    if _is_seekable(file):
        file.seek(0)
    content = file.read()
    return content.encode("utf-8") if isinstance(content, str) else bytes(content)


def _is_seekable(file: Any) -> bool:
    try:
        return bool(file.seekable())
    except (AttributeError, ValueError):
        return False


def copy_to(file: Any, target: str) -> None:
    """Write all of an open file to a path, in pieces."""
    if _is_seekable(file):
        file.seek(0)
    with open(target, "wb") as out:
        while True:
            piece = file.read(1024 * 1024)
            if not piece:
                return
            out.write(piece.encode("utf-8") if isinstance(piece, str) else piece)


def data_url(content: bytes, name: str) -> str:
    """Bytes as a data URL, with the MIME type that the name tells."""
    return "data:%s;base64,%s" % (mime_type(name) or "application/octet-stream", base64.b64encode(content).decode())


def upload_file(file: Any, output_file_prefix: str | None = None) -> str:
    """An open file as a data URL; the prefix of older releases is not used."""
    return data_url(read_bytes(file), guess_filename(file))
