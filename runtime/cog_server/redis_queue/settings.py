"""Command line and environment of the queue worker → `Settings` and `QueueSettings`.

Two forms, and both at once is an error: flags, or the older `HOST PORT INPUT_QUEUE UPLOAD_URL CONSUMER_ID MODEL_ID
LOG_QUEUE [PREDICT_TIMEOUT]`.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from ..settings import Settings, number, settings_of

__all__ = ["PROGRAM", "QueueSettings", "parse_settings"]

PROGRAM = "cog.server.redis_queue"
POSITIONAL = ("redis_host", "redis_port", "input_queue", "upload_url", "consumer_id", "model_id", "log_queue",
              "predict_timeout")  # fmt: skip
CLAIM_SECONDS, CLAIM_MARGIN_SECONDS = 600.0, 30.0


@dataclass(frozen=True)
class QueueSettings:
    """What the operator decided about the queue. Times are in seconds; None is "no limit" or "not set".

    `claim_after` is how long a message may lack a sign of life of its consumer until another consumer takes it.
    """

    url: str = field(repr=False)
    input_queue: str
    consumer: str
    model_id: str = ""
    log_queue: Optional[str] = None
    predict_timeout: Optional[float] = None
    report_url: Optional[str] = None
    max_failures: Optional[int] = None
    has_list_responses: bool = False
    claim_after: float = CLAIM_SECONDS
    max_deliveries: int = 5


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 < value < 65536:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


# argparse shows these names where a value is wrong.
_seconds.__name__, _port.__name__, _count.__name__ = "number of seconds", "port", "count"
_CONVERTERS = {"redis_port": _port, "predict_timeout": _seconds}


def _parser(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m " + PROGRAM,
        usage="%(prog)s [OPTIONS]\n       %(prog)s " + " ".join(POSITIONAL[:-1]).upper() + " [PREDICT_TIMEOUT]",
        description="Run the predictions of a Redis queue.",
    )
    parser.add_argument("older", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--redis-host", help="host of Redis; COGC_REDIS_URL takes the place of host, port and database")
    parser.add_argument("--redis-port", type=_port, help="port of Redis; default: 6379")
    parser.add_argument("--redis-db", type=_count, metavar="N", help="number of the database; default: 0")
    parser.add_argument("--input-queue", metavar="KEY", help="the stream with messages, and its consumer group")
    parser.add_argument("--upload-url", metavar="URL", help="where output files are PUT instead of data URLs")
    parser.add_argument("--consumer-id", metavar="NAME", help="name of this consumer, different for each process")
    parser.add_argument("--model-id", metavar="ID", help="`id` of the lines of setup in the log queue")
    parser.add_argument("--log-queue", metavar="KEY", help="list that log lines are pushed to")
    parser.add_argument("--predict-timeout", type=_seconds, metavar="SECONDS", help="then a prediction fails")
    parser.add_argument("--report-setup-run-url", metavar="URL", help="what setup came to is POSTed there")
    parser.add_argument("--max-failure-count", type=_count, metavar="N", help="end after more failures than N in a row")
    parser.add_argument("--list-responses", action="store_true", help="push answers to a list, as Cog did up to 0.3")
    parser.add_argument("--model-python", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--sdk", required=True, help=argparse.SUPPRESS)
    parser.add_argument("-v", "--version", action="version", version=PROGRAM + " " + version)
    return parser


def _take_positional(parser: argparse.ArgumentParser, options: Any) -> None:
    """Move what the older form says to where the flags are."""
    given: List[str] = options.older
    if not given:
        return
    count = len(POSITIONAL)
    if not count - 1 <= len(given) <= count:
        parser.error("%d arguments without a flag: there are %d, or %d" % (len(given), count - 1, count))
    both = [name for name in POSITIONAL if getattr(options, name) is not None]
    if both:
        parser.error("--%s and arguments without a flag exclude each other" % both[0].replace("_", "-"))
    for name, text in zip(POSITIONAL, given):
        try:
            setattr(options, name, _CONVERTERS.get(name, str)(text) if text else None)
        except ValueError:
            parser.error("%s: invalid value: %r" % (name.upper(), text))


def _redis_url(host: str, port: int, database: int) -> str:
    return "redis://%s:%d/%d" % ("[%s]" % host if ":" in host else host, port, database)


def parse_settings(
    arguments: Sequence[str], environment: Mapping[str, str], version: str
) -> Tuple[Settings, QueueSettings]:
    """The settings of one worker. A command line that is wrong ends the process with status 2."""
    parser = _parser(version)
    options = parser.parse_args(arguments)
    _take_positional(parser, options)
    url = environment.get("COGC_REDIS_URL") or ""
    if not url and options.redis_host:
        url = _redis_url(options.redis_host, options.redis_port or 6379, options.redis_db or 0)
    needed = {"--redis-host": url, "--input-queue": options.input_queue, "--consumer-id": options.consumer_id}
    missing = [name for name, value in needed.items() if not value]
    if missing:
        parser.error("the following arguments are required: %s" % ", ".join(missing))
    if not url.startswith(("redis://", "rediss://", "unix://")):
        parser.error("COGC_REDIS_URL does not begin with redis://, rediss:// or unix://")
    timeout = options.predict_timeout
    claim_after = CLAIM_SECONDS if timeout is None else timeout + CLAIM_MARGIN_SECONDS
    queue = QueueSettings(
        url=url,
        input_queue=options.input_queue,
        consumer=options.consumer_id,
        model_id=options.model_id or "",
        log_queue=options.log_queue or None,
        predict_timeout=timeout,
        report_url=options.report_setup_run_url or None,
        max_failures=options.max_failure_count,
        has_list_responses=options.list_responses,
        claim_after=number(environment, "COGC_REDIS_CLAIM_SECONDS", claim_after, least=0.1),
        max_deliveries=int(number(environment, "COGC_REDIS_MAX_DELIVERIES", 5)),
    )
    settings = settings_of(
        environment, model_python=options.model_python, sdk=options.sdk, upload_url=options.upload_url or None
    )
    return settings, queue
