"""What goes wrong with a daemon → a diagnostic with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...backends.source_map import SourceMap
from ...diagnostics import Diagnostic, report
from ...frontend.config import Config
from ..docker.build import BuildFailed
from ..docker.build_failures import explain_failure
from ..docker.build_progress import BuildProgress
from ..docker.problems import known_problem
from .errors import BuildkitError, CallFailed, ConnectionLost, Unreachable

__all__ = ["explain"]

_UNIMPLEMENTED = 12
_TOO_OLD = r"unknown API capability|requested feature .* disabled|unknown (?:service|method)|failed to load LLB"
_HOST_HINT = "say with BUILDKIT_HOST, DOCKER_HOST or --builder where it is; `cogc doctor` looks for an engine"


def _sending_hint(problem: str) -> str | None:
    if problem.startswith("the secret "):
        return None
    if "is not UTF-8" in problem:
        return "rename it, or list it in .dockerignore with a wildcard"
    return "leave the project alone while it is sent, or list what changes in .dockerignore"


def explain(
    error: BuildkitError,
    lines: SourceMap,
    progress: BuildProgress,
    config: Config | None,
    problems: Sequence[str] = (),
    agent_problems: Sequence[str] = (),
) -> tuple[Diagnostic, ...]:
    """The diagnostics; `problems` are what this side could not give, `agent_problems` those with ssh agents.

    Codes: COG621, COG625, COG627, COG629–COG632, COG660, COG64x.
    """
    if problems:
        return tuple(report("COG629", problem, hint=_sending_hint(problem)) for problem in dict.fromkeys(problems))
    if agent_problems:
        hint = "an agent must run until the build has ended: `ssh-add -l` asks it for its keys"
        return tuple(report("COG660", problem, hint=hint) for problem in dict.fromkeys(agent_problems))
    match error:
        case Unreachable():
            return (report("COG621", f"no BuildKit answers: {error}", hint=_HOST_HINT),)
        case ConnectionLost():
            hint = "the build has been stopped; is the daemon still running?"
            return (report("COG627", f"the connection to BuildKit was lost: {error}", hint=hint),)
        case CallFailed() if error.code == _UNIMPLEMENTED or re.search(_TOO_OLD, error.message):
            hint = "`cogc build` without --engine buildkit needs less of it"
            return (report("COG625", f"the daemon is too old for this: {error.message}", hint=hint),)
        case _:
            failure = BuildFailed(f"failed to solve: {error}", None, progress.failed)
            found = explain_failure(failure, lines, config)
            if found.code == "COG626" and known_problem(str(error)) is None:  # which names the docker program
                found = report("COG626", f"the build failed: {error}", found.span)
            return (found,)
