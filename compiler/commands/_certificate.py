"""COG_CA_CERT: a certificate authority to trust in the image, as a path, a directory, PEM text or base64 of it."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path

from ..diagnostics import Diagnostic, report
from ..disk import describe

__all__ = ["read_certificate"]

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_FORMS = "a file, a directory with .crt or .pem files, PEM text, or base64 of PEM text"


def read_certificate(value: str) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """PEM text with one final line break; None when the variable is empty. Error: COG310."""
    if not value:
        return None, ()
    if value.lstrip().startswith(_BEGIN):
        return _checked(value, "COG_CA_CERT")
    path = Path(value)
    try:
        if os.path.isdir(path):
            return _directory(path)
        if os.path.exists(path):
            return _checked(path.read_text("utf-8"), value)
    except (OSError, ValueError) as error:
        why = describe(error) if isinstance(error, OSError) else "is not text"
        return _wrong(f"COG_CA_CERT: {value} {why}")
    try:
        text = base64.b64decode("".join(value.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return _wrong("COG_CA_CERT is neither an existing path nor a certificate")
    return _checked(text, "COG_CA_CERT")


def _directory(path: Path) -> tuple[str | None, tuple[Diagnostic, ...]]:
    texts: list[str] = []
    for file in sorted(path.iterdir()):
        if file.suffix in (".crt", ".pem") and file.is_file():
            text, found = _checked(file.read_text("utf-8"), str(file))
            if text is None:
                return None, found
            texts.append(text)
    if not texts:
        return _wrong(f"COG_CA_CERT: no .crt or .pem file was found in {path}")
    return "".join(texts), ()


def _checked(text: str, name: str) -> tuple[str | None, tuple[Diagnostic, ...]]:
    pem = text.replace("\r\n", "\n").strip()
    if not pem.startswith(_BEGIN) or _END not in pem or "\0" in pem:
        return _wrong(f"COG_CA_CERT: {name} does not hold a PEM certificate")
    return pem + "\n", ()


def _wrong(message: str) -> tuple[None, tuple[Diagnostic, ...]]:
    return None, (report("COG310", message, hint=f"COG_CA_CERT takes {_FORMS}"),)
