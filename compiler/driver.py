"""The whole compilation as functions from text and options to values; reads the project only through `Files`.

`check` is the front half (everything that can be said without writing anything), `compile_project` the whole.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import field, replace
from typing import TYPE_CHECKING

from . import __version__
from ._data import load_table, matrix_checksum, matrix_version, runtime_files, table_names
from .backends.context import STAGING, staged_files
from .diagnostics import Diagnostic, has_errors, in_order, report
from .frontend.bind import bind, check_legacy_layout
from .frontend.config import Config
from .frontend.dockerignore import Dockerignore
from .frontend.files import FileEntry, FileProblem, Files
from .frontend.lower import BuildOptions, ProjectFacts, lower
from .frontend.model_schema import model_schema
from .frontend.parse import decode, parse
from .frontend.schema import check_schema
from .frontend.source_entries import dangling_links, source_entries, source_links
from .frontend.target_files import bringer, check_target_files
from .frontend.weights import Weights, find_weights
from .ir.matrix import Matrix
from .ir.nodes import Build, ImageBase, ResolvedBuild, Run, ScratchBase, Stage
from .ir.pipeline import run
from .record import record
from .source import SourceFile, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .backends.filters import DockerfileOptions
    from .backends.llb.definition import Definition
    from .backends.llb.image import ImageConfig
    from .backends.llb.lower import LlbOptions, Lowered
    from .frontend.context_files import ContextFiles
    from .frontend.project_matrix import ProjectTables
    from .ir.lock import LockedPackage
    from .ir.size import SizePart

__all__ = [
    "Compilation",
    "LlbBuild",
    "Source",
    "bundled_matrix",
    "compile_project",
    "dockerfile_text",
    "files_of_steps",
    "files_of_weights",
    "llb_build",
    "matrix_of",
    "matrix_with",
    "read_config",
    "read_schema",
    "read_targets",
    "weights_build",
]


@record
class Source:
    """What is compiled: the bytes of the configuration, its name in the project, and the project's files.

    `directory` is the name of the project's folder, from which the image gets its name. `certificate` is PEM
    text to trust in the image, `schema` an OpenAPI document to take instead of that of the source. `lock` is the
    content of the lock that the build must follow, and its name. `tables` take the place of bundled ones.
    """

    config: bytes
    name: str
    directory: str
    files: Files
    certificate: str | None = None
    schema: SourceFile | None = None
    lock: tuple[bytes, str] | None = None
    tables: ProjectTables | None = None


@record
class LlbBuild:
    """What the LLB back end makes: the graph with the image's configuration, and its bytes."""

    lowered: Lowered
    definition: Definition


@record
class Compilation:
    """How far a compilation came, with all diagnostics in order. A stage after an error is None.

    `is_staging_hidden` says that .dockerignore keeps the staging directory out of the build context. `sizes` are the
    parts of the image with their sizes, where they were asked for or there is a budget. `matrix` is the one that it was
    resolved with.
    """

    config: Config | None = None
    build: Build | None = None
    resolved: ResolvedBuild | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    staged: tuple[tuple[str, bytes], ...] = ()
    is_staging_hidden: bool = False
    sizes: tuple[SizePart, ...] = ()
    matrix: Matrix | None = field(default=None, compare=False, repr=False)

    @property
    def has_errors(self) -> bool:
        """Whether nothing may be written."""
        return has_errors(self.diagnostics)


def bundled_matrix() -> Matrix:
    """The compatibility matrix that comes with cogc; its tables are read when they are needed."""
    return Matrix(matrix_version(), _table, matrix_checksum)


def matrix_of(source: Source) -> Matrix:
    """The compatibility matrix of the project: with the tables that it brings, in place of those of cogc."""
    tables = source.tables
    return bundled_matrix() if tables is None else matrix_with(tables)


def matrix_with(tables: ProjectTables) -> Matrix:
    """The bundled matrix, with these tables in the place of its own."""
    raw = dict(tables.tables)
    read: dict[str, dict[str, object]] = {}

    def table(name: str) -> dict[str, object]:
        if name not in raw:
            return _table(name)
        if name not in read:
            read[name] = json.loads(raw[name])
        return read[name]

    versions = {table(name)["matrix"] for name in raw} if raw.keys() >= set(table_names()) else set()
    whole = str(versions.pop()) if len(versions) == 1 else None
    return Matrix(tables.version(whole), table, lambda: matrix_checksum(dict(tables.digests)))


def _table(name: str) -> dict[str, object]:
    try:
        return load_table(name)
    except FileNotFoundError as error:
        raise KeyError(name) from error


