"""What the docker program says when something is wrong → a diagnostic with what to do about it.

The texts are those of docker 20 to 28, buildx 0.10 to 0.29 and the common registries, which have no codes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ...diagnostics import Diagnostic, report
from ...source import Span

__all__ = ["diagnose", "known_problem"]


class _Problem(NamedTuple):
    """A text of the program, the code it has here, what it says in our words, and what to do."""

    pattern: str
    code: str
    message: str
    hint: str


_PROBLEMS = (
    _Problem(
        r"permission denied while trying to connect|dial unix \S+: connect: permission denied",
        "COG622",
        "the container engine refuses this user",
        "add the user to the group that owns the socket (`sudo usermod -aG docker $USER`, then log in again)",
    ),
    _Problem(
        r"cannot connect to the docker daemon|is the docker daemon running|error during connect|"
        r"failed to connect to the docker api|connection refused.*docker\.sock|unable to resolve docker endpoint",
        "COG621",
        "no container engine answers",
        "start Docker, or say with DOCKER_HOST or `docker context use` where it is",
    ),
    _Problem(
        r"no space left on device|disk quota exceeded",
        "COG623",
        "the disk of the container engine is full",
        "`docker system df` shows what takes room, `docker buildx prune` frees the build cache",
    ),
    _Problem(
        r"'buildx' is not a docker command|unknown command: docker buildx|buildx component is missing|"
        r"unknown flag: --(?:builder|progress)",
        "COG624",
        "the docker program has no buildx, which builds images",
        "install the package docker-buildx-plugin (docker-buildx in Debian and Ubuntu)",
    ),
    _Problem(
        r"is not supported for the docker driver",
        "COG638",
        "the image store of this engine cannot do this",
        "turn on the containerd image store in the engine's settings, or name another builder with --builder",
    ),
    _Problem(
        r"client version \S+ is too (?:new|old)|minimum supported api version|unknown flag: --|"
        r"invalid progress mode|unknown display mode|requires buildkit|is not supported with the current",
        "COG625",
        "the docker program or the engine is too old for this",
        "cogc needs Docker 24 and buildx 0.13 or newer; `cogc doctor` shows what is here",
    ),
    _Problem(
        r"no builder \"[^\"]*\" found|context \"[^\"]*\"(?: is)? not found|unable to parse docker host",
        "COG621",
        "there is no such builder or context",
        "`docker buildx ls` and `docker context ls` list what there is",
    ),
    _Problem(
        r"snapshot \S+ does not exist|failed to stat active key|failed to finalize parent",
        "COG626",
        "the builder's cache lacks what it should have",
        "`--no-cache`, once, makes all steps anew; `docker builder prune` empties the cache",
    ),
    _Problem(
        r"unauthorized|authentication required|no basic auth credentials|insufficient_scope|access denied|"
        r"requested access to the resource is denied|\bdenied:|403 forbidden|401 unauthorized|incorrect username",
        "COG640",
        "the registry refuses access",
        "`cogc login` (or `docker login HOST`) with a user who may read and write there",
    ),
    _Problem(
        r"toomanyrequests|rate limit|429 too many requests",
        "COG640",
        "the registry allows no more requests for now",
        "log in to get a higher limit, or wait",
    ),
    _Problem(
        r"no such host|connection refused|i/o timeout|tls handshake|x509:|network is unreachable|"
        r"server gave http response to https client|server misbehaving|connection reset|context deadline exceeded|"
        r"failed to do request",
        "COG641",
        "the registry cannot be reached",
        "check its name, the network, the proxy and its certificate",
    ),
    _Problem(
        r"no match for platform|does not match the (?:specified|detected host) platform|exec format error|"
        r"does not provide the specified platform",
        "COG644",
        "there is no image for that platform",
        "`--platform` names another one",
    ),
    _Problem(
        r"manifest unknown|no such image|name unknown|repository .*not found|repository does not exist|: not found$|"
        r"manifest for \S+ not found|no such object",
        "COG642",
        "there is no such image",
        "check the name and the tag; an image in a private registry needs `cogc login`",
    ),
)
_NOISE = re.compile(
    r"^(?:error response from daemon|error|failed to build|failed to solve|docker|rpc error: code = \w+ desc =)"
    r"\s*[:=]?\s+",
    re.IGNORECASE,
)
_ADVICE = ("switch to a different driver", "learn more at")  # of buildx; ours is in the hints
_MOST = 400  # characters of the program's own words


def known_problem(text: str, span: Span | None = None, subject: str = "") -> Diagnostic | None:
    """The diagnostic for a text that is known; `subject` stands before the message, such as an image's name."""
    for problem in _PROBLEMS:
        if re.search(problem.pattern, text, re.IGNORECASE | re.MULTILINE):
            said = last_words(text)
            message = f"{subject}: {problem.message}" if subject else problem.message
            return report(problem.code, f"{message}: {said}" if said else message, span, hint=problem.hint)
    return None


def diagnose(text: str, what: str, span: Span | None = None) -> Diagnostic:
    """The diagnostic for what a call printed; `what` says which call it was, such as `image inspect`.

    Errors: COG620–COG626, COG640–COG644.
    """
    known = known_problem(text, span)
    if known is not None:
        return known
    said = last_words(text) or "it said nothing"
    return report("COG626", f"`docker {what}` failed: {said}", span, hint="--debug shows the calls of docker")


def last_words(text: str) -> str:
    r"""The last line that says something, without what every line begins with.

    >>> last_words("Using default tag: latest\nError response from daemon: No such image: x:latest\n")
    'No such image: x:latest'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("{")]
    for line in reversed(lines):
        if line.lower().startswith(
            ("run 'docker", "see 'docker", "usage:", "for more help", "view build details", *_ADVICE)
        ):
            continue
        while (stripped := _NOISE.sub("", line)) != line:
            line = stripped
        return line if len(line) <= _MOST else line[:_MOST] + "…"
    return ""
