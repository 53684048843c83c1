"""Files as data URLs, and media types as extensions of file names."""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from pathlib import PurePath
from urllib.parse import unquote_to_bytes

__all__ = ["UNKNOWN_TYPE", "data_url", "extension_of", "is_data_url", "media_type_of", "read_data_url"]

UNKNOWN_TYPE = "application/octet-stream"
# The system's tables differ from machine to machine; for these types and extensions nothing depends on them.
_EXTENSIONS = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/flac": ".flac",
    "audio/ogg": ".ogg",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "application/json": ".json",
    "application/zip": ".zip",
    "application/x-tar": ".tar",
    "application/gzip": ".gz",
    "application/pdf": ".pdf",
    "model/gltf-binary": ".glb",
    UNKNOWN_TYPE: ".bin",
}
_TYPES = {extension: kind for kind, extension in reversed(_EXTENSIONS.items())} | {".jpeg": "image/jpeg"}

_HEAD = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)


def media_type_of(name: str) -> str:
    """The media type of a file by its name.

    >>> media_type_of("a.PNG"), media_type_of("weights")
    ('image/png', 'application/octet-stream')
    """
    suffix = PurePath(name).suffix.lower()
    known = _TYPES.get(suffix)
    return known or mimetypes.guess_type(f"a{suffix}", strict=False)[0] or UNKNOWN_TYPE


def extension_of(media_type: str | None) -> str:
    """The usual extension with its dot; empty for no type.

    >>> extension_of("image/jpeg"), extension_of("application/x-nobody-knows"), extension_of(None)
    ('.jpg', '.bin', '')
    """
    if media_type is None:
        return ""
    plain = media_type.strip().lower()
    return _EXTENSIONS.get(plain) or mimetypes.guess_extension(plain, strict=False) or ".bin"


def data_url(content: bytes, media_type: str) -> str:
    """The content as text.

    >>> data_url(b"hi", "text/plain")
    'data:text/plain;base64,aGk='
    """
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def is_data_url(value: object) -> bool:
    """Whether the text looks like one; it may still be damaged."""
    return isinstance(value, str) and value[:5].lower() == "data:"


def read_data_url(url: str) -> tuple[bytes, str | None]:
    """The content, and the media type where one is stated. Errors: ValueError with a phrase for people.

    >>> read_data_url("data:text/plain;charset=utf-8;base64,aGk="), read_data_url("data:None;base64,aGk=")
    ((b'hi', 'text/plain'), (b'hi', None))
    """
    head = _HEAD.match(url)
    if head is None:
        raise ValueError("is not a data URL")
    media_type = head[1].strip() if head[1].strip().lower() not in ("", "none") else None
    body = url[head.end() :]
    if ";base64" not in head[2].lower():
        return unquote_to_bytes(body), media_type
    try:
        return base64.b64decode(body, validate=True), media_type
    except (binascii.Error, ValueError):
        raise ValueError("is a data URL with damaged base64") from None
