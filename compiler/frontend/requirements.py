"""Requirements files and `python_packages` items → `Requirement` values.

Comes in: the text of a requirements file or of one item, and the project's files. Goes out: one value for each
logical line that matters to the build, and diagnostics. Nothing is resolved here: versions, indexes and CUDA
builds are chosen later. What pip accepts is accepted; what neither pip nor we understand is passed on with a
warning, so that the installer has the last word.

Grammar of a logical line, in the order in which it is tried:

    line        = directive | body [options] | options
    directive   = ("-r" | "-c" | "-e") value        in their long spellings too
    body        = name [extras] "@" url [";" marker]      direct reference
                | url ["; " marker]                       http(s), ftp, or VCS such as git+https
                | path                                    ends in .whl, .zip, .tar.gz, …
                | name [extras] [specifiers] [";" marker]

Sources: https://pip.pypa.io/en/stable/reference/requirements-file-format/ and
https://packaging.python.org/en/latest/specifications/dependency-specifiers/
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from packaging.markers import Marker
from packaging.requirements import Requirement as PackagingRequirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from ..diagnostics import Diagnostic, Note, report
from ..ir.requirement import Requirement, RequirementKind, path_of_url
from ..record import record
from ..source import Span
from .files import FileProblem, Files
from .requirement_lines import LogicalLine, decode_requirements, forbidden_character, item_lines, logical_lines
from .requirement_options import (
    DIRECTIVES,
    PER_REQUIREMENT_OPTIONS,
    LineOption,
    option_text,
    parse_options,
    quoted,
    split_options,
)

__all__ = [
    "ARTIFACT_DIRECTORY",
    "MANAGED_PACKAGES",
    "PER_REQUIREMENT_OPTIONS",
    "decode_requirements",
    "needs_git",
    "parse_requirement_line",
    "parse_requirements",
    "read_requirements",
]

ARTIFACT_DIRECTORY: Final = "/tmp/local_package_artifacts"
"""Where local wheels and archives stand in the image, below it their paths relative to the project root."""

MANAGED_PACKAGES: Final = frozenset({"cog", "coglet"})
"""Packages, by PEP 503 name, that the build installs itself."""

# Far above what real projects have; they only keep hostile input from taking all memory or time.
_MAX_FILE_BYTES: Final = 5 * 1024 * 1024
_MAX_FILE_LINES: Final = 50_000
_MAX_DEPTH: Final = 50
_MAX_FILES: Final = 1_000
_MAX_LINE_CHARACTERS: Final = 256 * 1024  # a line with hundreds of hashes is 30 KB
_MAX_BODY_CHARACTERS: Final = 4_000
_MAX_PARENTHESES: Final = 50  # packaging reads nested markers recursively

_ARTIFACT_SUFFIXES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_MEANT_INSTEAD = {"pytorch": "torch", "sklearn": "scikit-learn"}

_VCS_SCHEME = re.compile(r"(?:git|hg|svn|bzr)\+[a-z]+:", re.IGNORECASE)
_WEB_SCHEME = re.compile(r"(?:https?|ftp)://", re.IGNORECASE)
_FILE_SCHEME = re.compile(r"(?:(?:git|hg|svn|bzr)\+)?file:", re.IGNORECASE)
_ANY_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Possessive, so that a hostile line takes linear time.
_DIRECT_REFERENCE = re.compile(r"([a-z0-9][a-z0-9._-]*+)\s*+(?:\[[^\]]*+\]\s*+)?+@\s*+(\S.*)", re.IGNORECASE)
_EGG = re.compile(r"[#&]egg=([a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)(?:\[([^\]]*)\])?", re.IGNORECASE)
# `git@host:path` is for the git command only; neither pip nor we can tell its parts.
_SCP_ADDRESS = re.compile(r"(?:(?:git|hg|svn|bzr)\+)?(?:[\w.-]+@)?[\w-]+\.[\w.-]+:(?!/)", re.IGNORECASE)
_SINGLE_EQUALS = re.compile(r"[\w.\-\[\], ]+=[^=]")

_Result = tuple[Requirement | None, tuple[Diagnostic, ...]]


@record(kw_only=False)
class _Scope:
    """Where a line stands: `directory` is what its local paths are relative to."""

    files: Files
    directory: str
    is_constraint: bool = False


@record(kw_only=False)
class _Statement:
    """A logical line cut into the part before its options, and the options."""

    line: LogicalLine
    body: str
    options: tuple[LineOption, ...]
    options_start: int

    def value_span(self, option: LineOption) -> Span:
        return self.line.span_of(option.value or option.spelling, self.options_start)

    def directive(self) -> LineOption | None:
        """The option that makes this a `-e`, `-r` or `-c` line; pip reads the first in that order."""
        found = [option for name in DIRECTIVES for option in self.options if option.name == name]
        return found[0] if found and not self.body else None


def parse_requirements(
    name: str, text: str, files: Files, *, is_constraint: bool = False
) -> tuple[tuple[Requirement, ...], tuple[Diagnostic, ...]]:
    """Read a requirements file whose text is at hand, and the local files that it includes.

    `name` is the file's path relative to the project root. The requirements come in the order of the lines,
    those of an included file in place of the line that includes it; a file included twice counts once.

    Errors: COG200 and COG201 for included files; COG202 to COG205, COG207 to COG209 and COG212 for lines.
    """
    reader = _Reader(files)
    path = posixpath.normpath(name)
    reader.read_text(path, text, is_constraint, (path,), Span.of_file(name), shown_as=name)
    return tuple(reader.requirements), tuple(reader.diagnostics)


def read_requirements(
    path: str, files: Files, named_at: Span, *, is_constraint: bool = False
) -> tuple[tuple[Requirement, ...], tuple[Diagnostic, ...]]:
    """`parse_requirements` for a file still to be read. `named_at` is where the user names it.

    Errors: those of `parse_requirements`, and COG200 at `named_at` where the file itself cannot be read.
    """
    reader = _Reader(files)
    reader.read_file(posixpath.normpath(path), is_constraint, (), named_at)
    return tuple(reader.requirements), tuple(reader.diagnostics)


def parse_requirement_line(text: str, origin: Span, files: Files, *, directory: str = "") -> _Result:
    """Read one item of `python_packages`: a line as in a requirements file, not only a PEP 508 requirement.

    `origin` is the place of the item. Options for the whole list, such as `--extra-index-url`, may stand on
    the line; they are in `options` of the value but not in its `text`. Local paths are relative to
    `directory`, itself relative to the project root. The value is None for an empty line and for one that is
    dropped or in error.

    Errors: COG202 to COG205, COG207 to COG210.
    """
    lines = item_lines(text, origin)
    if forbidden_character(text) is not None or len(lines) > 1:
        fault = "is more than one line" if len(lines) > 1 else "holds a character that no file can hold"
        message = f"an item of `python_packages` {fault}"
        return None, (report("COG210", message, origin, hint="make each requirement an item of its own"),)
    if not lines:
        return None, ()
    scope = _Scope(files, directory)
    statement = _statement(lines[0])
    if isinstance(statement, str):
        return _opaque(lines[0], scope, statement)
    directive = statement.directive()
    if directive is not None and directive.name != "--editable":
        return None, (_refused_include(statement, directive),)
    return _parse_statement(statement, scope)


def needs_git(requirements: Iterable[Requirement]) -> Requirement | None:
    """The first requirement that git must fetch, or None."""
    return next((item for item in requirements if item.url is not None and item.url.lower().startswith("git+")), None)


@dataclass(slots=True, repr=False, eq=False)
class _Reader:
    """Reads files that include each other and gathers what they hold."""

    files: Files
    requirements: list[Requirement] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    seen: set[tuple[str, bool]] = field(default_factory=set)

    def read_file(self, path: str, is_constraint: bool, stack: tuple[str, ...], named_at: Span) -> None:
        """Read `path`, which is named at `named_at` in the last file of `stack`."""
        problem = self._limit_problem(path, stack)
        if problem is None:
            try:
                text = self._text(path)
            except FileProblem as caught:
                problem = caught.reason
            else:
                self.read_text(path, text, is_constraint, (*stack, path), named_at, shown_as=path)
                return
        kind = "constraints" if is_constraint else "requirements"
        self.diagnostics.append(report("COG200", f"{kind} file `{path}` {problem}", named_at))

    def read_text(
        self, path: str, text: str, is_constraint: bool, stack: tuple[str, ...], named_at: Span, *, shown_as: str
    ) -> None:
        if (path, is_constraint) in self.seen:
            return
        self.seen.add((path, is_constraint))
        problem = _size_problem(text)
        if problem is not None:
            self.diagnostics.append(report("COG200", f"`{shown_as}` {problem}", named_at))
            return
        scope = _Scope(self.files, posixpath.dirname(path), is_constraint)
        for line in logical_lines(shown_as, text):
            self._read_line(line, scope, stack)

    def _read_line(self, line: LogicalLine, scope: _Scope, stack: tuple[str, ...]) -> None:
        forbidden = forbidden_character(line.text)
        if forbidden is not None:
            message = f"`{line.file}` holds a NUL character or half a character; it may be in another encoding"
            self.diagnostics.append(report("COG200", message, line.span(forbidden, forbidden + 1)))
            return
        statement = _statement(line)
        directive = None if isinstance(statement, str) else statement.directive()
        if isinstance(statement, str):
            requirement, found = _opaque(line, scope, statement)
        elif directive is not None and directive.name != "--editable":
            self._include(statement, directive, scope, stack)
            return
        else:
            requirement, found = _parse_statement(statement, scope)
        self.diagnostics.extend(found)
        if requirement is not None:
            self.requirements.append(requirement)

    def _include(self, statement: _Statement, directive: LineOption, scope: _Scope, stack: tuple[str, ...]) -> None:
        self.diagnostics.extend(_ignored_options(statement, directive))
        span = statement.value_span(directive)
        if _ANY_SCHEME.match(directive.value) or _FILE_SCHEME.match(directive.value):
            self.diagnostics.append(_refused_include(statement, directive))
            return
        path = posixpath.normpath(posixpath.join(scope.directory, directive.value))
        if path in stack:
            chain = " → ".join((*stack[stack.index(path) :], path))
            self.diagnostics.append(report("COG201", f"requirements files include each other: {chain}", span))
            return
        self.read_file(path, directive.name == "--constraint", stack, span)

    def _limit_problem(self, path: str, stack: tuple[str, ...]) -> str | None:
        if len(stack) > _MAX_DEPTH:
            return f"is included more than {_MAX_DEPTH} levels deep"
        if len(self.seen) >= _MAX_FILES:
            return f"is one of more than {_MAX_FILES} requirements files"
        if forbidden_character(path) is not None:
            return "has a name that no file can have"
        if _leaves_root(path) or self.files.kind(path) == "outside":
            return "must be inside the project directory"
        return None

    def _text(self, path: str) -> str:
        raw = self.files.read(path)
        if len(raw) > _MAX_FILE_BYTES:
            raise FileProblem(path, f"is larger than {_MAX_FILE_BYTES // 1024**2} MiB")
        try:
            return decode_requirements(raw)
        except UnicodeDecodeError as problem:
            raise FileProblem(path, problem.reason) from None


def _size_problem(text: str) -> str | None:
    if len(text) > _MAX_FILE_BYTES:
        return f"is larger than {_MAX_FILE_BYTES // 1024**2} MiB"
    if text.count("\n") >= _MAX_FILE_LINES and len(text.split("\n")) - text.endswith("\n") > _MAX_FILE_LINES:
        return f"has more than {_MAX_FILE_LINES} lines"
    return None


def _statement(line: LogicalLine) -> _Statement | str:
    """Cut the line into body and options; a phrase that says why where that is not possible."""
    if len(line.text) > _MAX_LINE_CHARACTERS:
        return "the line is too long"
    body, options_start = split_options(line.text)
    if len(body) > _MAX_BODY_CHARACTERS:
        return "the line is too long"
    try:
        options = parse_options(line.text[options_start:])
    except ValueError as problem:
        return str(problem)
    return _Statement(line, body, options, options_start)


def _parse_statement(statement: _Statement, scope: _Scope) -> _Result:
    """Read a line that includes no other file."""
    local = _local_links(statement)
    if local:
        return None, local
    directive = statement.directive()
    ignored = _ignored_options(statement, directive)
    if directive is not None:
        requirement, found = _editable(statement, directive, scope)
    elif statement.body:
        requirement, found = _body(statement, scope)
    else:
        requirement, found = _made(statement, kind="option", text=statement.line.text), ()
    if requirement is not None and requirement.name in MANAGED_PACKAGES:
        return None, (*ignored, _managed(statement, requirement.name))
    if requirement is not None and scope.is_constraint and requirement.kind != "option":
        requirement = replace(requirement, kind="constraint")
    return requirement, (*ignored, *found)


def _made(
    statement: _Statement,
    *,
    kind: RequirementKind,
    text: str,
    name: str | None = None,
    extras: Iterable[str] = (),
    specifier: str = "",
    marker: str | None = None,
    url: str | None = None,
    path: str | None = None,
) -> Requirement:
    """A requirement with what all kinds share: its place, its options, and those that stay beside it."""
    options = tuple((option.name, option.value) for option in statement.options if option.name not in DIRECTIVES)
    beside = option_text(pair for pair in options if pair[0] in PER_REQUIREMENT_OPTIONS)
    return Requirement(
        text=f"{text} {beside}" if beside and kind != "option" else text,
        kind=kind,
        name=name,
        extras=tuple(sorted(extras)),
        specifier=specifier,
        marker=marker,
        url=url,
        path=path,
        options=options,
        origin=statement.line.span(),
    )


def _opaque(line: LogicalLine, scope: _Scope, reason: str, hint: str | None = None) -> _Result:
    message = f"`{_shortened(line.text)}` is not a requirement that can be understood; it is passed on as it is"
    notes = (Note(message=reason),) if reason else ()
    kind: RequirementKind = "constraint" if scope.is_constraint else "opaque"
    # A backslash left at the end would join the next line of the written file to this one.
    text = line.text.rstrip("\\ \t\f")
    requirement = Requirement(text=text, kind=kind, origin=line.span()) if text else None
    return requirement, (report("COG204", message, line.span(), notes=notes, hint=hint),)


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


def _managed(statement: _Statement, name: str) -> Diagnostic:
    message = f"`{name}` is dropped: the build installs the runtime that is bundled with cogc"
    return report("COG202", message, statement.line.span(), hint="remove the line")


def _refused(statement: _Statement, message: str, *, at: str | None = None, hint: str | None = None) -> _Result:
    span = statement.line.span() if at is None else statement.line.span_of(at)
    return None, (report("COG203", message, span, hint=hint),)


def _ignored_options(statement: _Statement, directive: LineOption | None) -> tuple[Diagnostic, ...]:
    """Warnings for a second `-r`, `-c` or `-e` of a line, and for one beside a requirement, as pip ignores them."""
    return tuple(
        report("COG204", f"`{option.spelling} {option.value}` is ignored: it needs a line of its own", span)
        for option in statement.options
        if option.name in DIRECTIVES and option is not directive
        for span in (statement.value_span(option),)
    )


def _refused_include(statement: _Statement, directive: LineOption) -> Diagnostic:
    """Why a `-r` or `-c` line cannot be followed: it is in `python_packages`, or it names no file of the project."""
    span = statement.value_span(directive)
    if _FILE_SCHEME.match(directive.value):
        return report("COG203", "local file URL requirements are not supported", span)
    if _ANY_SCHEME.match(directive.value):
        message = f"`{directive.spelling}` cannot name a remote file: the build would change without a change here"
        return report("COG207", message, span, hint="copy the file into the project")
    message = f'local requirements option "{directive.spelling}" is not supported'
    return report("COG203", message, span, hint="use `build.python_requirements`")


def _local_links(statement: _Statement) -> tuple[Diagnostic, ...]:
    """Errors for `--find-links` with a local directory, which the image does not have."""
    # For a local artifact the message about its options says more.
    if _is_artifact_name(statement.body):
        return ()
    return tuple(
        report(
            "COG203",
            f'local requirements option "{option.spelling}" is not supported',
            statement.value_span(option),
            hint="name the wheels one by one",
        )
        for option in statement.options
        if option.name == "--find-links" and not _is_remote(option.value)
    )


def _is_remote(value: str) -> bool:
    """Whether an option's value is a URL, or may become one once pip has filled in `${NAME}`."""
    return value.startswith("${") or (bool(_ANY_SCHEME.match(value)) and not _FILE_SCHEME.match(value))


