"""Images and containers of the engine as objects, through python-on-whales, with its failures as diagnostics.

Importing it takes as long as several calls of docker do, so `begin_import` has a thread do it while docker works.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import threading
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from ...diagnostics import report
from .. import EngineFailure
from .cli import DockerCli
from .problems import diagnose

if TYPE_CHECKING:
    from python_on_whales import DockerClient, Image

__all__ = ["begin_import", "find_image", "objects_of", "remove_container", "translated"]

_LIBRARY = "python_on_whales"


def begin_import() -> None:
    """Import the library beside what this process waits for now."""
    # Not a daemon: a thread that is cut off within a library of compiled code can take the process with it.
    threading.Thread(target=_import).start()


def _import() -> None:
    with contextlib.suppress(Exception):  # such as that the process ends; who needs the library will be told
        import_module(_LIBRARY)


def objects_of(docker: DockerCli) -> DockerClient:
    """The library's client, which calls the same program; calls of it belong into `translated`."""
    from python_on_whales import DockerClient

    logger = logging.getLogger(f"{_LIBRARY}.utils")  # tells every call that is about to be made
    logger.handlers = [_Shown(docker)]
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    return DockerClient(client_call=[docker.program])


class _Shown(logging.Handler):
    """Shows the library's calls as our own are."""

    def __init__(self, docker: DockerCli) -> None:
        super().__init__()
        self._docker = docker

    def emit(self, record: logging.LogRecord) -> None:
        for words in record.args or ():
            self._docker.show(shlex.split(str(words))[1:])


@contextlib.contextmanager
def translated(docker: DockerCli, what: str) -> Iterator[None]:
    """Failures of the library as EngineFailure; `what` says which call it is, such as `image inspect`.

    Errors: COG620–COG626, COG640–COG644.
    """
    from pydantic import ValidationError
    from python_on_whales import ClientNotFoundError, DockerException
    from python_on_whales.client_config import ParsingError

    try:
        yield
    except ClientNotFoundError as error:
        raise docker.missing() from error
    except DockerException as error:
        raise EngineFailure(diagnose(error.stderr or "", what)) from error
    except (ParsingError, ValidationError, ValueError) as error:
        message = f"the answer of `docker {what}` cannot be read"
        raise EngineFailure(report("COG626", message, hint="`docker version` shows what answers")) from error


def find_image(docker: DockerCli, name: str) -> Image | None:
    """The image in the engine; None when it is not there. Errors: EngineFailure when the engine does not answer."""
    try:
        with translated(docker, "image inspect"):
            return objects_of(docker).image.inspect(name)
    except EngineFailure as failure:
        if failure.diagnostics[0].code != "COG642":
            raise
        return None


def remove_container(docker: DockerCli, name: str) -> None:
    """Remove the container, running or not; nothing happens when there is none or nobody answers."""
    with contextlib.suppress(EngineFailure), translated(docker, "container rm"):
        objects_of(docker).container.remove(name, force=True)