def read_config(source: Source) -> tuple[Config | None, tuple[Diagnostic, ...]]:
    """Text → configuration; None when there are errors. All problems of one stage are reported together."""
    text, found = decode(source.config, source.name)
    if text is None:
        return None, found
    root, problems = parse(text)
    found += problems
    if root is None:
        return None, found
    legacy = check_legacy_layout(root)
    if legacy is not None:
        return None, (*found, legacy)
    found += check_schema(root)
    # Values are checked even where the shape is wrong elsewhere, so that one run shows everything.
    config, problems = bind(root, source.name, source.files)
    found += problems
    return (None if has_errors(found) else config), found


def compile_project(source: Source, options: BuildOptions, matrix: Matrix, *, measures: bool = False) -> Compilation:
    """Everything but the writing: configuration, facts about the project, both levels of the IR.

    With a lock the decisions are those of the lock. Sizes are estimated when there is a budget, or with `measures`.
    Errors of its own: COG261–COG264, COG270; warning: COG271; info: COG282.
    """
    config, found = read_config(source)
    found += _own_tables(source, matrix)
    if config is None:
        return Compilation(diagnostics=in_order(found))
    dockerignore, problems = _dockerignore(source.files)
    found += problems
    entries = tuple(source.files.walk())
    weights, problems = find_weights(entries, dockerignore)
    found += problems
    brought_by = bringer(config, is_mounted=not options.with_source, has_own_base=options.base_image is not None)
    found += check_target_files(config, source.files, entries, dockerignore, brought_by)
    schema, problems = model_schema(config, source.files, source.schema)
    found += problems
    hidden = () if dockerignore.excludes(".cog/x") and dockerignore.excludes(f"{STAGING}/x") else (".cog",)
    left_out = _left_out(weights, hidden)
    links = source_links(entries, dockerignore, left_out)
    not_sent = left_out if options.separate_weights else ()  # weights of their own image are in no other context
    facts = ProjectFacts(
        directory=source.directory,
        weights=weights,
        entries=source_entries(entries, dockerignore, left_out),
        links=links,
        dangling=dangling_links(links, entries, dockerignore, not_sent),
        hidden=hidden,
        certificate=source.certificate,
        schema=schema.document,
        schema_gaps=schema.gaps + tuple(finding for finding in found if finding.code == "COG313"),
    )
    found += _unencodable(facts)
    build = lower(config, facts, options)
    if has_errors(found):
        return Compilation(config=config, build=build, diagnostics=in_order(found))
    packages: tuple[LockedPackage, ...] | None = None
    if source.lock is None:
        resolved, problems = run(build, matrix, __version__)
    else:
        from .frontend.lock import weight_files

        of_weights = weight_files(weights, entries, dockerignore)
        resolved, packages, problems = _run_locked(source, build, matrix, of_weights)
    found += problems
    staged = staged_files(resolved, runtime_files()) if resolved else ()
    found += _hidden_artifacts(build, dockerignore)
    is_hidden = any(map(dockerignore.below(STAGING).excludes, (f"{STAGING}/{path}" for path, _ in staged)))
    budget, span = _budget(config, options)
    sizes: tuple[SizePart, ...] = ()
    if resolved is not None and (budget is not None or measures):
        from .frontend.project_size import check_budget, check_cuda, measure_project

        sizes = measure_project(resolved, build.request, matrix, entries, dockerignore, staged, packages)
        found += check_budget(sizes, budget, span) if budget is not None else ()
        found += check_cuda(resolved, build.request, matrix, packages) if measures else ()
    return Compilation(
        config=config,
        build=build,
        resolved=resolved,
        diagnostics=in_order(found),
        staged=staged,
        is_staging_hidden=is_hidden,
        sizes=sizes,
        matrix=matrix,
    )


def _budget(config: Config, options: BuildOptions) -> tuple[int | None, Span | None]:
    """The bytes that the image may have, of the command line or else the configuration, and where that is written."""
    written = config.build.budget
    if options.budget is not None or written is None:
        return options.budget, None
    return written.value, written.span


def _run_locked(
    source: Source, build: Build, matrix: Matrix, weights: tuple[FileEntry, ...]
) -> tuple[ResolvedBuild | None, tuple[LockedPackage, ...] | None, tuple[Diagnostic, ...]]:
    """The build with the decisions and files of the lock, and its packages; or how it differs from the project."""
    from .frontend.lock import check_files, read_lock
    from .ir.lock_drift import locked_decisions
    from .ir.pipeline import run_locked

    assert source.lock is not None
    raw, name = source.lock
    lock, found = read_lock(raw, name)
    if lock is None:
        return None, None, found
    entry, found = locked_decisions(lock, build.request, matrix, name)
    if entry is not None:
        found += check_files(lock, entry, weights, source.files, name)
    if entry is None or has_errors(found):
        return None, None, found
    return run_locked(build, entry, __version__), entry.packages, found