def _editable(statement: _Statement, directive: LineOption, scope: _Scope) -> _Result:
    value = directive.value
    if posixpath.normpath(value) == ".":
        message = "`-e .` is dropped: the project is in the image as /src"
        return None, (report("COG208", message, statement.line.span()),)
    reference = _DIRECT_REFERENCE.fullmatch(value)
    url = reference[2] if reference else value
    if _FILE_SCHEME.match(url):
        return _refused(statement, "local file URL requirements are not supported", at=url)
    if _VCS_SCHEME.match(url):
        url, marker = _without_marker(url)
        name, extras = _egg(url)
        name = canonicalize_name(reference[1]) if reference else name
        made = _made(
            statement, kind="editable", text=f"-e {quoted(value)}", name=name, extras=extras, marker=marker, url=url
        )
        return made, _git_url(statement, url)
    if _ANY_SCHEME.match(url):
        return _opaque(statement.line, scope, "`-e` needs a directory or a VCS URL such as `git+https://…`")
    message = f"editable requirement `{_shortened(value)}` is not supported: the project is copied after the install"
    return _refused(statement, message, at=value, hint="name a wheel or a VCS URL")


def _body(statement: _Statement, scope: _Scope) -> _Result:
    """Read the part of a line before its options; see the grammar at the top."""
    body = statement.body
    reference = _DIRECT_REFERENCE.fullmatch(body)
    if _SCP_ADDRESS.match(reference[2] if reference else body):
        return _opaque(statement.line, scope, "this is no URL", "write `git+ssh://git@host/path`")
    if reference and not _is_existing_artifact(body, scope):
        return _direct_reference(statement, scope, reference[2])
    if _FILE_SCHEME.match(body):
        return _refused(statement, "local file URL requirements are not supported", at=body)
    if _VCS_SCHEME.match(body) or _WEB_SCHEME.match(body):
        return _bare_url(statement, scope)
    if _ANY_SCHEME.match(body):
        hint = f"write `git+{body}`" if body.lower().startswith(("git://", "ssh://")) else None
        return _opaque(statement.line, scope, "pip does not know the scheme of the URL", hint)
    if _looks_local(body, scope):
        return _local(statement, scope)
    return _package(statement, scope)


