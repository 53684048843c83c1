"""A directory of blobs with an index, the OCI image layout, which the daemon reads and writes through the session.

Blobs are written under a temporary name, checked, and renamed; the index, which makes them count, is written last.

Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md and
https://github.com/containerd/containerd (api/services/content/v1, plugins/services/content/contentserver)
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ...disk import write_atomically
from .errors import CallFailed
from .grpc import NOT_FOUND, UNKNOWN, Call, Handler
from .messages import SERVICES

__all__ = ["CONTENT_SERVICE", "ContentStore"]

CONTENT_SERVICE = "/containerd.services.content.v1.Content"
_TAG = "org.opencontainers.image.ref.name"
_STAT, _COMMIT = 0, 2
_INVALID, _EXISTS, _FAILED = 3, 6, 9
_CHUNK_BYTES = 512 * 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(slots=True)
class ContentStore:
    """The layout below `root`, which is made when something is written. `error` is why a blob could not be."""

    root: Path
    error: OSError | None = field(default=None)

    def handlers(self) -> dict[str, Handler]:
        """The methods of the service that a daemon calls, by their names."""
        return {
            "Info": self._info,
            "Read": self._read,
            "Write": self._write,
            "Update": self._update,
            "Status": self._status,
            "ListStatuses": lambda call: call.answer(b""),
            "Abort": lambda call: call.answer(b""),
        }

    # -- the index -------------------------------------------------------------------------------------

    def digest_of(self, tag: str) -> str | None:
        """What the index has under a tag. Errors: OSError but for a missing index; ValueError."""
        for entry in self._entries():
            if (entry.get("annotations") or {}).get(_TAG) == tag and _DIGEST.fullmatch(str(entry.get("digest"))):
                return str(entry["digest"])
        return None

    def add(self, descriptor: Mapping[str, Any], annotations: Mapping[str, str]) -> None:
        """Put a blob into the index, in place of one with the same annotations. Errors: OSError, ValueError."""
        kept = [entry for entry in self._entries() if (entry.get("annotations") or {}) != dict(annotations)]
        document = {"schemaVersion": 2, "manifests": [*kept, {**descriptor, "annotations": dict(annotations)}]}
        self.root.mkdir(parents=True, exist_ok=True)
        write_atomically(self.root / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        write_atomically(self.root / "index.json", json.dumps(document, separators=(",", ":")).encode())

    def add_tag(self, descriptor: Mapping[str, Any], tag: str) -> None:
        """Put a blob into the index under a tag. Errors: OSError, ValueError."""
        self.add(descriptor, {_TAG: tag})

    def _entries(self) -> list[dict[str, Any]]:
        try:
            document = json.loads((self.root / "index.json").read_bytes())
        except FileNotFoundError:
            return []
        entries = document.get("manifests") if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError("index.json is no index of images")
        return entries

    # -- reading ---------------------------------------------------------------------------------------

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise CallFailed(_INVALID, f"{digest!r} is no digest")
        return self.root / "blobs/sha256" / digest.removeprefix("sha256:")

    def _existing(self, digest: str) -> Path:
        path = self._path(digest)
        if not path.is_file():
            raise CallFailed(NOT_FOUND, f"content {digest}: not found")
        return path

    def _info(self, call: Call) -> None:
        digest = SERVICES.decode("ContentDigest", call.only()).get("digest", "")
        _answer(call, "ContentInfoMessage", {"info": self._description(digest)})

    def _update(self, call: Call) -> None:
        """Labels are not kept."""
        digest = SERVICES.decode("ContentInfoMessage", call.only()).get("info", {}).get("digest", "")
        _answer(call, "ContentInfoMessage", {"info": self._description(digest)})

    def _description(self, digest: str) -> dict[str, Any]:
        status = self._existing(digest).stat()
        moment = {"seconds": int(status.st_mtime)}
        return {"digest": digest, "size": status.st_size, "created_at": moment, "updated_at": moment}

    def _read(self, call: Call) -> None:
        request = SERVICES.decode("ReadContentRequest", call.only())
        path, offset = self._existing(request.get("digest", "")), request.get("offset", 0)
        with open(path, "rb") as file:
            file.seek(offset)
            left = request.get("size", 0) or path.stat().st_size - offset
            while left > 0 and (data := file.read(min(_CHUNK_BYTES, left))):
                call.send(SERVICES.encode("ReadContentResponse", {"offset": offset, "data": data}))
                offset += len(data)
                left -= len(data)

    # -- writing ---------------------------------------------------------------------------------------

    def _status(self, call: Call) -> None:
        call.only()
        raise CallFailed(NOT_FOUND, "no blob is half-written")

    def _write(self, call: Call) -> None:
        try:
            place = self.root / "blobs/sha256"
            place.mkdir(parents=True, exist_ok=True)
            number, name = tempfile.mkstemp(prefix=".new-", dir=place)
            try:
                with open(number, "wb") as file:
                    self._take(call, file, Path(name))
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            self.error = error
            raise CallFailed(UNKNOWN, f"a blob cannot be written: {error.strerror or error}") from error

    def _take(self, call: Call, file: BinaryIO, temporary: Path) -> None:
        digest, size, expected, total = hashlib.sha256(), 0, "", 0
        started = {"seconds": int(time.time())}
        while (message := call.receive()) is not None:
            request = SERVICES.decode("WriteContentRequest", message)
            action = request.get("action", _STAT)
            expected, total = request.get("expected") or expected, request.get("total") or total
            if expected and self._path(expected).is_file():
                raise CallFailed(_EXISTS, f"content {expected}: already exists")
            data = request.get("data", b"")
            if data:
                if request.get("offset", 0) != size:
                    raise CallFailed(_INVALID, f"content at {request.get('offset', 0)} instead of {size}")
                file.write(data)
                digest.update(data)
                size += len(data)
            found = f"sha256:{digest.hexdigest()}"
            if action == _COMMIT:
                if (expected and expected != found) or (total and total != size):
                    raise CallFailed(_FAILED, f"content is {found} of {size} bytes, not {expected} of {total}")
                file.flush()
                temporary.chmod(0o644)
                temporary.replace(self._path(found))
            answer: dict[str, Any] = {"action": action, "offset": size, "total": total}
            answer |= {"started_at": started, "updated_at": {"seconds": int(time.time())}}
            answer |= {"digest": found} if action == _COMMIT else {}
            call.send(SERVICES.encode("WriteContentResponse", answer))
            if action == _COMMIT:
                return


def _answer(call: Call, name: str, message: Mapping[str, Any]) -> None:
    call.answer(SERVICES.encode(name, message))