def files_of_weights(source: Source) -> tuple[FileEntry, ...]:
    """Every file that is in a layer of the weights, sorted by path."""
    from .frontend.lock import weight_files

    dockerignore, _ = _dockerignore(source.files)
    entries = tuple(source.files.walk())
    weights, _ = find_weights(entries, dockerignore)
    return weight_files(weights, entries, dockerignore)


def _own_tables(source: Source, matrix: Matrix) -> tuple[Diagnostic, ...]:
    """COG282: the decisions are not made with the tables of cogc alone."""
    if source.tables is None:
        return ()
    from .frontend.project_matrix import CHECKSUMS, DIRECTORY

    names = ", ".join(name for name, _ in source.tables.digests)
    message = f"versions are chosen with matrix {matrix.version}: {DIRECTORY} brings {names}"
    return (report("COG282", message, Span.of_file(f"{DIRECTORY}/{CHECKSUMS}")),)


def files_of_steps(source: Source, compilation: Compilation) -> tuple[ContextFiles, ...]:
    """What each step of a compilation takes from the build context."""
    from .frontend.context_files import context_files

    assert compilation.resolved is not None
    dockerignore, _ = _dockerignore(source.files)
    staged = [path for path, _ in compilation.staged]
    return tuple(context_files(compilation.resolved, tuple(source.files.walk()), dockerignore, staged))


def read_targets(source: Source) -> tuple[Config | None, tuple[Diagnostic, ...]]:
    """The configuration, once the files of its targets are there; None when there are errors."""
    config, found = read_config(source)
    if config is None:
        return None, in_order(found)
    dockerignore, _ = _dockerignore(source.files)
    found += check_target_files(config, source.files, source.files.walk(), dockerignore, bringer(config))
    return (None if has_errors(found) else config), in_order(found)


def read_schema(source: Source) -> tuple[str | None, Config | None, tuple[Diagnostic, ...]]:
    """The OpenAPI document as compact JSON and the configuration, each None where it cannot be had."""
    config, found = read_targets(source)
    if config is None:
        return None, None, found
    schema, problems = model_schema(config, source.files, source.schema)
    found = in_order((*found, *problems))
    return (None if has_errors(found) else schema.document), config, found


def weights_build(build: ResolvedBuild) -> ResolvedBuild | None:
    """The image of the weights alone, for `--separate-weights`; None when the project has no weights."""
    layers = build.weight_layers
    if not layers:
        return None
    stage = Stage(name="weights", base=ScratchBase(), steps=layers)
    return replace(build, stages=(stage,), files=())