def _direct_reference(statement: _Statement, scope: _Scope, url: str) -> _Result:
    if _FILE_SCHEME.match(url):
        return _refused(statement, "local file URL requirements are not supported", at=url)
    if not (_ANY_SCHEME.match(url) or url.startswith("${")):
        message = f"local direct reference requirements are not supported: `{_shortened(statement.body)}`"
        return _refused(statement, message, at=url, hint="write only the path")
    parsed = _parsed(statement.body)
    if isinstance(parsed, str) or parsed.url is None:
        return _opaque(statement.line, scope, parsed if isinstance(parsed, str) else "")
    if not (_VCS_SCHEME.match(url) or _WEB_SCHEME.match(url) or url.startswith("${")):
        return _opaque(statement.line, scope, "pip does not know the scheme of the URL")
    requirement = _made(
        statement,
        kind="vcs" if _VCS_SCHEME.match(url) else "url",
        text=statement.body,
        name=canonicalize_name(parsed.name),
        extras=parsed.extras,
        marker=str(parsed.marker) if parsed.marker else None,
        url=parsed.url,
    )
    return requirement, _git_url(statement, parsed.url)


def _bare_url(statement: _Statement, scope: _Scope) -> _Result:
    url, marker = _without_marker(statement.body)
    if marker is not None:
        normalised = _parsed_marker(marker)
        if normalised is None:
            return _opaque(statement.line, scope, f"`{_shortened(marker)}` is not an environment marker")
        marker = normalised
    if any(character.isspace() for character in url):
        return _opaque(statement.line, scope, "a URL cannot hold white space")
    is_vcs = bool(_VCS_SCHEME.match(url))
    name, extras = _egg(url)
    requirement = _made(
        statement,
        kind="vcs" if is_vcs else "url",
        text=statement.body,
        name=name or (None if is_vcs else _wheel_name(path_of_url(url))),
        extras=extras,
        marker=marker,
        url=url,
    )
    return requirement, _git_url(statement, url)


