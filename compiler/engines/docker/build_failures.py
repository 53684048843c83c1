"""A build that failed → a diagnostic at the line of cog.yaml (or of a requirements file) that caused the step."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...backends.source_map import SourceMap
from ...diagnostics import Diagnostic, Note, report
from ...frontend.config import Config
from ...ir.node import Cause, Node
from ...ir.nodes import ImageBase, PythonPackages, Run, Stage, Step, SystemPackages
from ...ir.titles import step_title
from ...source import Span
from .build import BuildFailed
from .build_progress import BuildStep
from .problems import diagnose, known_problem, last_words

__all__ = ["explain_failure"]

_TAIL_LINES = 20
_EXIT = re.compile(r"did not complete successfully: exit code: (\d+)")
_SECRET = re.compile(r"failed to solve: secret (\S+): not found")
_AGENT = re.compile(r'(?:no SSH key "|unset ssh forward key |no ssh with id )([^"\s]+)')
_ABSENT = re.compile(r'"/([^"]+)": not found')

# What the last lines of a step say, and what to do.
_HINTS = (
    (r"no space left on device", "the disk is full: `docker system df` shows what takes room"),
    (
        r"could not resolve host|temporary failure (?:in name )?reso|dns error|name or service not known",
        "a host cannot be found: has the build network, and is the name right?",
    ),
    (r"certificate verify failed|self.signed certificate|ssl certificate problem", "COG_CA_CERT adds an authority"),
    (r"(?:^|\s)git: (?:command )?not found|git executable not found", "add git to `build.system_packages`"),
    (r"command '?\S*(?:gcc|cc|g\+\+)'? failed: no such file", "add g++ to `build.system_packages`"),
    (r"unable to locate package|has no installation candidate", "look for the name at packages.debian.org"),
    (r"no solution found|no matching distribution found", "no version fits: check names, pins and the Python version"),
    (
        r"host key verification failed",
        "a host shows another key than known_hosts has, or is not in it: `ssh-keyscan HOST` prints those of a host",
    ),
    (r"permission denied \(.*publickey", "the ssh agent has no key that the host takes: `ssh-add -l` lists its keys"),
    (r"no space left|cannot allocate memory|\bkilled\b", "the step ran out of memory"),
)


def explain_failure(failure: BuildFailed, lines: SourceMap, config: Config | None) -> Diagnostic:
    """What failed, where it comes from, and the end of its output. Errors: COG630–COG632, COG660, COG62x, COG64x."""
    place = _place(failure, lines)
    stage, step = place if place is not None else (None, None)
    tail = _tail(failure.step)
    span = _span(stage, step, "\n".join(tail), config) or _same_base(stage, step, lines)
    secret = _SECRET.search(failure.text)
    if secret is not None:
        hint = f"cogc build --secret id={secret[1]},src=FILE"
        return report("COG632", f"the secret `{secret[1]}` is needed and was not given", span, hint=hint)
    agent = _AGENT.search(failure.text)
    if agent is not None:
        name = agent[1]
        hint = f"cogc build --ssh {name if name == 'default' else f'{name}=SOCKET'}"
        return report("COG660", f"the ssh agent `{name}` is needed and was not given", span, hint=hint)
    exit_code = _EXIT.search(failure.text)
    if exit_code is None:
        return _other(failure, step, span)
    output = "\n".join(tail)
    heading = "the end of its output:" if tail else "it printed nothing"
    notes = [Note(message="\n".join([heading, *tail]))]
    notes += _where(failure, step, span)
    code = int(exit_code[1])
    return report("COG630", _message(step, failure.step, code), span, notes=notes, hint=_hint(output, code))


def _other(failure: BuildFailed, step: Step | None, span: Span | None) -> Diagnostic:
    absent = _ABSENT.search(failure.text)
    if absent is not None and step is not None:
        message = f"`{absent[1]}` is not in the build context"
        return report("COG631", message, span, hint="does it exist, and does .dockerignore let it through?")
    what = step_title(step) if step is not None else ""
    known = known_problem(failure.text, span, what)
    if known is not None:
        return known
    if failure.line is not None:
        return report("COG631", f"the build stopped at line {failure.line}: {last_words(failure.text)}", span)
    return diagnose(failure.text, "buildx build", span)


def _place(failure: BuildFailed, lines: SourceMap) -> tuple[Stage, Step | None] | None:
    place = lines.at(failure.line) if failure.line is not None else None
    if place is None and failure.step is not None and failure.step.place is not None:
        step = lines.step_of(failure.step.stage, *failure.step.place)
        stage = next((held[0] for held in lines.places if held and held[1] is step), None)
        return (stage, step) if stage is not None else None
    return place


def _tail(step: BuildStep | None) -> list[str]:
    if step is None:
        return []
    lines = [line.rstrip() for line in step.output]
    while lines and not lines[-1]:
        lines.pop()
    return lines[-_TAIL_LINES:]


def _message(step: Step | None, shown: BuildStep | None, code: int) -> str:
    if isinstance(step, Run):
        return f"the command `{step.command}` failed with exit code {code}"
    if isinstance(step, PythonPackages):
        return f"installing the Python packages failed with exit code {code}"
    if isinstance(step, SystemPackages):
        return f"installing the system packages failed with exit code {code}"
    what = step_title(step) if step is not None else shown.text if shown is not None else "a step"
    return f"a step of the build failed with exit code {code}: {what}"


def _hint(output: str, code: int) -> str | None:
    for pattern, hint in _HINTS:
        if re.search(pattern, output, re.IGNORECASE | re.MULTILINE):
            return hint
    missing = re.search(r"(?:line )?\d+: (\S+): not found|: (\S+): command not found", output)
    if missing is not None:
        name = missing[1] or missing[2]
        return f"there is no program `{name}` in the image at this point: `build.system_packages` installs it"
    return "the step was killed: it ran out of memory" if code == 137 else None


def _where(failure: BuildFailed, step: Step | None, span: Span | None) -> Iterator[Note]:
    """Steps that no line of the user caused: why they are there, and where they stand."""
    if span is None and step is not None:
        causes = "; ".join(str(cause) for cause in step.because)
        if causes:
            yield Note(message=f"the step is there because of {causes}")
    if span is None and failure.line is not None:
        yield Note(message=f"it is line {failure.line} of the Dockerfile, which `cogc compile` prints")


def _span(stage: Stage | None, step: Step | None, output: str, config: Config | None) -> Span | None:
    if isinstance(step, PythonPackages) and config is not None:
        named = [(item.name or "", item.origin) for item in config.build.requirements if item.origin]
        return _mentioned(named, output) or _of(step)
    if isinstance(step, SystemPackages) and config is not None:
        named = [(package.value, package.span) for package in config.build.system_packages]
        return _mentioned(named, output) or _of(step)
    return _of(step) or _of(stage)


def _same_base(stage: Stage | None, step: Step | None, lines: SourceMap) -> Span | None:
    """Where a base image stands that is that of other stages too: the builder names any of them."""
    if stage is None or step is not None or not isinstance(stage.base, ImageBase):
        return None
    image = stage.base.reference
    others = (held[0] for held in lines.places if held)
    sharing = (other for other in others if isinstance(other.base, ImageBase) and other.base.reference == image)
    return next((span for other in sharing if (span := _of(other)) is not None), None)


def _mentioned(named: list[tuple[str, Span]], output: str) -> Span | None:
    """Where the first package stands that the last lines of the output name; the last line counts most."""
    for line in reversed(output.splitlines()):
        for name, span in named:
            bare = re.split(r"[=:<>~!\[ ]", name)[0]
            pattern = re.sub(r"[-_.]+", "[-_.]+", re.escape(bare).replace(r"\-", "-").replace(r"\.", "."))
            if bare and re.search(rf"(?<![\w.-]){pattern}(?![\w-])", line, re.IGNORECASE):
                return span
    return None


def _of(node: Node | None) -> Span | None:
    if node is None:
        return None
    causes: tuple[Cause, ...] = node.because
    return node.origin or next((cause.span for cause in causes if cause.span is not None), None)