def dockerfile_text(
    compilation: Compilation,
    files: Files,
    options: DockerfileOptions,
    build: ResolvedBuild | None = None,
    *,
    with_staged: bool = True,
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The Dockerfile of the compilation, or of `build`, with the project's own template; None with the errors.

    `options.template` is read from `files` here. `with_staged`: whether it uses the staged files.
    Errors: COG308, COG309.
    """
    from .backends.dockerfile import emit_dockerfile

    resolved = build or compilation.resolved
    assert resolved is not None
    template, found = _template(compilation, files)
    staged = compilation.staged if with_staged else ()
    text, problems = emit_dockerfile(resolved, staged, replace(options, template=template))
    return text, found + problems


def llb_build(
    compilation: Compilation, source: Source, options: LlbOptions, build: ResolvedBuild | None = None
) -> tuple[LlbBuild | None, tuple[Diagnostic, ...]]:
    """The compilation, or `build`, as a definition for BuildKit; None with the errors. Codes: COG315–COG318.

    .dockerignore and the name of the configuration are filled into `options` here.
    """
    from .backends.llb.definition import marshal
    from .backends.llb.lower import lower_build

    config, resolved = compilation.config, build or compilation.resolved
    assert config is not None
    assert resolved is not None
    template = config.build.dockerfile_template
    if template is not None:
        message = "`build.dockerfile_template` is for Dockerfiles; LLB is made without one"
        return None, (report("COG316", message, template.span, hint="build the Dockerfile, or leave the key out"),)
    dockerignore, _ = _dockerignore(source.files)
    options = replace(options, ignored=tuple(filter(_is_text, dockerignore.lines)), config_file=source.name)
    lowered = lower_build(resolved, compilation.staged, options)
    texts = {source.name: source.config}
    for name in {span.file for span in lowered.spans} - texts.keys():
        with contextlib.suppress(FileProblem):
            texts[name] = source.files.read(name)
    definition = marshal(lowered.result, lowered.platform, texts)
    found = (*_base_problems(resolved, dict(options.images)), *_flag_problems(resolved))
    return (None if has_errors(found) else LlbBuild(lowered=lowered, definition=definition)), found


def _base_problems(build: ResolvedBuild, known: Mapping[str, ImageConfig]) -> tuple[Diagnostic, ...]:
    """What is to be said about base images, each once. Codes: COG315, COG317."""
    found: dict[str, Diagnostic] = {}
    for stage in build.stages:
        if not isinstance(stage.base, ImageBase):
            continue
        reference = stage.base.reference
        if reference not in known:
            found.setdefault(reference, _unknown_image(stage, reference))
        elif triggers := known[reference].triggers:
            spans = [cause.span for cause in stage.because if cause.span]
            message = f"{reference} has ONBUILD instructions, which are for Dockerfiles: {'; '.join(triggers)}"
            hint = "`cogc build` without --engine buildkit runs them"
            found.setdefault(reference, report("COG317", message, spans[0] if spans else None, hint=hint))
    return tuple(found.values())


def _flag_problems(build: ResolvedBuild) -> Iterator[Diagnostic]:
    """Commands with flags for Docker's RUN that say what no mount of cog.yaml can. Code: COG318."""
    for step in (step for stage in build.stages for step in stage.steps if isinstance(step, Run)):
        if step.command.startswith("--"):
            flag = step.command.split()[0]
            message = f"`{flag}` is a flag for Dockerfiles; LLB is made without one"
            hint = "`cogc build` without --engine buildkit hands it on"
            yield report("COG318", message, step.origin, hint=hint)


def _unknown_image(stage: Stage, reference: str) -> Diagnostic:
    hint = f"docker buildx imagetools inspect {reference} --format '{{{{json .Image}}}}' > base.json, then "
    hint += f"--base-config {reference}=base.json"
    spans = [cause.span for cause in stage.because if cause.span]
    message = f"what {reference} sets (variables, directory, user) is not known here; PATH is taken to be the usual one"
    return report("COG315", message, spans[0] if spans else None, hint=hint)


def _template(
    compilation: Compilation, files: Files
) -> tuple[tuple[str, str, Span | None] | None, tuple[Diagnostic, ...]]:
    """The user's own template as text. Error: COG309."""
    config = compilation.config
    assert config is not None
    located = config.build.dockerfile_template
    if located is None:
        return None, ()
    try:
        return (located.value, files.read(located.value).decode("utf-8"), located.span), ()
    except FileProblem as problem:
        return None, (report("COG309", f"the template {problem.path} {problem.reason}", located.span),)
    except UnicodeDecodeError:
        return None, (report("COG309", f"the template {located.value} is not UTF-8 text", located.span),)


def _dockerignore(files: Files) -> tuple[Dockerignore, tuple[Diagnostic, ...]]:
    name = ".dockerignore"
    if files.kind(name) != "file":
        return Dockerignore.parse("", name)
    try:
        text = files.read(name).decode("utf-8", "surrogateescape")
    except FileProblem as problem:
        ignored, found = Dockerignore.parse("", name)
        message = f"{name} {problem.reason}"
        return ignored, (*found, report("COG500", message, Span.of_file(name)))
    return Dockerignore.parse(text, name)


def _left_out(weights: Weights, hidden: tuple[str, ...]) -> tuple[str, ...]:
    return (*hidden, ".cog", *weights.directories, *weights.root_files)


def _unencodable(facts: ProjectFacts) -> tuple[Diagnostic, ...]:
    """COG500: names to write that are not UTF-8; Python reads their bytes as lone surrogates."""
    paths = (*facts.weights.directories, *facts.weights.root_files, *(path for path, _ in facts.entries))
    hint = "rename it, or list it in .dockerignore"
    return tuple(
        report("COG500", f"the name of `{path}` is not UTF-8 text", hint=hint)
        for path in dict.fromkeys(paths)
        if not _is_text(path)
    )


def _is_text(path: str) -> bool:
    """Whether it can be written as UTF-8."""
    return path.isascii() or not any("\ud800" <= character <= "\udfff" for character in path)


def _hidden_artifacts(build: Build, dockerignore: Dockerignore) -> tuple[Diagnostic, ...]:
    """COG307: a wheel of the project that the build context will not have."""
    return tuple(
        report(
            "COG307",
            f"the package {requirement.path} is hidden by .dockerignore",
            requirement.origin,
            hint=f"add an exception to .dockerignore: !{requirement.path}",
        )
        for requirement in build.request.requirements
        if requirement.kind == "artifact" and requirement.path and dockerignore.excludes(requirement.path)
    )
