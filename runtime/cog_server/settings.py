"""Command line and environment → `Settings`, read once at the start. Source of the names: the HTTP page of docs/."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Sequence, Tuple

__all__ = ["Settings", "number", "parse_settings", "settings_of"]

logger = logging.getLogger("cog_server")

MIB = 1024 * 1024
FALSE_WORDS = ("", "0", "false", "no", "off")
SCHEMA_PATH = ".cog/openapi_schema.json"


@dataclass(frozen=True)
class Settings:
    """What the operator decided. Times are in seconds, sizes in bytes; None is "no limit" or "not set"."""

    model_python: str
    sdk: str
    predict_target: Optional[str] = None
    train_target: Optional[str] = None
    mode: str = "predict"
    host: str = "0.0.0.0"
    port: int = 5000
    upload_url: Optional[str] = None
    awaits_explicit_shutdown: bool = False
    threads: Optional[int] = None
    queue_length: int = 0
    max_concurrency: Optional[int] = None
    setup_timeout: Optional[float] = None
    shutdown_grace: float = 8.0
    cancel_grace: float = 30.0
    webhook_interval: float = 0.5
    webhook_token: Optional[str] = field(default=None, repr=False)
    api_token: Optional[str] = field(default=None, repr=False)
    stream_history: int = 1024
    max_body_bytes: int = 100 * MIB
    max_download_bytes: int = 10 * 1024 * MIB
    download_timeout: float = 10.0
    request_timeout: float = 30.0
    allows_private_urls: bool = False
    download_user_agent: Optional[str] = None
    cors_origins: Tuple[str, ...] = ()
    has_legacy_http: Optional[bool] = None
    max_crashes: int = 5
    training_idle: float = 60.0
    ready_file: Optional[str] = None
    schema_path: str = SCHEMA_PATH
    streams_all: bool = False

    @property
    def target(self) -> Optional[str]:
        """The target that the first worker loads."""
        return self.train_target if self.mode == "train" else self.predict_target


def _parser(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cog.server.http", description="Serve a model over HTTP.")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on; :: is IPv6 and IPv4")
    parser.add_argument("--port", type=int, help="port to listen on; default: $PORT, else 5000")
    parser.add_argument(
        "--threads", type=_positive, metavar="N", help="serve at most N predictions and trainings at a time; others wait"
    )
    parser.add_argument("--upload-url", metavar="URL", help="where output files are PUT instead of data URLs")
    parser.add_argument(
        "--await-explicit-shutdown", default="", metavar="BOOL", help="ignore SIGTERM; end on /shutdown"
    )
    parser.add_argument("--x-mode", choices=("predict", "train"), default="predict", help="which target to load")
    parser.add_argument("--queue", type=int, default=None, metavar="N", help="let N requests wait for a free slot")
    parser.add_argument("--model-python", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--sdk", required=True, help=argparse.SUPPRESS)
    parser.add_argument("-v", "--version", action="version", version="cog.server.http " + version)
    return parser


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError("%r is not a whole number of at least 1" % text)
    return int(text)


def number(environment: Mapping[str, str], name: str, default: float, least: float = 0) -> float:
    """A variable as a number; one that is none, or less than `least`, is reported and not used."""
    text = environment.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = least - 1
    if not least <= value < float("inf"):
        logger.warning("%s=%r is not a number of at least %g: using %g", name, text, least, default)
        return default
    return value


def _flag(environment: Mapping[str, str], name: str) -> Optional[bool]:
    text = environment.get(name)
    return None if text is None else text.strip().lower() not in FALSE_WORDS


def _concurrency(environment: Mapping[str, str]) -> Optional[int]:
    text = environment.get("COG_MAX_CONCURRENCY", "")
    if not text:
        return None
    if text.isascii() and text.isdigit() and int(text) >= 1:
        return int(text)
    logger.warning("COG_MAX_CONCURRENCY=%r is not a whole number of at least 1: using 1", text)
    return 1


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str], version: str) -> Settings:
    """The settings of one server. A command line that is wrong ends the process with status 2."""
    options = _parser(version).parse_args(arguments)
    queue = options.queue if options.queue is not None else int(number(environment, "COGC_QUEUE", 0))
    return settings_of(
        environment,
        model_python=options.model_python,
        sdk=options.sdk,
        mode=options.x_mode,
        host=options.host,
        port=options.port if options.port is not None else int(number(environment, "PORT", 5000)),
        upload_url=options.upload_url or None,
        awaits_explicit_shutdown=bool(options.await_explicit_shutdown),
        threads=options.threads,
        queue_length=max(queue, 0),
    )


def settings_of(environment: Mapping[str, str], **given: Any) -> Settings:
    """The settings that the environment makes, with those that a command line gave."""
    return Settings(
        predict_target=environment.get("COG_PREDICT_TYPE_STUB") or None,
        train_target=environment.get("COG_TRAIN_TYPE_STUB") or None,
        max_concurrency=_concurrency(environment),
        setup_timeout=number(environment, "COG_SETUP_TIMEOUT", 0) or None,
        shutdown_grace=number(environment, "COGC_SHUTDOWN_GRACE_SECONDS", 8.0),
        cancel_grace=number(environment, "COGC_CANCEL_GRACE_SECONDS", 30.0),
        webhook_interval=number(environment, "COG_THROTTLE_RESPONSE_INTERVAL", 0.5),
        webhook_token=environment.get("WEBHOOK_AUTH_TOKEN") or None,
        api_token=environment.get("COG_API_TOKEN") or None,
        stream_history=int(number(environment, "COG_STREAM_HISTORY_CAPACITY", 1024)),
        max_body_bytes=int(number(environment, "COGC_MAX_BODY_BYTES", 100 * MIB)),
        max_download_bytes=int(number(environment, "COGC_MAX_DOWNLOAD_BYTES", 10 * 1024 * MIB)),
        request_timeout=number(environment, "COGC_REQUEST_TIMEOUT_SECONDS", 30.0, least=0.1),
        allows_private_urls=bool(_flag(environment, "COGC_ALLOW_PRIVATE_URLS")),
        download_user_agent=environment.get("COG_USER_AGENT") or None,
        cors_origins=tuple(environment.get("COGC_CORS_ORIGINS", "").replace(",", " ").split()),
        has_legacy_http=_flag(environment, "COGC_LEGACY_HTTP"),
        max_crashes=int(number(environment, "COGC_MAX_CRASHES", 5, least=1)),
        training_idle=number(environment, "COGC_TRAINING_IDLE_SECONDS", 60.0),
        schema_path=environment.get("COGC_OPENAPI_SCHEMA", SCHEMA_PATH),
        streams_all=bool(_flag(environment, "COGC_STREAM_ALL")),
        ready_file="/var/run/cog/ready" if environment.get("KUBERNETES_SERVICE_HOST") else None,
        **given,
    )