def _without_marker(url: str) -> tuple[str, str | None]:
    """Cut `url ; marker`. A `;` without white space after it belongs to the URL."""
    url, separator, marker = url.partition("; ")
    return url.rstrip(), marker.strip() if separator else None


def _egg(url: str) -> tuple[str | None, tuple[str, ...]]:
    """Name and extras from the fragment `#egg=name[extra]` of a URL."""
    found = _EGG.search(url)
    if not found:
        return None, ()
    extras = tuple(extra.strip() for extra in (found[2] or "").split(",") if extra.strip())
    return canonicalize_name(found[1]), extras


def _wheel_name(path: str) -> str | None:
    """The package that a wheel holds, from its file name; archives do not tell theirs reliably."""
    if not path.lower().endswith(".whl"):
        return None
    try:
        return parse_wheel_filename(posixpath.basename(path))[0]
    except ValueError:
        return None


def _git_url(statement: _Statement, url: str) -> tuple[Diagnostic, ...]:
    """Warnings: COG209, COG212."""
    found: list[Diagnostic] = []
    scheme = "git+git://"
    if url.lower().startswith(scheme):
        span = statement.line.span_of(url[: len(scheme)])
        message = "the git:// protocol is not encrypted, and most hosts no longer serve it"
        found.append(report("COG209", message, span, hint="use `git+https://`"))
    # Letters and digits: a name of so few of these is hardly that of a branch or a tag.
    commit = re.search(r"@(?=[a-f]*\d)(?=\d*[a-f])([0-9a-f]{1,5})(?:#|$)", url)
    if url.startswith("git+") and commit:
        message = f"`{commit[1]}` is too short for a commit: a shortened hash has at least six characters"
        found.append(report("COG212", message, statement.line.span_of(commit[0].rstrip("#")), hint="write more of it"))
    return tuple(found)


