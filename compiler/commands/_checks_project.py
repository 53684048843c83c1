"""Checks of `cogc doctor` that look at the project: its cog.yaml, its Python code, its files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from ..diagnostics import Diagnostic, Edit, Fix, report
from ..frontend.config import Config, Target
from ..frontend.files import FileProblem
from ..ir.nodes import ResolvedBuild
from ..record import record
from ._checkup import Check, Finding, Skipped, findings_of
from ._project import Project

__all__ = ["Examined", "examine", "project_checks"]

_PARSING = r"COG10\d|COG11\d|COG125|COG500"
_DEPRECATED = r"COG126|COG127|COG150"
_TARGETS = r"COG135|COG300|COG313|COG314|COG400|COG401|COG402|COG412"
_ANNOTATIONS = r"COG406|COG407"
_SIGNATURE = r"COG4(?!06|07|00|01|02|12)\d\d"
_PACKAGES = r"COG2\d\d"
_WEIGHTS = r"COG305|COG306"
_FILES = r"COG3(?!00|05|06|13|14)\d\d"
_SCHEMA = r"COG1(?!0\d|1\d|25|26|27|35|50)\d\d|COG5(?!00)\d\d|COG651"

# Files that hold secrets, by name; a key in PEM form is known by its content.
_SECRET_NAMES = re.compile(r"(?:^|/)(?:pip\.conf|\.env(?:\.local)?|\.netrc|\.npmrc|\.pypirc|id_(?:rsa|ed25519|ecdsa))$")
_KEY_NAMES = re.compile(r"\.(?:pem|key)$")
_MOST_KEY_BYTES = 64 * 1024


@record
class Examined:
    """A project as far as it could be read: None and the errors where there is none."""

    project: Project | None = None
    config: Config | None = None
    resolved: ResolvedBuild | None = None
    found: tuple[Diagnostic, ...] = ()


def examine(project: Project | None, problems: tuple[Diagnostic, ...]) -> Examined:
    """Compile the project, for what that says."""
    from ..driver import compile_project, matrix_of
    from ..frontend.lower import BuildOptions
    from ._project import source_of

    if project is None:
        return Examined(found=problems)
    source, found = source_of(project)
    if source is None:
        return Examined(project=project, found=(*problems, *found))
    compilation = compile_project(source, BuildOptions(), matrix_of(source))
    return Examined(
        project=project,
        config=compilation.config,
        resolved=compilation.resolved,
        found=(*problems, *found, *compilation.diagnostics),
    )


def project_checks(examined: Examined, *, migrates: bool) -> tuple[Check, ...]:
    """The checks of the groups Config and Python, in the order in which they are shown."""

    def of_codes(pattern: str, *, remarks_count: bool = False) -> Callable[[], Iterable[Finding]]:
        def look() -> Iterable[Finding]:
            matching = [found for found in examined.found if re.fullmatch(pattern, found.code)]
            if not matching:
                _need_project(examined)
            return findings_of(matching, remarks_count=remarks_count)

        return look

    def parsing() -> Iterable[Finding]:
        return findings_of(found for found in examined.found if re.fullmatch(_PARSING, found.code))

    checks = [
        Check("config-parse", "Config", parsing),
        Check("config-schema", "Config", of_codes(_SCHEMA)),
        Check("config-packages", "Config", of_codes(_PACKAGES)),
        Check("config-deprecated-fields", "Config", of_codes(_DEPRECATED, remarks_count=True)),
        Check("config-predict-ref", "Config", of_codes(_TARGETS)),
        Check("weights-layout", "Config", of_codes(_WEIGHTS, remarks_count=True)),
        Check("project-files", "Config", of_codes(_FILES)),
        Check("secret-in-context", "Config", lambda: _secrets(examined)),
        Check("python-signature", "Python", of_codes(_SIGNATURE)),
        Check("python-missing-type-annotations", "Python", of_codes(_ANNOTATIONS)),
        Check("python-pydantic-basemodel", "Python", lambda: _old_code(examined, "COG450")),
        Check("python-deprecated-imports", "Python", lambda: _old_code(examined, "COG451")),
    ]
    if migrates:
        checks.insert(4, Check("predict-to-run-migration", "Config", lambda: _old_names(examined)))
    return tuple(checks)


def _need_project(examined: Examined) -> tuple[Project, Config]:
    if examined.project is None or examined.config is None:
        raise Skipped("cog.yaml cannot be read")
    return examined.project, examined.config


# -- code ---------------------------------------------------------------------------------------------


def _sources(examined: Examined) -> Iterator[tuple[Target, bytes]]:
    """The files of the targets, each once."""
    project, config = _need_project(examined)
    seen: set[str] = set()
    for target in (config.predict, config.train):
        if target is None or target.file in seen:
            continue
        seen.add(target.file)
        try:
            yield target, project.files.read(target.file)
        except FileProblem:
            continue  # config-predict-ref says so


def _old_code(examined: Examined, code: str) -> Iterable[Finding]:
    from ..frontend.old_code import find_old_code

    for target, content in _sources(examined):
        matching = [found for found in find_old_code(content, target.file) if found.code == code]
        yield from findings_of(matching, remarks_count=True)


def _old_names(examined: Examined) -> Iterable[Finding]:
    """COG452 with the whole migration as its fix; the file itself is renamed by `_migration.py`."""
    from ..frontend.old_code import find_old_names
    from ._migration import new_file_name, target_edit

    project, config = _need_project(examined)
    target = config.predict
    if target is None or target.key == "run":
        return
    new = new_file_name(target.file)
    if new != target.file and project.files.kind(new) != "missing":
        message = f"{target.file} cannot become {new}, which exists"
        yield Finding(level="warning", message=message, span=target.span, remedy=f"move {new} out of the way")
        return
    content = next((content for found, content in _sources(examined) if found is target), None)
    edits: tuple[Edit, ...] = find_old_names(content, target.file) if content is not None else ()
    config_edits = target_edit(target, project)
    message = (
        f"`predict` and `{target.name}` have newer names, `run` and `{target.name.replace('Predictor', 'Runner')}`"
    )
    fix = Fix(title="use the newer names", edits=(*config_edits, *edits))
    yield from findings_of([report("COG452", message, target.span, fix=fix)], remarks_count=True)


# -- files --------------------------------------------------------------------------------------------


def _secrets(examined: Examined) -> Iterable[Finding]:
    """Files with secrets that would be copied into the image."""
    from ..frontend.dockerignore import Dockerignore

    project, _ = _need_project(examined)
    try:
        text = project.files.read(".dockerignore").decode("utf-8", "surrogateescape")
    except FileProblem:
        text = ""
    ignored, _ = Dockerignore.parse(text)
    for entry in project.files.walk():
        if entry.kind != "file" or entry.path.startswith(".git/") or ignored.excludes(entry.path):
            continue
        if _SECRET_NAMES.search(entry.path) or (_KEY_NAMES.search(entry.path) and _is_key(project, entry.path)):
            yield Finding(
                level="warning",
                message=f"{entry.path} is copied into the image with the code",
                remedy=f"add the line `{entry.path}` to .dockerignore; secrets of the build are mounted",
            )


def _is_key(project: Project, path: str) -> bool:
    try:
        return b"PRIVATE KEY-----" in project.files.read(path)[:_MOST_KEY_BYTES]
    except FileProblem:
        return False
