"""The package index as pip is configured: listings of the simple API, and files read in parts.

A file of an index never changes, so what was read of it is kept for good; listings are kept for a day.
"""

from __future__ import annotations

import datetime
import hashlib
import html.parser
import io
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.collector.files import IndexFile

__all__ = ["Index", "index_url", "parse_listing"]

_ACCEPTED = "application/vnd.pypi.simple.v1+json, text/html;q=0.2"
_ATTEMPTS = 5
_TIMEOUT_SECONDS = 120
_NOTHING = b"\0nothing"


def index_url() -> str:
    """The index that pip uses: its environment, its configuration, or what is built into it. Ends in `/`."""
    configured = os.environ.get("PIP_INDEX_URL") or _pip_setting("global.index-url")
    if configured is None:
        from pip._internal.models.index import PyPI

        configured = PyPI.simple_url
    return configured.rstrip("/") + "/"


def _pip_setting(name: str) -> str | None:
    done = subprocess.run([sys.executable, "-m", "pip", "config", "get", name], capture_output=True, text=True)
    return done.stdout.strip() or None if done.returncode == 0 else None


class _Links(html.parser.HTMLParser):
    """The links of a listing in HTML, as the members that one in JSON has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []
        self._is_link = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            given = dict(attrs)
            entry = {"url": given.get("href") or "", "filename": "", "yanked": "data-yanked" in given}
            self.found.append({**entry, "requires-python": given.get("data-requires-python")})
            self._is_link = True

    def handle_data(self, data: str) -> None:
        if self._is_link:
            self.found[-1]["filename"] += data.strip()

    def handle_endtag(self, tag: str) -> None:
        self._is_link = self._is_link and tag != "a"


def parse_listing(body: bytes, url: str) -> list[IndexFile]:
    """The files of a project, from the JSON or HTML form of the simple API at `url`."""
    if body.lstrip()[:1] == b"{":
        entries = json.loads(body)["files"]
    else:
        links = _Links()
        links.feed(body.decode("utf-8", "replace"))
        entries = links.found
    return [
        IndexFile(
            name=entry["filename"],
            url=urllib.parse.urljoin(url, entry["url"]).partition("#")[0],
            requires_python=entry.get("requires-python"),
            is_yanked=bool(entry.get("yanked")),
            uploaded=(entry.get("upload-time") or "")[:10] or None,
            size=entry.get("size"),
        )
        for entry in entries
    ]


class Index:
    """One index, with a cache on the disk."""

    def __init__(self, url: str, cache: Path) -> None:
        self.url = url
        self._cache = cache
        self._today = datetime.datetime.now(datetime.UTC).date().isoformat()
        certificates = os.environ.get("PIP_CERT") or _pip_setting("global.cert")
        self._tls = ssl.create_default_context(cafile=certificates)
        cache.mkdir(parents=True, exist_ok=True)

    def releases(self, project: str, first: str = "0") -> dict[Version, list[IndexFile]]:
        """The wheels and source archives of each final release, from `first` on, oldest first."""
        url = urllib.parse.urljoin(self.url, f"{canonicalize_name(project)}/")
        body = self._kept(f"listing {url} {self._today}", lambda: self._fetch(url, {"Accept": _ACCEPTED}))
        found: dict[Version, list[IndexFile]] = {}
        for file in parse_listing(body, url) if body is not None else ():
            version = file.version
            if version is not None and not version.is_prerelease and version >= Version(first):
                found.setdefault(version, []).append(file)
        return dict(sorted(found.items()))

    def metadata(self, file: IndexFile) -> bytes | None:
        """The core metadata of a wheel; None where the index has none and the file is a source archive."""

        def read() -> bytes | None:
            beside = self._fetch(f"{file.url}.metadata", {})
            if beside is not None or not file.is_wheel:
                return beside
            return self.member(file, r"[^/]+\.dist-info/METADATA")

        return self._kept(f"metadata {file.url}", read)

    def member(self, file: IndexFile, pattern: str, extract: Callable[[bytes], bytes] = bytes) -> bytes | None:
        """What `extract` makes of the first member of a wheel whose whole path matches; the wheel is read in parts."""

        def read() -> bytes | None:
            with zipfile.ZipFile(io.BufferedReader(_RemoteFile(self, file.url))) as archive:
                name = next((name for name in archive.namelist() if re.fullmatch(pattern, name)), None)
                return extract(archive.read(name)) if name is not None else None

        return self._kept(f"member {file.url} {pattern} {extract.__qualname__}", read)

    def size(self, file: IndexFile) -> int:
        """The size of a file in bytes."""
        if file.size is not None:
            return file.size
        body = self._kept(f"size {file.url}", lambda: str(_RemoteFile(self, file.url).size).encode())
        return int(body or 0)

    def part(self, url: str, first: int | None, last: int) -> tuple[bytes, int]:
        """Bytes `first` to `last` of a file, or with None the `last` ones of it; and the size of the whole."""
        wanted = f"bytes={'' if first is None else first}-{last}"
        with self._open(url, {"Range": wanted}) as response:
            body: bytes = response.read()
            total = (response.headers.get("Content-Range") or "").rpartition("/")[2]
        return body, int(total) if total.isdigit() else len(body)

    def _fetch(self, url: str, headers: dict[str, str]) -> bytes | None:
        """The whole body; None for what is not there."""
        try:
            with self._open(url, headers) as response:
                body: bytes = response.read()
                return body
        except urllib.error.HTTPError as error:
            if error.code in (403, 404, 410):
                return None
            raise

    def _open(self, url: str, headers: dict[str, str]) -> Any:
        """A response; tried again after errors that may pass."""
        for attempt in range(_ATTEMPTS):
            try:
                request = urllib.request.Request(url, headers={"User-Agent": "cogc-collector", **headers})
                return urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS, context=self._tls)
            except OSError as error:
                may_pass = not isinstance(error, urllib.error.HTTPError) or error.code in (429, 500, 502, 503, 504)
                if not may_pass or attempt == _ATTEMPTS - 1:
                    raise
            time.sleep(2**attempt)
        raise AssertionError("the last attempt raises")

    def _kept(self, key: str, read: Callable[[], bytes | None]) -> bytes | None:
        path = self._cache / hashlib.sha256(key.encode()).hexdigest()
        if path.exists():
            kept = path.read_bytes()
            return None if kept == _NOTHING else kept
        found = read()
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{id(read)}")
        temporary.write_bytes(_NOTHING if found is None else found)
        temporary.replace(path)
        return found


class _RemoteFile(io.RawIOBase):
    """A file on the index that can be read anywhere; its end, where a zip has its directory, comes first."""

    _END = 1 << 16
    _READ_AHEAD = 1 << 20

    def __init__(self, index: Index, url: str) -> None:
        super().__init__()
        self._index, self._url, self._at = index, url, 0
        self._held, self.size = index.part(url, None, self._END)
        self._held_at = self.size - len(self._held)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), self.size - self._at)
        if count <= 0:
            return 0
        if not self._held_at <= self._at < self._held_at + len(self._held):
            last = min(self._at + max(count, self._READ_AHEAD), self.size) - 1
            self._held, _ = self._index.part(self._url, self._at, last)
            self._held_at = self._at
        start = self._at - self._held_at
        found = self._held[start : start + count]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
