"""Which node of the IR each line of a printed Dockerfile was made from, so that a failing line finds its cause.

The back end prints a mark above every step; `without_marks` takes them out and keeps what they said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..ir.nodes import ResolvedBuild, Stage, Step
from ..record import record

__all__ = ["MAKE_LAYERS", "Instruction", "SourceMap", "instructions_of", "mark", "without_marks"]

# A character that comments never have: `_one_line` in dockerfile.py replaces it, YAML forbids it.
_MARK = re.compile(r"# \x1f(\d+)\.(\d+)")
_FROM = re.compile(r"FROM \S.* AS (\S+)|FROM (\S+)")


_CONTINUED = re.compile(r"(^|[^\\])(\\\\)*\\[ \t]*$")
_HEREDOC = re.compile(r"<<-?(['\"]?)(\w+)\1")
MAKE_LAYERS = ("ADD", "COPY", "RUN", "WORKDIR")
"""The instructions that BuildKit counts."""


@record(kw_only=False)
class Instruction:
    """An instruction: its keyword, the line it begins on, from 1, and the stage it is in."""

    keyword: str
    line: int
    stage: str | None


@record(kw_only=False)
class SourceMap:
    """`places[n]` is the (stage, step) of line n + 1; None where a line belongs to no step."""

    places: tuple[tuple[Stage, Step | None] | None, ...] = ()
    instructions: tuple[Instruction, ...] = ()

    def at(self, line: int) -> tuple[Stage, Step | None] | None:
        """The stage and the step that line `line` (from 1) was printed from; no step for the line of FROM."""
        return self.places[line - 1] if 0 < line <= len(self.places) else None

    def line_of(self, stage: str | None, number: int, count: int) -> int | None:
        """The line of the instruction that BuildKit calls `[STAGE NUMBER/COUNT]`.

        It counts the instructions that make layers; FROM is one of them where it names an image.
        """
        making = [item for item in self.instructions if item.stage == stage and item.keyword in MAKE_LAYERS]
        index = number - 1 - (count - len(making))
        return making[index].line if 0 <= index < len(making) else None

    def step_of(self, stage: str | None, number: int, count: int) -> Step | None:
        """The step of that instruction."""
        line = self.line_of(stage, number, count)
        place = self.at(line) if line is not None else None
        return place[1] if place else None


def mark(stage: int, step: int) -> str:
    """The text of the comment above a step."""
    return f"\x1f{stage}.{step}"


def without_marks(text: str, build: ResolvedBuild) -> tuple[str, SourceMap]:
    """The Dockerfile as it is built, and its map."""
    stages = {stage.name: stage for stage in build.stages}
    place: tuple[Stage, Step | None] | None = None
    kept: list[str] = []
    places: list[tuple[Stage, Step | None] | None] = []
    for line in text.split("\n"):
        if found := _MARK.fullmatch(line):
            stage = build.stages[int(found[1])]
            place = (stage, stage.steps[int(found[2])])
            continue
        if found := _FROM.fullmatch(line):
            begun = stages.get(found[1] or "")
            place = (begun, None) if begun else None
        kept.append(line)
        places.append(place)
    return "\n".join(kept), SourceMap(tuple(places), tuple(instructions_of(kept)))


def instructions_of(lines: list[str]) -> Iterator[Instruction]:
    """The instructions of a Dockerfile, in order; comments, continuations and here-documents are passed over."""
    stage: str | None = None
    is_continued = False
    ends: list[str] = []
    for number, line in enumerate(lines, 1):
        if ends:
            if line.lstrip("\t") == ends[0]:
                ends.pop(0)
            continue
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not is_continued:
            keyword = line.split(maxsplit=1)[0].upper()
            if keyword == "FROM":
                found = _FROM.fullmatch(line.strip())
                stage = found[1] if found else None
            yield Instruction(keyword, number, stage)
        is_continued = bool(_CONTINUED.search(line))
        if not is_continued:
            ends = [delimiter for _, delimiter in _HEREDOC.findall(line)]
