"""The types of inputs and outputs: `Path`, `File`, `Secret`, the iterators, and files that are still URLs.

`Path` and `File` say in annotations that a client sends or receives a file; the worker turns URLs into local files
before the model sees them. pydantic is never imported here, but its models may use these types as fields.
"""

from __future__ import annotations

import io
import os
import pathlib
import sys
from typing import Any, AsyncIterator, Callable, Iterator, TypeVar

__all__ = [
    "AsyncConcatenateIterator",
    "AsyncIterator",
    "ConcatenateIterator",
    "File",
    "Opaque",
    "Path",
    "Secret",
    "URLFile",
    "URLPath",
]

Item = TypeVar("Item")

MASK = "**********"


class _PydanticField:
    """How pydantic treats a type that is the annotation of a field: through its `validate`."""

    _format = "uri"

    @classmethod
    def validate(cls, value: Any) -> Any:
        """The value as this type; to be overridden."""
        raise NotImplementedError

    @classmethod
    def __get_validators__(cls) -> Iterator[Callable[[Any], Any]]:
        yield cls.validate

    @classmethod
    def __modify_schema__(cls, schema: dict[str, Any]) -> None:
        schema.update(type="string", format=cls._format)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # only pydantic calls this

        return core_schema.no_info_plain_validator_function(cls.validate)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        return {"type": "string", "format": cls._format}


class Path(pathlib.PosixPath, _PydanticField):
    """A path of a local file. As an input it was sent by the client, as an output it is sent back."""

    @classmethod
    def validate(cls, value: Any) -> pathlib.Path:
        """A path, from a path, the text of one, or the URL of a file. Errors: `ValueError`."""
        if isinstance(value, pathlib.Path):
            return value
        if isinstance(value, os.PathLike):
            return cls(os.fspath(value))
        if not isinstance(value, str):
            raise ValueError("%s is not a path" % type(value).__name__)
        from .files import fetch, is_url

        return cls(fetch(value)) if is_url(value) else cls(value)


class _IsFile(type(io.IOBase)):  # type: ignore[misc]
    """Makes every open file an instance of `File`."""

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, io.IOBase)

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        return cls.open(*arguments, **keywords) if cls is File else super().__call__(*arguments, **keywords)


class File(io.IOBase, _PydanticField, metaclass=_IsFile):
    """An open file. As an input it is binary and open for reading; as an output it is read from its beginning.

    `File(x)` gives an open file for what can be one: an open file itself, a path, bytes, or an image with a `save`
    method such as Pillow's.
    """

    @staticmethod
    def open(source: Any) -> Any:
        """An open file with the content of `source`. Errors: `TypeError`, `OSError`."""
        if isinstance(source, io.IOBase) or hasattr(source, "read"):
            return source
        if isinstance(source, (bytes, bytearray, memoryview)):
            return io.BytesIO(source)
        if isinstance(source, (str, os.PathLike)):
            return File.validate(os.fspath(source))
        if hasattr(source, "save"):
            return _saved(source)
        raise TypeError("File() needs an open file, a path, bytes or an image, got %s" % type(source).__name__)

    @classmethod
    def validate(cls, value: Any) -> Any:
        """An open file, from an open file, a path or a URL. Errors: `ValueError`, `OSError`."""
        if isinstance(value, io.IOBase):
            return value
        if not isinstance(value, (str, os.PathLike)):
            raise ValueError("%s is not a file" % type(value).__name__)
        from .files import is_url, open_data_url

        text = os.fspath(value)
        if text[:5].lower() == "data:":
            return open_data_url(text)
        return URLFile(text) if is_url(text) else io.open(text, "rb")