def _is_artifact_name(text: str) -> bool:
    return text.lower().endswith(_ARTIFACT_SUFFIXES) and not _ANY_SCHEME.match(text)


def _is_existing_artifact(text: str, scope: _Scope) -> bool:
    path = posixpath.normpath(posixpath.join(scope.directory, text))
    return _is_artifact_name(text) and not _leaves_root(path) and scope.files.kind(path) == "file"


def _looks_local(body: str, scope: _Scope) -> bool:
    """Whether a body means a path. As in pip, a name without `/` is one only if it looks like an archive."""
    path = _artifact_part(body)
    if path is None:
        return body.startswith(".") or "/" in body.partition(";")[0]
    is_plain = "/" in path or path.startswith(".") or not any(operator in path for operator in "<>=!~")
    return is_plain or _is_existing_artifact(path, scope)


def _artifact_part(body: str) -> str | None:
    """The path in `path`, `path; marker`, `path[extras]` or `path#fragment`, if it is one of an archive."""
    unmarked = body.partition(";")[0].rstrip()
    bare = unmarked.rpartition("[")[0].rstrip()
    candidates = (body, unmarked, bare, body.partition("#")[0])
    return next((candidate for candidate in candidates if _is_artifact_name(candidate)), None)


def _local(statement: _Statement, scope: _Scope) -> _Result:
    """Read a body that means a path: a wheel or archive of the project, or an error."""
    body = statement.body
    path = _artifact_part(body)
    if path is None:
        message = f"`{_shortened(body)}` is not a supported wheel or source archive"
        return _refused(statement, message, at=body, hint=f"supported are {', '.join(_ARTIFACT_SUFFIXES)}")
    rest = body[len(path) :].lstrip()
    if statement.options or rest.startswith("#"):
        return _refused(statement, "local wheels and archives do not support inline options or hashes")
    if ";" in rest:
        return _refused(statement, "environment markers are not supported for local wheels and archives", at=rest)
    if rest:
        return _refused(statement, "extras are not supported for local wheels and archives", at=rest)
    return _artifact(statement, scope, path)


