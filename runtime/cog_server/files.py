"""Files of predictions: URLs in inputs become local files; files in outputs become data URLs or uploads."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import mimetypes
import os
import re
import zlib
from typing import Any, AsyncIterator, Container, Dict, Iterator, List, Optional, Sequence, Tuple, Union
from urllib.parse import quote, unquote, unquote_to_bytes, urljoin, urlsplit, urlunsplit

import msgspec

from .client import Client, Reach, reason_of, release_frames
from .messages import File
from .predictions import FileInput, Prediction
from .scratch import Scratch, delete_file
from .settings import Settings

__all__ = ["FileError", "Files", "safe_name"]

logger = logging.getLogger("cog_server.files")

MAX_REDIRECTS = 10
MAX_PARALLEL = 8
NAME_BYTES = 200
INLINE_BYTES = 256 * 1024
STEP_BYTES = 256 * 1024
ENCODED_AT_ONCE = 3 * 32 * 1024
RETRIES, RETRY_FACTOR = 3, 0.1
RETRY_STATUSES = (408, 429, 500, 502, 503, 504)


class FileError(Exception):
    """A file cannot be fetched or delivered. The text is for the user."""


def safe_name(name: str, default: str = "file") -> str:
    """A name without folders and control characters, of at most 200 bytes, that keeps its extension."""
    name = re.sub(r"[\x00-\x1f\x7f/\\]", "_", name.strip())
    if name.strip(".") == "":
        return default
    if len(name.encode("utf-8", "replace")) <= NAME_BYTES:
        return name.encode("utf-8", "replace").decode()
    stem, extension = os.path.splitext(name)
    extension = extension if len(extension.encode("utf-8", "replace")) <= 20 else ""
    room = NAME_BYTES - 1 - len(extension.encode("utf-8", "replace"))
    return stem.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + "~" + extension


def base_name(name: str, default: str = "file") -> str:
    """The last part of a path, made safe."""
    return safe_name(name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1], default)


def _name_in(url: str) -> str:
    return safe_name(unquote(urlsplit(url).path.rsplit("/", 1)[-1]))


def _decode_data_url(url: str) -> Tuple[bytes, str]:
    """(content, file name). Errors: FileError."""
    head, comma, payload = url.partition(",")
    if not comma:
        raise FileError("the data URL has no comma")
    words = head[5:].split(";")
    mime = words[0].strip().lower() or "text/plain"
    try:
        if words[-1].strip().lower() == "base64":
            text = unquote(payload) if "%" in payload else payload
            content = base64.b64decode(_padded(text), validate=True)
        else:
            content = unquote_to_bytes(payload)
    except (binascii.Error, ValueError) as error:
        raise FileError("the data URL cannot be decoded: %s" % error) from error
    return content, "file" + (_extension(mime) or "")


class _Inflater:
    """Undoes the encoding of a response, in pieces of at most STEP_BYTES however small they were compressed.

    No encoding is asked for, but some servers have files that are compressed and nothing else.
    """

    def __init__(self, encoding: str) -> None:
        """Errors: FileError for encodings that are not known here."""
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise FileError("the server sent it with the encoding %r, which was not asked for" % encoding[:40])
        self._inflater = self._new()

    @staticmethod
    def _new() -> Any:
        return zlib.decompressobj(zlib.MAX_WBITS | 32)

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """The content that a chunk completes. Errors: FileError."""
        try:
            while chunk:
                if self._inflater.eof:
                    self._inflater = self._new()  # files may be joined
                yield self._inflater.decompress(chunk, STEP_BYTES)
                chunk = self._inflater.unconsumed_tail or self._inflater.unused_data
        except zlib.error as error:
            raise FileError("it cannot be decompressed: %s" % error) from None

    def finish(self) -> None:
        """Errors: FileError when the content is not complete."""
        if not self._inflater.eof:
            raise FileError("it cannot be decompressed: it ended early")


async def _content(response: Any) -> AsyncIterator[bytes]:
    """The body of a response in pieces. Errors: FileError, and those of the library."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    inflater = _Inflater(encoding) if encoding not in ("", "identity") else None
    async for chunk in response.content.iter_chunked(STEP_BYTES):
        if inflater is None:
            yield chunk
            continue
        for piece in inflater.pieces(chunk):
            yield piece
            await asyncio.sleep(0)  # a little data may become very much
    if inflater is not None:
        inflater.finish()