def _saved(image: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    kind = getattr(image, "format", None) or "PNG"
    image.save(buffer, format=kind)
    buffer.seek(0)
    buffer.name = "output." + {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    return buffer


class Secret(_PydanticField):
    """A text that must not be shown: `str()` and `repr()` mask it, `get_secret_value()` gives it."""

    __slots__ = ("_secret_value",)
    _format = "password"

    def __init__(self, secret_value: str) -> None:
        self._secret_value = secret_value

    def get_secret_value(self) -> str:
        """The text itself."""
        return self._secret_value

    @classmethod
    def validate(cls, value: Any) -> Secret:
        """A secret, from one or from its text. Errors: `ValueError`."""
        if hasattr(value, "get_secret_value"):
            return cls(value.get_secret_value())
        if not isinstance(value, str):
            raise ValueError("a secret is a text")
        return cls(value)

    def __str__(self) -> str:
        return MASK if self._secret_value else ""

    def __repr__(self) -> str:
        return "Secret(%r)" % str(self)

    def __len__(self) -> int:
        return len(self._secret_value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._secret_value == self._secret_value

    def __hash__(self) -> int:
        return hash(self._secret_value)


class ConcatenateIterator(Iterator[Item]):
    """The output of a model that yields pieces of one text."""


class AsyncConcatenateIterator(AsyncIterator[Item]):
    """The output of an async model that yields pieces of one text."""


class Opaque:
    """`Annotated[T, Opaque]` describes a value as an object, without looking into `T`."""


class URLFile(io.IOBase):
    """A file behind an http or https URL, opened when it is first read; can be pickled while it is only a URL."""

    def __init__(self, url: str, filename: str | None = None) -> None:
        from .files import check_scheme, file_name

        check_scheme(url)
        self.url = url
        self.name = filename or file_name(url)
        self._source: Any = None

    def _open(self) -> Any:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if self._source is None:
            from .files import open_url

            self._source = open_url(self.url)
        return self._source

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, or all that is left."""
        return bytes(self._open().read() if size is None or size < 0 else self._open().read(size))

    def readline(self, size: int | None = -1) -> bytes:
        """One line, its end included."""
        return bytes(self._open().readline(-1 if size is None else size))

    def readable(self) -> bool:
        """Always true."""
        return True

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self.__dict__.get("_source") is not None:
            self._source.close()
        super().close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __reduce__(self) -> Any:
        return URLFile, (self.url, self.name)

    def __repr__(self) -> str:
        return "URLFile(%r)" % (self.url if len(self.url) < 200 else self.url[:199] + "…")


class InputFile(URLFile):
    """A file that a client has sent as a URL: `fetch` gives the path of a local copy, when it is first read.

    The copy can be read from any position, which the response itself cannot.
    """

    def __init__(self, url: str, filename: str, fetch: Callable[[], str]) -> None:
        super().__init__(url, filename)
        self._fetch = fetch

    def _open(self) -> Any:
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if self._source is None:
            self._source = io.open(self._fetch(), "rb")
        return self._source

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; the number of bytes."""
        return int(self._open().readinto(buffer))

    def seekable(self) -> bool:
        """Always true."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position."""
        return int(self._open().seek(offset, whence))

    def tell(self) -> int:
        """The position."""
        return 0 if self._source is None and not self.closed else int(self._open().tell())

    def fileno(self) -> int:
        """The descriptor of the local copy."""
        return int(self._open().fileno())

    def __reduce__(self) -> Any:
        # Whoever unpickles it reads the local copy, and does not go to the URL itself: that is checked by the server.
        return _local_copy, (self.url, self.name, self._fetch())


def _local_copy(url: str, filename: str, path: str) -> InputFile:
    return InputFile(url, filename, lambda: path)


class URLPath(Path):
    """A path whose file is still behind a URL; `convert()` downloads it."""

    def __new__(cls, *, source: str, filename: str, fileobj: Any = None) -> URLPath:
        self = pathlib.PosixPath.__new__(cls, filename)
        if sys.version_info >= (3, 12):
            pathlib.PosixPath.__init__(self, filename)
        return self

    def __init__(self, *, source: str, filename: str, fileobj: Any = None) -> None:
        self.source = source
        self.fileobj = fileobj
        self._path: Path | None = None

    def convert(self) -> Path:
        """The local file, downloaded on the first call."""
        if self._path is None:
            from .files import fetch

            self._path = Path(fetch(self.source))
        return self._path

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove what was downloaded."""
        if self._path is not None:
            self._path.unlink()
            self._path = None

    def __str__(self) -> str:
        return self.source if self._path is None else str(self._path)

    def __fspath__(self) -> str:
        return str(self.convert())

    def __reduce__(self) -> Any:
        return _url_path, (self.source, self.name)


def _url_path(source: str, filename: str) -> URLPath:
    return URLPath(source=source, filename=filename)


class _ExperimentalFeatureWarning(Warning):
    """A warning category of older releases."""


_ExperimentalFeatureWarning.__name__ = _ExperimentalFeatureWarning.__qualname__ = "ExperimentalFeatureWarning"


def __getattr__(name: str) -> Any:
    if name == "ExperimentalFeatureWarning":
        sys.stderr.write("`cog.types.ExperimentalFeatureWarning` is never raised any more\n")
        globals()[name] = _ExperimentalFeatureWarning
        return _ExperimentalFeatureWarning
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