def _artifact(statement: _Statement, scope: _Scope, written: str) -> _Result:
    path = posixpath.normpath(posixpath.join(scope.directory, written))
    kind = "outside" if _leaves_root(path) else scope.files.kind(path)
    if kind == "outside":
        return _refused(statement, f"`{_shortened(written)}` must be inside the project directory", at=written)
    if kind != "file":
        reason = "does not exist" if kind == "missing" else "is not a regular file"
        return _refused(statement, f"local package `{_shortened(path)}` {reason}", at=written)
    if scope.is_constraint:
        return _refused(statement, f"local package `{_shortened(path)}` cannot be a constraint", at=written)
    text = posixpath.join(ARTIFACT_DIRECTORY, path)
    return _made(statement, kind="artifact", text=text, name=_wheel_name(path), path=path), ()


def _leaves_root(path: str) -> bool:
    """Whether a normalised path leaves the project by its spelling alone; links are the files' business."""
    return path == ".." or path.startswith(("/", "../"))


def _package(statement: _Statement, scope: _Scope) -> _Result:
    parsed = _parsed(statement.body)
    if isinstance(parsed, str):
        is_single = _SINGLE_EQUALS.match(statement.body)
        return _opaque(statement.line, scope, parsed, "did you mean `==`?" if is_single else None)
    name = canonicalize_name(parsed.name)
    requirement = _made(
        statement,
        kind="package",
        text=statement.body,
        name=name,
        extras=parsed.extras,
        specifier=str(parsed.specifier),
        marker=str(parsed.marker) if parsed.marker else None,
    )
    meant = _MEANT_INSTEAD.get(name)
    if meant is None or scope.is_constraint:
        return requirement, ()
    span = statement.line.span(0, len(parsed.name))
    message = f"`{parsed.name}` is not the name of the package that is meant; use `{meant}`"
    return requirement, (report("COG205", message, span),)


def _parsed(text: str) -> PackagingRequirement | str:
    """The requirement as packaging reads it, or a phrase that says why it does not."""
    if text.count("(") > _MAX_PARENTHESES:
        return "parentheses are nested too deep"
    try:
        return PackagingRequirement(text)
    except ValueError as problem:  # InvalidRequirement, or an integer of thousands of digits
        # packaging adds a drawing of the place; the first line is the reason.
        return str(problem).partition("\n")[0]


def _parsed_marker(text: str) -> str | None:
    if text.count("(") > _MAX_PARENTHESES:
        return None
    try:
        return str(Marker(text))
    except ValueError:
        return None