def _padded(text: str) -> bytes:
    data = text.encode("ascii")
    if any(space in data for space in (b" ", b"\t", b"\r", b"\n")):
        data = data.translate(None, b" \t\r\n")
    if b"-" in data or b"_" in data:
        data = data.replace(b"-", b"+").replace(b"_", b"/")
    return data if len(data) % 4 == 0 else data + b"=" * (-len(data) % 4)


def _extension(mime: str) -> Optional[str]:
    usual = {"image/jpeg": ".jpg", "text/plain": ".txt", "audio/mpeg": ".mp3", "audio/wav": ".wav",
             "audio/x-wav": ".wav", "image/webp": ".webp", "application/octet-stream": ""}  # fmt: skip
    return usual[mime] if mime in usual else mimetypes.guess_extension(mime)


def _replace(value: Any, pointer: Sequence[Any], replacement: Any) -> Any:
    """`value` with the place at `pointer` replaced (in place below the top)."""
    if not pointer:
        return replacement
    parent = value
    for step in pointer[:-1]:
        parent = parent[step]
    parent[pointer[-1]] = replacement
    return value


class Files:
    """Downloads and deliveries of one server."""

    def __init__(self, settings: Settings, client: Client, version: str, scratch: Scratch) -> None:
        self._settings = settings
        self._client = client
        self._agent = "cog-worker/" + version
        self._scratch = scratch
        self._folders: Dict[str, str] = {}

    # Inputs

    async def fetch_inputs(self, prediction: Prediction, lazy: Container[str] = ()) -> List[Dict[str, Any]]:
        """Download the files of the input, in parallel; the `files` of a predict message. Errors: FileError.

        Those of `lazy` inputs are left to `fetch_input`, unless they are here already as data URLs.
        """
        self._folders[prediction.id] = self._scratch.new_folder("input-")
        gate = asyncio.Semaphore(MAX_PARALLEL)

        async def fetch(index: int, file: FileInput) -> Dict[str, Any]:
            url = file.url if len(file.url) <= 65536 else file.url.partition(",")[0] + ",…"
            if file.pointer[0] in lazy and file.url[:5].lower() != "data:":
                return {"pointer": file.pointer, "index": index, "name": file.name or _name_in(file.url), "url": url}
            async with gate:
                path, name = await self.fetch_input(prediction, index)
            return {"pointer": file.pointer, "path": path, "name": name, "url": url}

        tasks = [asyncio.ensure_future(fetch(*numbered)) for numbered in enumerate(prediction.request.files)]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            tasks.clear()

    async def fetch_input(self, prediction: Prediction, index: int) -> Tuple[str, str]:
        """(path, name) of one file of the input, downloaded now. Errors: FileError."""
        file = prediction.request.files[index]
        try:
            return await self._fetch(file.url, os.path.join(self._folders[prediction.id], str(index)), file.name)
        except FileError as error:
            raise FileError("the input '%s' cannot be fetched: %s" % (file.pointer[0], error)) from None

    def forget_inputs(self, prediction: Prediction) -> None:
        """Delete what was downloaded."""
        folder = self._folders.pop(prediction.id, None)
        if folder is not None:
            self._scratch.remove(os.path.basename(folder))

    async def _fetch(self, url: str, place: str, given: Optional[str] = None) -> Tuple[str, str]:
        if url[:5].lower() == "data:":
            if len(url) > INLINE_BYTES:
                content, name = await asyncio.get_running_loop().run_in_executor(None, _decode_data_url, url)
            else:
                content, name = _decode_data_url(url)
            if len(content) > self._settings.max_download_bytes:
                raise FileError("it is larger than %d bytes" % self._settings.max_download_bytes)
            os.mkdir(place)
            name = given or name
            path = os.path.join(place, name)
            with open(path, "wb") as file:
                file.write(content)
            return path, name
        return await self._download(url, place, given)

    async def _download(self, url: str, place: str, given: Optional[str]) -> Tuple[str, str]:
        await self._client.prepare()
        import aiohttp

        options = {
            "timeout": aiohttp.ClientTimeout(
                total=None, sock_connect=self._settings.download_timeout, sock_read=self._settings.download_timeout
            ),
            "headers": {"User-Agent": self._settings.download_user_agent or self._agent, "Accept-Encoding": "identity"},
        }
        name = given or _name_in(url)
        try:
            for _ in range(MAX_REDIRECTS + 1):
                async with self._client.request(Reach.INPUT, "GET", url, **options) as response:
                    location = response.headers.get("Location")
                    if response.status in (301, 302, 303, 307, 308) and location:
                        url = urljoin(url, location)
                        if urlsplit(url).scheme.lower() not in ("http", "https"):
                            raise FileError("it redirects to a URL that is neither http nor https")
                        continue
                    if response.status != 200:
                        raise FileError("the server answered %d %s" % (response.status, response.reason or ""))
                    os.mkdir(place)
                    return await self._save(response, os.path.join(place, name)), name
        except asyncio.TimeoutError:
            raise FileError("the server did not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            release_frames(error)
            raise FileError(reason_of(error)) from None
        raise FileError("more than %d redirects" % MAX_REDIRECTS)

    async def _save(self, response: Any, path: str) -> str:
        limit = self._settings.max_download_bytes
        length = response.content_length
        if length is not None and length > limit:
            raise FileError("it is larger than %d bytes" % limit)
        size = 0
        with open(path, "wb") as file:
            async for piece in _content(response):
                size += len(piece)
                if size > limit:
                    raise FileError("it is larger than %d bytes" % limit)
                file.write(piece)
        return path

    # Outputs

    async def publish(self, prediction: Prediction, output: msgspec.Raw, files: Sequence[File]) -> msgspec.Raw:
        """The output with URLs where files stand; afterwards temporary files are gone. Errors: FileError."""
        value = msgspec.json.decode(output)
        try:
            for file in files:
                value = _replace(value, file.pointer, await self._deliver(prediction, file))
        except OSError as error:
            raise FileError(str(error)) from None
        except (KeyError, IndexError, TypeError) as error:
            raise FileError("a file of the output has no place in it: %r" % error) from None
        finally:
            self.discard(files)
        return value if isinstance(value, msgspec.Raw) else msgspec.Raw(msgspec.json.encode(value))

    @staticmethod
    def discard(files: Sequence[File]) -> None:
        """Delete temporary files of an output that were delivered, or never will be."""
        for file in files:
            if file.delete:
                delete_file(file.path)

    async def _deliver(self, prediction: Prediction, file: File) -> Union[str, msgspec.Raw]:
        prefix = prediction.request.output_file_prefix
        mime = file.mime or mimetypes.guess_type(file.name or file.path)[0] or "application/octet-stream"
        if not re.match(r"[\w.+-]+/[\w.+-]+(;\s*[\w-]+=[\w-]+)*\Z", mime, re.ASCII):
            mime = "application/octet-stream"
        if prefix is not None:
            return await self._put_multipart(prediction, prefix, file, mime)
        if self._settings.upload_url is not None:
            return await self._put_raw(prediction, self._settings.upload_url, file, mime)
        if os.path.getsize(file.path) > INLINE_BYTES:
            return await asyncio.get_running_loop().run_in_executor(None, _data_url, file.path, mime)
        return _data_url(file.path, mime)

    def _headers(self, prediction: Prediction) -> Dict[str, str]:
        return {"User-Agent": self._agent, **prediction.request.trace}

    async def _put_multipart(self, prediction: Prediction, prefix: str, file: File, mime: str) -> str:
        name = base_name(file.name, "output")
        url = prefix + ("" if prefix.endswith("/") else "/") + quote(name)
        boundary = "cog-" + binascii.hexlify(os.urandom(16)).decode()
        shown = name.replace('"', "%22")
        head = '--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: %s\r\n\r\n'
        with open(file.path, "rb") as content:
            body = (head % (boundary, shown, mime)).encode() + content.read() + ("\r\n--%s--\r\n" % boundary).encode()
        headers = self._headers(prediction)
        headers["Content-Type"] = "multipart/form-data; boundary=" + boundary
        return await self._put(Reach.CALLBACK, url, body, headers, retries=0, keeps_query=True)

    async def _put_raw(self, prediction: Prediction, prefix: str, file: File, mime: str) -> str:
        name = base_name(file.name)
        url = prefix.rstrip("/") + "/" + quote(name)
        headers = self._headers(prediction)
        headers["Content-Type"] = mime
        headers["X-Prediction-ID"] = quote(prediction.id, safe=" !#$&'()*+,:;=?@[]~")
        headers["Content-Length"] = str(os.path.getsize(file.path))
        await self._client.prepare()
        body = _file_payload(file.path)
        return await self._put(Reach.ANY, url, body, headers, retries=RETRIES, keeps_query=False)

    async def _put(
        self, reach: Reach, url: str, body: Any, headers: Dict[str, str], retries: int, keeps_query: bool
    ) -> str:
        await self._client.prepare()
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=15)
        for attempt in range(retries + 1):
            if attempt:
                await asyncio.sleep(RETRY_FACTOR * 2 ** (attempt - 1))
            try:
                async with self._client.request(
                    reach, "PUT", url, data=body, headers=headers, timeout=timeout
                ) as response:
                    if 200 <= response.status < 300:
                        return _result_url(url, response.headers.get("Location"), keeps_query)
                    reason = "the server answered %d" % response.status
                    if response.status not in RETRY_STATUSES:
                        break
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError) as error:
                reason = reason_of(error)
                release_frames(error)
        raise FileError("the output file cannot be uploaded to %s: %s" % (_without_query(url), reason))


