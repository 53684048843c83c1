"""The checked tree of cog.yaml → `Config`, with everything that a schema cannot say checked on the way.

Values that are wrong are left out of the result and reported; the caller stops if there are errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeVar

from ..diagnostics import Diagnostic, Note, report
from ..ir.requirement import Requirement
from ..source import Span
from .config import (
    BindMount,
    BuildConfig,
    CacheMount,
    Command,
    Concurrency,
    Config,
    EnvironmentVariable,
    Located,
    ManagedWeight,
    Mount,
    SecretMount,
    Target,
    WeightSource,
)
from .files import FileProblem, Files
from .parse import MappingNode, ScalarNode, SequenceNode, TreeNode
from .requirements import decode_requirements, parse_requirement_line, parse_requirements
from .values import (
    check_image_name,
    check_repository,
    check_user,
    parse_cuda,
    parse_cudnn,
    parse_environment_variable,
    parse_python_version,
    parse_system_package,
    parse_target,
    project_path,
    unquoted_version,
)

__all__ = ["bind", "check_legacy_layout"]

T = TypeVar("T")

# Kinds of paths (`Files.kind`) that cannot be the file of a target.
_NO_FILE = {
    "missing": "does not exist",
    "directory": "is a directory",
    "outside": "is a link that leaves the project",
    "other": "is not a regular file",
}

_OLD_SETTINGS = frozenset(
    [
        "architectures",
        "build_requires_gpu",
        "cuda",
        "cudnn",
        "post_install",
        "pre_install",
        "python_extra_index_urls",
        "python_find_links",
        "python_packages",
        "python_requirements",
        "python_version",
        "system_packages",
    ]
)


def check_legacy_layout(root: MappingNode) -> Diagnostic | None:
    """COG125 when the document has the layout of 2021, which no newer schema describes."""
    environment, model = root.get("environment"), root.get("model")
    # Today's `environment` is a list; a mapping of other names is a mistake in that list, not an old file.
    settings = environment.value if environment is not None else None
    is_old = isinstance(settings, MappingNode) and any(entry.key in _OLD_SETTINGS for entry in settings.entries)
    is_old |= model is not None and isinstance(model.value, ScalarNode) and ".py:" in model.value.text
    if not is_old:
        return None
    moves = {
        "environment": "`environment` is now `build`",
        "model": "`model` is now `predict`",
        "examples": "`examples` is no longer used",
        "workdir": "`workdir` is no longer used: the project is /src in the container",
    }
    notes = [Note(message=moves[entry.key], span=entry.key_span) for entry in root.entries if entry.key in moves]
    if isinstance(settings, MappingNode):
        for key in ("architectures", "build_requires_gpu"):
            if found := settings.get(key):
                notes.append(Note(message=f"`{key}` is now `build.gpu: true` or `false`", span=found.key_span))
    first = notes[0].span if notes else root.span
    return report("COG125", "the file has the layout of 2021, before the `build` key", first, notes=notes)


def bind(root: MappingNode, file: str, files: Files) -> tuple[Config, tuple[Diagnostic, ...]]:
    """Make the configuration. Reads requirements files through `files`.

    Codes: COG124–COG152 for values, COG2xx for requirements.
    """
    return _Binder(file, files).config(root)


class _Binder:
    """Collects diagnostics while the sections are read; one instance reads one document."""

    def __init__(self, file: str, files: Files) -> None:
        self._file = file
        self._files = files
        self._found: list[Diagnostic] = []

    def config(self, root: MappingNode) -> tuple[Config, tuple[Diagnostic, ...]]:
        predict = self._prediction_target(root)
        train = self._target(root, "train")
        if predict is None and train is None and not root.get("predict") and not root.get("train"):
            message = "neither `predict` nor `train` is set: the image can run commands, but not serve predictions"
            self._found.append(report("COG149", message, Span.of_file(self._file)))
        build_entry = root.get("build")
        build_node = build_entry.value if build_entry else None
        build = self._build(build_node) if isinstance(build_node, MappingNode) else BuildConfig()
        config = Config(
            file=self._file,
            build=build,
            image=self._image(root),
            predict=predict,
            train=train,
            concurrency=self._concurrency(root, build),
            environment=self._environment(root),
            model=self._model(root),
            weights=self._weights(root),
        )
        if tests := root.get("tests"):
            self._found.append(report("COG127", "`tests` has no effect", tests.key_span))
        return config, tuple(self._found)

    # -- top level -----------------------------------------------------------------------------

    def _prediction_target(self, root: MappingNode) -> Target | None:
        predict, run = _text(root, "predict"), _text(root, "run")
        if predict and predict.value and run and run.value:
            notes = [Note(message="`predict` is set here", span=predict.span)]
            message = "invalid run: only one of run or predict can be set"
            self._found.append(report("COG136", message, run.span, notes=notes))
            return None
        return self._target(root, "predict") if predict and predict.value else self._target(root, "run")

    def _target(self, root: MappingNode, key: Literal["predict", "run", "train"]) -> Target | None:
        written = _text(root, key)
        if written is None or not written.value:
            return None
        target = self._keep(parse_target(written.value, key, written.span))
        kind = self._files.kind(target.file) if target is not None else "file"
        if target is not None and kind != "file":
            message = f"`{key}` names {target.file}, which {_NO_FILE[kind]}"
            self._found.append(report("COG300", message, target.span, hint=f"paths are relative to {self._file}"))
        return target

    def _image(self, root: MappingNode) -> Located[str] | None:
        image = _text(root, "image")
        if image is None or not image.value:
            return None
        self._found.extend(check_image_name(image.value, image.span))
        return image

    def _model(self, root: MappingNode) -> Located[str] | None:
        model, image = _text(root, "model"), _text(root, "image")
        if model is None:
            return None
        if image is not None:
            notes = [Note(message="`image` is set here", span=image.span)]
            self._found.append(report("COG144", "'model' and 'image' cannot both be set", model.span, notes=notes))
        self._found.extend(check_repository(model.value, model.span))
        return model

    def _concurrency(self, root: MappingNode, build: BuildConfig) -> Concurrency | None:
        entry = root.get("concurrency")
        if entry is None or not isinstance(entry.value, MappingNode):
            return None
        maximum = entry.value.get("max")
        if maximum is None or not isinstance(maximum.value, ScalarNode) or not isinstance(maximum.value.value, int):
            return None
        located = Located(maximum.value.value, maximum.value.span)
        python = build.python_version
        if located.value > 1 and python is not None and _minor(python.value) < (3, 11):
            notes = [Note(message=f"Python {python.value} is set here", span=python.span)]
            self._found.append(
                report("COG141", "concurrency requires Python 3.11 or higher", located.span, notes=notes)
            )
        self._found.append(report("COG150", "newer models set concurrency with `@cog.concurrent`", entry.key_span))
        target = entry.value.get("default_target")
        value = target.value.value if target and isinstance(target.value, ScalarNode) else None
        return Concurrency(max=located, default_target=value if isinstance(value, int) else None)

    def _environment(self, root: MappingNode) -> tuple[EnvironmentVariable, ...]:
        variables: dict[str, EnvironmentVariable] = {}
        for item in _texts(root, "environment"):
            variable = self._keep(parse_environment_variable(item.value, item.span))
            if variable is not None and variable.name in variables:
                notes = [Note(message="it is first set here", span=variables[variable.name].span)]
                message = f'environment variable "{variable.name}" is already defined'
                self._found.append(report("COG140", message, item.span, notes=notes))
            elif variable is not None:
                variables[variable.name] = variable
        return tuple(variables.values())

    # -- build ---------------------------------------------------------------------------------

    def _build(self, build: MappingNode) -> BuildConfig:
        gpu = build.get("gpu")
        is_gpu = None
        if gpu is not None and isinstance(gpu.value, ScalarNode) and isinstance(gpu.value.value, bool):
            is_gpu = Located(gpu.value.value, gpu.value.span)
        for key in ("fast", "cog_runtime"):
            if entry := build.get(key):
                self._found.append(report("COG127", f"`build.{key}` has no effect", entry.key_span))
        if sdk := _text(build, "sdk_version"):
            message = f"`build.sdk_version` asks for {sdk.value}; the runtime bundled with cogc is used"
            self._found.append(report("COG147", message, sdk.span))
        config = BuildConfig(
            gpu=is_gpu,
            cuda=self._version(build, "cuda", parse_cuda),
            cudnn=self._version(build, "cudnn", parse_cudnn),
            python_version=self._version(build, "python_version", parse_python_version),
            python_requirements=self._non_empty(build, "python_requirements"),
            requirements=self._requirements(build),
            system_packages=self._system_packages(build),
            commands=(*self._commands(build), *self._pre_install(build)),
            user=self._user(build),
            dockerfile_template=self._template(build),
        )
        for name, value in (("cuda", config.cuda), ("cudnn", config.cudnn)):
            if value is not None and not (is_gpu and is_gpu.value):
                hint = "set `gpu: true`, or remove it"
                message = f"`build.{name}` has no effect without `gpu: true`"
                self._found.append(report("COG134", message, value.span, hint=hint))
        return config

    def _version(
        self, build: MappingNode, key: str, parse: Callable[[str, Span], tuple[str | None, tuple[Diagnostic, ...]]]
    ) -> Located[str] | None:
        entry = build.get(key)
        if entry is None or not isinstance(entry.value, ScalarNode) or not entry.value.text:
            return None
        node = entry.value
        version = self._keep(parse(node.text, node.span))
        if version is None:
            return None
        if key != "cudnn" and isinstance(node.value, float):
            self._found.append(unquoted_version(key, node.text, node.span))
        return Located(version, node.span)

    def _system_packages(self, build: MappingNode) -> tuple[Located[str], ...]:
        packages: dict[str, Located[str]] = {}  # each once, where it is first named
        for item in _texts(build, "system_packages"):
            names, found = parse_system_package(item.value, item.span)
            self._found.extend(found)
            for name in names:
                packages.setdefault(name, Located(name, item.span))
        return tuple(packages.values())

    def _user(self, build: MappingNode) -> Located[str] | None:
        user = _text(build, "user")
        if user is not None:
            self._found.extend(check_user(user.value, user.span))
        return user

    def _template(self, build: MappingNode) -> Located[str] | None:
        template = _text(build, "dockerfile_template")
        if template is None:
            return None
        path = project_path(template.value)
        if path is None:
            self._found.append(report("COG148", f"`{template.value}` is outside the project", template.span))
            return None
        return Located(path, template.span)

    # -- commands ------------------------------------------------------------------------------

    def _commands(self, build: MappingNode) -> Iterator[Command]:
        for node in _items(build, "run"):
            if isinstance(node, ScalarNode):
                yield from self._command(node, ())
            elif isinstance(node, MappingNode):
                command = node.get("command")
                if command is not None and isinstance(command.value, ScalarNode):
                    yield from self._command(command.value, tuple(self._mounts(node)))

    def _pre_install(self, build: MappingNode) -> Iterator[Command]:
        entry = build.get("pre_install")
        if entry is None:
            return
        message = 'deprecated field "build.pre_install": use "build.run" instead'
        self._found.append(report("COG126", message, entry.key_span))
        for node in _items(build, "pre_install"):
            if isinstance(node, ScalarNode):
                yield from self._command(node, ())

    def _command(self, node: ScalarNode, mounts: tuple[Mount, ...]) -> Iterator[Command]:
        command = node.text.strip()
        if not command:
            self._found.append(report("COG146", "the command is empty", node.span))
        elif "\n" in command:
            first = command.split("\n", 1)[0]
            message = f"the command contains a new line after `{first}`; each command needs its own list item"
            hint = "write `>-` instead of `|` to fold lines into one, or give each command an item"
            self._found.append(report("COG139", message, node.span, hint=hint))
        else:
            yield Command(command=command, mounts=mounts, span=node.span)

    def _mounts(self, node: MappingNode) -> Iterator[Mount]:
        for item in _items(node, "mounts"):
            if isinstance(item, MappingNode) and (mount := self._mount(item)):
                yield mount

    def _mount(self, node: MappingNode) -> Mount | None:
        kind = _text(node, "type")
        target, identity = _text(node, "target"), _text(node, "id")
        if kind is None:
            return None
        if target is not None and not target.value.startswith("/"):
            message = f"the mount target `{target.value}` must be an absolute path in the container"
            self._found.append(report("COG142", message, target.span))
            return None
        for text in (target, identity):
            if text is not None and re.search(r"[\s,\"'$\\]|[^\x00-\x7f]", text.value):
                self._found.append(report("COG142", f"`{text.value}` cannot be used in a mount", text.span))
                return None
        match kind.value:
            case "secret":
                return self._secret_mount(node, identity, target)
            case "cache" if target is not None:
                sharing = _text(node, "sharing")
                choice: Literal["shared", "private", "locked"] = "shared"
                if sharing is not None and sharing.value in ("private", "locked"):
                    choice = "private" if sharing.value == "private" else "locked"
                name = identity.value if identity else None
                return CacheMount(target=target.value, id=name, sharing=choice, span=node.span)
            case "bind" if target is not None:
                return self._bind_mount(node, target)
        return None

    def _secret_mount(
        self, node: MappingNode, identity: Located[str] | None, target: Located[str] | None
    ) -> SecretMount | None:
        if identity is None:
            return None
        env = _text(node, "env")
        if target is None and env is None:
            message = f"the secret `{identity.value}` needs a `target` (a file) or an `env` (a variable)"
            self._found.append(report("COG142", message, identity.span))
            return None
        if env is not None and not env.value.isidentifier():
            self._found.append(report("COG142", f"`{env.value}` is not the name of a variable", env.span))
            return None
        required = node.get("required")
        is_required = not (required and isinstance(required.value, ScalarNode) and required.value.value is False)
        return SecretMount(
            id=identity.value,
            target=target.value if target else None,
            env=env.value if env else None,
            is_required=is_required,
            span=node.span,
        )

    def _bind_mount(self, node: MappingNode, target: Located[str]) -> BindMount | None:
        source = _text(node, "source")
        if source is None:
            return None
        path = project_path(source.value)
        if path is None:
            self._found.append(
                report("COG148", f"the mount source `{source.value}` is outside the project", source.span)
            )
            return None
        if self._files.kind(path) == "missing":
            self._found.append(report("COG142", f"the mount source `{path}` does not exist", source.span))
            return None
        if not path.isascii():  # the builder reads flags byte by byte
            message = f"`{path}` cannot be used in a mount: its name has characters outside ASCII"
            self._found.append(report("COG142", message, source.span))
            return None
        return BindMount(source=path, target=target.value, span=node.span)

    # -- Python requirements -------------------------------------------------------------------

    def _requirements(self, build: MappingNode) -> tuple[Requirement, ...]:
        packages, path = _items(build, "python_packages"), self._non_empty(build, "python_requirements")
        if packages and path is not None:
            message = "invalid build: only one of python_packages or python_requirements can be set, not both"
            self._found.append(report("COG137", message, path.span))
            return ()
        lines = [*self._old_options(build)]
        if path is not None:
            lines += self._requirements_file(path)
        for node in packages:
            if isinstance(node, ScalarNode):
                requirement, found = parse_requirement_line(node.text, node.span, self._files)
                self._found.extend(found)
                lines += [requirement] if requirement else []
        return self._overridden(build, tuple(lines))

    def _requirements_file(self, path: Located[str]) -> Iterable[Requirement]:
        name = project_path(path.value) or path.value
        try:
            text = decode_requirements(self._files.read(name))
        except FileProblem as problem:
            reason = "file does not exist" if problem.reason == "does not exist" else f"file {problem.reason}"
            message = f'invalid build.python_requirements "{path.value}": {reason}'
            self._found.append(report("COG200", message, path.span, hint=f"paths are relative to {self._file}"))
            return ()
        except UnicodeDecodeError as error:
            message = f'invalid build.python_requirements "{path.value}": the file {error.reason}'
            self._found.append(report("COG200", message, path.span))
            return ()
        requirements, found = parse_requirements(name, text, self._files)
        self._found.extend(found)
        return requirements

    def _old_options(self, build: MappingNode) -> Iterator[Requirement]:
        for key, option in (("python_find_links", "--find-links"), ("python_extra_index_urls", "--extra-index-url")):
            entry = build.get(key)
            if entry is None:
                continue
            message = f'deprecated field "build.{key}": write `{option} URL` in a requirements file instead'
            self._found.append(report("COG126", message, entry.key_span))
            for item in _texts(build, key):
                line = f"{option} {item.value}"
                yield Requirement(text=line, kind="option", options=((option, item.value),), origin=item.span)

    def _overridden(self, build: MappingNode, lines: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
        path = self._non_empty(build, "python_overrides")
        if path is None:
            return lines
        message = 'deprecated field "build.python_overrides": its lines replace those of the same package'
        self._found.append(report("COG126", message, path.span))
        overrides = {line.name: line for line in self._requirements_file(path) if line.name}
        replaced = [overrides.pop(line.name, line) if line.name else line for line in lines]
        return (*replaced, *overrides.values())

    # -- managed weights -----------------------------------------------------------------------

    def _weights(self, root: MappingNode) -> tuple[ManagedWeight, ...]:
        nodes = [node for node in _items(root, "weights") if isinstance(node, MappingNode)]
        if not nodes:
            return ()
        entry = root.get("weights")
        assert entry is not None
        if root.get("image") and not root.get("model"):
            message = "weights require 'model', not 'image' — rename 'image' to 'model'"
            self._found.append(report("COG143", message, entry.key_span))
        self._found.append(
            report("COG127", "managed `weights` are not fetched yet; the key has no effect", entry.key_span)
        )
        weights: list[ManagedWeight] = []
        for node in nodes:
            name, target = _text(node, "name"), _text(node, "target")
            if name and target:
                self._check_weight(name, target, weights)
                sources = tuple(self._weight_sources(node))
                weights.append(ManagedWeight(name=name.value, target=target.value, sources=sources, span=node.span))
        return tuple(weights)

    def _check_weight(self, name: Located[str], target: Located[str], others: list[ManagedWeight]) -> None:
        if not target.value.startswith("/"):
            self._found.append(report("COG143", "target must be an absolute path", target.span))
        if target.value.strip("/") == "":
            self._found.append(report("COG143", 'target must not be the container root "/"', target.span))
        for other in others:
            if other.name == name.value:
                self._found.append(report("COG143", f'duplicate weight name "{name.value}"', name.span))
            ours, theirs = target.value.rstrip("/") + "/", other.target.rstrip("/") + "/"
            if ours == theirs:
                self._found.append(report("COG143", f'duplicate weight target "{target.value}"', target.span))
            elif ours.startswith(theirs) or theirs.startswith(ours):
                message = f'target overlaps with "{other.target}"; weight targets must be disjoint'
                self._found.append(report("COG143", message, target.span))

    def _weight_sources(self, node: MappingNode) -> Iterator[WeightSource]:
        entry = node.get("source")
        if entry is None:
            return
        nodes = entry.value.items if isinstance(entry.value, SequenceNode) else (entry.value,)
        for source in nodes:
            if isinstance(source, MappingNode) and (uri := _text(source, "uri")):
                patterns = {key: tuple(_texts(source, key)) for key in ("include", "exclude")}
                for pattern in (*patterns["include"], *patterns["exclude"]):
                    if pattern.value.startswith("!"):
                        message = "negation patterns (starting with '!') are not supported"
                        self._found.append(report("COG143", message, pattern.span))
                yield WeightSource(
                    uri=uri.value,
                    include=tuple(pattern.value for pattern in patterns["include"]),
                    exclude=tuple(pattern.value for pattern in patterns["exclude"]),
                )

    # -- helpers -------------------------------------------------------------------------------

    def _keep(self, result: tuple[T, tuple[Diagnostic, ...]]) -> T:
        value, found = result
        self._found.extend(found)
        return value

    def _non_empty(self, node: MappingNode, key: str) -> Located[str] | None:
        text = _text(node, key)
        return text if text and text.value else None


def _text(node: MappingNode, key: str) -> Located[str] | None:
    entry = node.get(key)
    if entry is None or not isinstance(entry.value, ScalarNode) or entry.value.value is None:
        return None
    return Located(entry.value.text, entry.value.span)


def _items(node: MappingNode, key: str) -> tuple[TreeNode, ...]:
    entry = node.get(key)
    return entry.value.items if entry and isinstance(entry.value, SequenceNode) else ()


def _texts(node: MappingNode, key: str) -> Iterator[Located[str]]:
    for item in _items(node, key):
        if isinstance(item, ScalarNode):
            yield Located(item.text, item.span)


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
