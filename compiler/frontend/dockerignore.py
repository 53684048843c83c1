"""The text of a .dockerignore file → which paths of the project are left out of the build context.

Comes in: the file's text. Goes out: a `Dockerignore` that answers for one path at a time. Behaves as BuildKit
does, oddities included, because the image holds what BuildKit sends and not what a pattern seems to say:

- A pattern that matches a directory covers all below it. The last pattern that covers a path decides.
- An exception (`!`) counts only where the path is excluded when its turn comes. So `dir/x` followed by `!dir`
  leaves `dir/x` out: at `dir` there is nothing to take back, and `!dir` does not match `dir/x` itself.
- `**` in the middle of a pattern stands for nothing or for any text that ends in `/`; at the end for any text;
  at the start of a pattern without other wildcards the rest is compared with the end of the path.

Sources: https://docs.docker.com/build/concepts/context/#dockerignore-files, and the behaviour of
https://github.com/moby/patternmatcher (`MatchesUsingParentResults`) and https://github.com/tonistiigi/fsutil.
Left out: POSIX classes such as `[[:alpha:]]`, and wildcards inside `[…]`, which are taken as characters.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from typing import Literal, NamedTuple, TypeAlias

from ..diagnostics import Diagnostic, report
from ..record import record
from ..source import Span

__all__ = ["Dockerignore"]

_Matches: TypeAlias = Callable[[str], bool]

# What BuildKit's line reader can hold.
_MAX_PATTERN_CHARACTERS = 64 * 1024
# A bound for the memory that remembered directories may take; a walk needs only those above where it is.
_MAX_REMEMBERED = 4_096


class _Token(NamedTuple):
    """One part of a pattern. `text` is the character, or the regular expression of a class."""

    kind: Literal["literal", "one", "star", "class", "directories", "rest"]
    text: str = ""


_WILDCARDS = {"*": _Token("star"), "?": _Token("one")}


@record(kw_only=False)
class _Pattern:
    """`is_exception` says that the line starts with `!`. `segments` are for `may_reinclude_below`.

    `segments` matches one path part each; it ends before the first part that may match several parts, and
    `is_open` says that there is such a part.
    """

    text: str
    is_exception: bool
    matches: _Matches = field(repr=False, compare=False)
    segments: tuple[_Matches, ...] = field(default=(), repr=False, compare=False)
    is_open: bool = field(default=False, repr=False, compare=False)


@record(kw_only=False)
class Dockerignore:
    """The patterns of a .dockerignore file, in order. `Dockerignore()` excludes nothing.

    Paths are relative to the project root, with forward slashes and no leading `./`.
    """

    patterns: tuple[_Pattern, ...] = ()
    # Which patterns cover a directory: only remembered, never anything that could change an answer.
    _states: dict[str, tuple[bool, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, name: str = ".dockerignore") -> tuple[Dockerignore, tuple[Diagnostic, ...]]:
        """Read the text of a .dockerignore file; patterns that are not valid are reported and skipped.

        Errors: COG312 (a warning), although BuildKit refuses to build with such a pattern.
        """
        patterns: list[_Pattern] = []
        diagnostics: list[Diagnostic] = []
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            written = line.strip()
            # As in Docker, a comment starts in the first column: `  # x` is a pattern.
            if not written or line.startswith("#"):
                continue
            try:
                patterns.append(_pattern(written))
            except ValueError as problem:
                column = len(line) - len(line.lstrip()) + 1
                span = Span(name, number, column, number, column + len(written))
                shown = written if len(written) <= 80 else f"{written[:79]}…"
                diagnostics.append(report("COG312", f"pattern `{shown}` is ignored: {problem}", span))
        return cls(tuple(patterns)), tuple(diagnostics)

    @classmethod
    def of_lines(cls, lines: Iterable[str]) -> Dockerignore:
        """Patterns that are no lines of a text: any character may be in them. Invalid ones are skipped."""
        patterns: list[_Pattern] = []
        for line in lines:
            with contextlib.suppress(ValueError):
                patterns.append(_pattern(line.strip()))
        return cls(tuple(patterns))

    @property
    def lines(self) -> tuple[str, ...]:
        """The patterns as lines of a file that means the same, paths cleaned and comments left out."""
        return tuple(f"!{pattern.text}" if pattern.is_exception else pattern.text for pattern in self.patterns)

    def excludes(self, path: str) -> bool:
        """Whether `path` is left out of the build context. The root itself never is."""
        return _verdict(self.patterns, self._covering(path)) if path and path != "." else False

    def below(self, directory: str) -> Dockerignore:
        """The patterns that decide about paths below `directory`, for a look at many of them: the answers are the same.

        A pattern without `**` matches as many parts as it has; a class and an escape may hide a slash.
        """
        covering = self._covering(directory)
        parts = directory.count("/") + 1
        kept = [
            index
            for index, pattern in enumerate(self.patterns)
            if covering[index] or pattern.text.count("/") >= parts or _may_hide_slashes(pattern.text)
        ]
        reduced = Dockerignore(tuple(self.patterns[index] for index in kept))
        reduced._remember(directory, tuple(covering[index] for index in kept))
        return reduced

    def may_reinclude_below(self, path: str) -> bool:
        """Whether something below the excluded directory `path` may be part of the context all the same.

        False means that a walk need not enter the directory; True is only a possibility.
        """
        covering = self._covering(path)
        # An exception before the pattern that excludes the directory is overruled below it as well.
        decisive = max((index for index, is_covered in enumerate(covering) if is_covered), default=-1)
        parts = path.split("/")
        later = self.patterns[decisive + 1 :]
        return any(pattern.is_exception and _may_match_below(pattern, parts) for pattern in later)

    def _covering(self, path: str) -> tuple[bool, ...]:
        """For each pattern, whether it matches `path` or counted for a directory above it."""
        known = self._states.get(path.rpartition("/")[0])
        if known is not None:
            return _state(self.patterns, path, known)
        above = [path]
        while above[-1] not in self._states and "/" in above[-1]:
            above.append(above[-1].rpartition("/")[0])
        state = self._states.get(above[-1])
        if state is None:
            state = _state(self.patterns, above[-1], (False,) * len(self.patterns))
        for below in reversed(above[:-1]):
            # Only directories are worth remembering, and only here is it certain that `below`'s parent is one.
            self._remember(below.rpartition("/")[0], state)
            state = _state(self.patterns, below, state)
        return state

    def _remember(self, directory: str, state: tuple[bool, ...]) -> None:
        if len(self._states) >= _MAX_REMEMBERED:
            self._states.clear()
        self._states[directory] = state


def _state(patterns: tuple[_Pattern, ...], path: str, above: tuple[bool, ...]) -> tuple[bool, ...]:
    is_excluded = False
    state: list[bool] = []
    for pattern, is_covered in zip(patterns, above, strict=True):
        # A pattern whose verdict would change nothing is not even tried; below, that makes a difference.
        if not is_covered and pattern.is_exception == is_excluded:
            is_covered = pattern.matches(path)
        if is_covered:
            is_excluded = not pattern.is_exception
        state.append(is_covered)
    return tuple(state)


def _verdict(patterns: tuple[_Pattern, ...], state: tuple[bool, ...]) -> bool:
    deciding = next((index for index in range(len(state) - 1, -1, -1) if state[index]), None)
    return deciding is not None and not patterns[deciding].is_exception


def _may_hide_slashes(text: str) -> bool:
    return "**" in text or "[" in text or "\\" in text


def _may_match_below(pattern: _Pattern, parts: list[str]) -> bool:
    pairs = zip(pattern.segments, parts, strict=False)
    return (pattern.is_open or len(pattern.segments) > len(parts)) and all(match(part) for match, part in pairs)


def _pattern(written: str) -> _Pattern:
    """Read one line, without white space at its ends. Errors: `ValueError` whose text is a phrase."""
    if len(written) > _MAX_PATTERN_CHARACTERS:
        raise ValueError("it is too long")
    is_exception = written.startswith("!")
    cleaned = _cleaned(written.removeprefix("!").strip())
    if is_exception and cleaned in ("", "/"):
        raise ValueError("nothing follows the `!`")
    tokens = tuple(_tokens(cleaned))
    matches = _matcher(tokens, cleaned)
    if not is_exception:
        return _Pattern(cleaned, False, matches)
    segments, is_open = _segments(tokens)
    return _Pattern(cleaned, True, matches, segments, is_open)


def _cleaned(pattern: str) -> str:
    """Resolve `.`, `..` and repeated slashes, and drop those at the ends: `/a//./b/` → `a/b`."""
    if not pattern:
        return ""
    # Python keeps two leading slashes, as POSIX allows; Go does not.
    rooted = "/" + pattern.lstrip("/") if pattern.startswith("/") else pattern
    cleaned = posixpath.normpath(rooted)
    return cleaned[1:] if len(cleaned) > 1 and cleaned.startswith("/") else cleaned


def _tokens(pattern: str) -> Iterator[_Token]:
    """Cut a cleaned pattern into tokens.

        token = "**" ["/"] | "*" | "?" | "[" ["^"] range… "]" | "\\" character | character

    Errors: `ValueError`.
    """
    position = 0
    while position < len(pattern):
        character = pattern[position]
        if pattern.startswith("**", position):
            position += 3 if pattern.startswith("/", position + 2) else 2
            yield _Token("rest" if position >= len(pattern) else "directories")
        elif character == "[":
            expression, position = _class(pattern, position)
            yield _Token("class", expression)
        elif character == "\\":
            character, position = _escaped(pattern, position)
            yield _Token("literal", character)
        else:
            position += 1
            yield _WILDCARDS.get(character) or _Token("literal", character)


def _escaped(pattern: str, position: int) -> tuple[str, int]:
    """The character after the backslash at `position`, and where to go on."""
    character = pattern[position + 1 : position + 2]
    if not character:
        raise ValueError("a `\\` is its last character")
    if character.isascii() and character.isalnum():
        # BuildKit hands this to its regular expressions, where `\d` is any digit: never what is meant.
        raise ValueError(f"`\\{character}` has no meaning; directories are separated by `/`")
    return character, position + 2


def _class(pattern: str, position: int) -> tuple[str, int]:
    """The regular expression of the class that starts at `position`, and where to go on.

    As in Go, `^` negates and `!` does not, and neither `]` nor `-` may stand for itself without a backslash.
    """
    position += 1
    is_negated = pattern.startswith("^", position)
    position += is_negated
    ranges: list[str] = []
    while not (ranges and pattern.startswith("]", position)):
        low, position = _class_character(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _class_character(pattern, position + 1)
        if high < low:
            raise ValueError(f"the range `{low}-{high}` runs backwards")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if high != low else re.escape(low))
    return f"[{'^' if is_negated else ''}{''.join(ranges)}]", position + 1


def _class_character(pattern: str, position: int) -> tuple[str, int]:
    character = pattern[position : position + 1]
    if character == "\\":
        return _escaped(pattern, position)
    if not character:
        raise ValueError("a `[` is not closed")
    if character in "-]":
        raise ValueError(f"`{character}` inside `[…]` needs a backslash")
    return character, position + 1


def _matcher(tokens: tuple[_Token, ...], cleaned: str) -> _Matches:
    kinds = {token.kind for token in tokens}
    if kinds == {"literal"} and "\\" not in cleaned:
        return cleaned.__eq__
    if cleaned.startswith("**") and kinds <= {"literal", "directories", "rest"} and "**" not in cleaned[2:]:
        return _ending_matcher(cleaned[2:]) if "\\" not in cleaned else _expression(tokens)
    return _automaton(tokens) if _is_hard(tokens) else _expression(tokens)


def _ending_matcher(ending: str) -> _Matches:
    """`**x`: the path ends in `x`, even inside a name; `**/x` also matches `x` itself."""
    whole = ending[1:] if ending.startswith("/") else None
    return lambda path: path.endswith(ending) or path == whole


def _is_hard(tokens: tuple[_Token, ...]) -> bool:
    """Whether the regular expression of `_expression` would be wrong or could take long.

    It relies on `/` being matched by nothing but itself and `**`, and on each `**` standing between slashes.
    """
    for index, token in enumerate(tokens):
        if token.kind == "class" and re.fullmatch(token.text, "/"):
            return True
        before = tokens[index - 1] if index else _Token("directories")
        if token.kind == "directories" and before.kind != "directories" and before != _Token("literal", "/"):
            return True
    return False


def _expression(tokens: tuple[_Token, ...]) -> _Matches:
    """A regular expression that takes linear time: what stands between `**` is matched once, as early as can be."""
    groups: list[list[_Token]] = [[]]
    for token in tokens:
        if token.kind == "directories":
            groups.append([])
        else:
            groups[-1].append(token)
    first, *others = [_group_expression(group) for group in groups]
    *middle, last = others or [""]
    steps = "".join(f"(?>(?:.*?/)??{group})" for group in middle)
    tail = f"(?:.*/)?{last}" if others else ""
    return _fullmatch(re.compile(f"(?>{first}){steps}{tail}" if others else first))


def _group_expression(tokens: list[_Token]) -> str:
    """The expression of tokens without `directories`. A star takes as little as it can, and never gives back."""
    parts: list[str] = []
    pieces: list[str] = []
    has_star = False

    def close(is_last_of_segment: bool) -> None:
        # The last star of a segment must reach its end, so the early match of what follows is not enough.
        nonlocal has_star
        piece = "".join(pieces)
        pieces.clear()
        if has_star:
            parts.append(f"[^/]*{piece}" if is_last_of_segment else f"(?>[^/]*?{piece})")
        else:
            parts.append(piece)
        has_star = False

    for token in tokens:
        if token.kind == "star":
            close(False)
            has_star = True
        elif token == _Token("literal", "/"):
            close(True)
            parts.append("/")
        elif token.kind == "rest":
            close(True)
            parts.append(".*")
        else:
            pieces.append(_single(token))
    close(True)
    return "".join(parts)


def _single(token: _Token) -> str:
    """The expression of a token that matches one character."""
    return {"one": "[^/]", "class": token.text}.get(token.kind) or re.escape(token.text)


def _fullmatch(expression: re.Pattern[str]) -> _Matches:
    match = expression.fullmatch
    return lambda path: match(path) is not None


def _automaton(tokens: tuple[_Token, ...]) -> _Matches:
    """Try all ways at once, character by character: slow, but linear whatever the pattern is.

    State `2 * i` stands before token `i`; state `2 * i + 1` is inside its `**`, which must end with a slash.
    """
    singles = [
        re.compile(_single(token)).fullmatch if token.kind in ("literal", "one", "class") else None for token in tokens
    ]

    def matches(path: str) -> bool:
        states = _closure({0}, tokens)
        for character in path:
            following: set[int] = set()
            for state in states:
                index = state // 2
                if index == len(tokens):
                    continue
                kind, single = tokens[index].kind, singles[index]
                if single is not None:
                    following.update({state + 2} if single(character) else ())
                elif kind == "star":
                    following.update({state} if character != "/" else ())
                elif character != "\n":
                    following.add(2 * index + 1 if kind == "directories" else state)
                    following.update({2 * index + 2} if kind == "directories" and character == "/" else ())
            states = _closure(following, tokens)
        return 2 * len(tokens) in states

    return matches


def _closure(states: set[int], tokens: tuple[_Token, ...]) -> set[int]:
    """Add the states that are reached without a character: those after tokens that may match nothing."""
    found = set(states)
    waiting = list(states)
    while waiting:
        index, is_inside = divmod(waiting.pop(), 2)
        if not is_inside and index < len(tokens) and tokens[index].kind in ("star", "directories", "rest"):
            after = 2 * index + 2
            if after not in found:
                found.add(after)
                waiting.append(after)
    return found


def _segments(tokens: tuple[_Token, ...]) -> tuple[tuple[_Matches, ...], bool]:
    """A matcher for each path part, up to the first one that may match several parts; and whether there is one."""
    segments: list[_Matches] = []
    part: list[_Token] = []
    for token in (*tokens, _Token("literal", "/")):
        may_cross = token.kind in ("directories", "rest") or (
            token.kind == "class" and re.fullmatch(token.text, "/") is not None
        )
        if may_cross:
            return tuple(segments), True
        if token == _Token("literal", "/"):
            segments.append(_expression(tuple(part)))
            part = []
        else:
            part.append(token)
    return tuple(segments), False