def _file_payload(path: str) -> Any:
    """The body of a request, read from the file each time that it is sent: the library sends some a second time."""
    from aiohttp.payload import Payload

    class FilePayload(Payload):
        @property
        def size(self) -> int:
            return os.path.getsize(path)

        def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
            raise TypeError("a file is no text")

        async def write(self, writer: Any) -> None:
            loop = asyncio.get_running_loop()
            with open(path, "rb") as file:
                piece = await loop.run_in_executor(None, file.read, STEP_BYTES)
                while piece:
                    await writer.write(piece)
                    piece = await loop.run_in_executor(None, file.read, STEP_BYTES)

    return FilePayload(path)


def _result_url(url: str, location: Optional[str], keeps_query: bool) -> str:
    result = urljoin(url, location) if location else url
    return result if keeps_query else _without_query(result)


def _without_query(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query="", fragment=""))


def _data_url(path: str, mime: str) -> msgspec.Raw:
    """A file as the JSON of a data URL. It is never a text: making one of it and JSON of that takes twice the time.

    In pieces, which stay in the processor's cache and in memory that is used again: large blocks come from the system,
    page by page.
    """
    url = bytearray(b'"data:%b;base64,' % mime.encode("ascii"))
    with open(path, "rb") as file:
        while True:
            piece = file.read(ENCODED_AT_ONCE)
            if not piece:
                break
            url += binascii.b2a_base64(piece, newline=False)
    url += b'"'
    return msgspec.Raw(url)
