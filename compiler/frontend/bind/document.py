"""The checked tree of cog.yaml → `Config`, with everything that a schema cannot say checked on the way.

Values that are wrong are left out of the result and reported; the caller stops if there are errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

from ...diagnostics import Diagnostic, Note, report
from ...ir.quantities import parse_size
from ...source import Span
from ..config import BuildConfig, Concurrency, Config, EnvironmentVariable, Located, Target
from ..files import Files
from ..parse import MappingNode, ScalarNode
from ..values import (
    check_image_name,
    check_repository,
    check_user,
    parse_cuda,
    parse_cudnn,
    parse_driver,
    parse_environment_variable,
    parse_python_version,
    parse_system_package,
    parse_target,
    project_path,
    unquoted_version,
)
from .commands import bind_commands
from .examples import bind_examples
from .reading import minor_of, non_empty_text_of, text_of, texts_of, whole_number
from .requirements import bind_requirements
from .weights import bind_weights

__all__ = ["bind"]

T = TypeVar("T")


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
            weights=self._keep(bind_weights(root)),
            examples=self._keep(bind_examples(root)),
        )
        if tests := root.get("tests"):
            self._found.append(report("COG127", "`tests` has no effect", tests.key_span))
        return config, tuple(self._found)

    def _prediction_target(self, root: MappingNode) -> Target | None:
        predict, run = text_of(root, "predict"), text_of(root, "run")
        if predict and predict.value and run and run.value:
            notes = [Note(message="`predict` is set here", span=predict.span)]
            message = "invalid run: only one of run or predict can be set"
            self._found.append(report("COG136", message, run.span, notes=notes))
            return None
        return self._target(root, "predict") if predict and predict.value else self._target(root, "run")

    def _target(self, root: MappingNode, key: Literal["predict", "run", "train"]) -> Target | None:
        written = text_of(root, key)
        if written is None or not written.value:
            return None
        return self._keep(parse_target(written.value, key, written.span))

    def _image(self, root: MappingNode) -> Located[str] | None:
        image = text_of(root, "image")
        if image is None or not image.value:
            return None
        self._found.extend(check_image_name(image.value, image.span))
        return image

    def _model(self, root: MappingNode) -> Located[str] | None:
        model, image = text_of(root, "model"), text_of(root, "image")
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
        count = whole_number(maximum.value) if maximum is not None else None
        if maximum is None or count is None:
            return None
        located = Located(count, maximum.value.span)
        python = build.python_version
        if located.value > 1 and python is not None and minor_of(python.value) < (3, 11):
            notes = [Note(message=f"Python {python.value} is set here", span=python.span)]
            self._found.append(
                report("COG141", "concurrency requires Python 3.11 or higher", located.span, notes=notes)
            )
        self._found.append(report("COG150", "newer models set concurrency with `@cog.concurrent`", entry.key_span))
        target = entry.value.get("default_target")
        return Concurrency(max=located, default_target=whole_number(target.value) if target is not None else None)

    def _environment(self, root: MappingNode) -> tuple[EnvironmentVariable, ...]:
        variables: dict[str, EnvironmentVariable] = {}
        for item in texts_of(root, "environment"):
            variable = self._keep(parse_environment_variable(item.value, item.span))
            if variable is not None and variable.name in variables:
                notes = [Note(message="it is first set here", span=variables[variable.name].span)]
                message = f'environment variable "{variable.name}" is already defined'
                self._found.append(report("COG140", message, item.span, notes=notes))
            elif variable is not None:
                variables[variable.name] = variable
        return tuple(variables.values())

    def _build(self, build: MappingNode) -> BuildConfig:
        gpu = build.get("gpu")
        is_gpu = None
        if gpu is not None and isinstance(gpu.value, ScalarNode) and isinstance(gpu.value.value, bool):
            is_gpu = Located(gpu.value.value, gpu.value.span)
        for key in ("fast", "cog_runtime"):
            if entry := build.get(key):
                self._found.append(report("COG127", f"`build.{key}` has no effect", entry.key_span))
        if sdk := text_of(build, "sdk_version"):
            message = f"`build.sdk_version` asks for {sdk.value}; the runtime bundled with cogc is used"
            self._found.append(report("COG147", message, sdk.span))
        config = BuildConfig(
            gpu=is_gpu,
            cuda=self._version(build, "cuda", parse_cuda),
            cudnn=self._version(build, "cudnn", parse_cudnn),
            gpu_models=tuple(self._gpu_models(build)),
            driver=self._version(build, "driver", parse_driver),
            python_version=self._version(build, "python_version", parse_python_version),
            python_requirements=non_empty_text_of(build, "python_requirements"),
            requirements=self._keep(bind_requirements(build, self._file, self._files)),
            system_packages=self._system_packages(build),
            commands=self._keep(bind_commands(build, self._files)),
            user=self._user(build),
            dockerfile_template=self._template(build),
            budget=self._budget(build),
        )
        first_model = next(iter(config.gpu_models), None)
        for name, value in (
            ("cuda", config.cuda),
            ("cudnn", config.cudnn),
            ("gpu_model", first_model),
            ("driver", config.driver),
        ):
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
        if key not in ("cudnn", "driver") and isinstance(node.value, float):
            self._found.append(unquoted_version(key, node.text, node.span))
        return Located(version, node.span)

    def _gpu_models(self, build: MappingNode) -> Iterator[Located[str]]:
        """One name, or a list of them."""
        one = non_empty_text_of(build, "gpu_model")
        names = [one] if one is not None else [name for name in texts_of(build, "gpu_model") if name.value.strip()]
        yield from {name.value.strip().lower(): name for name in reversed(names)}.values()

    def _system_packages(self, build: MappingNode) -> tuple[Located[str], ...]:
        packages: dict[str, Located[str]] = {}  # each once, where it is first named
        for item in texts_of(build, "system_packages"):
            names, found = parse_system_package(item.value, item.span)
            self._found.extend(found)
            for name in names:
                packages.setdefault(name, Located(name, item.span))
        return tuple(packages.values())

    def _user(self, build: MappingNode) -> Located[str] | None:
        user = text_of(build, "user")
        if user is not None:
            self._found.extend(check_user(user.value, user.span))
        return user

    def _budget(self, build: MappingNode) -> Located[int] | None:
        entry = build.get("budget")
        if entry is None or not isinstance(entry.value, ScalarNode) or not entry.value.text:
            return None
        size = parse_size(entry.value.text)
        if not size:
            message = f"`build.budget` is no size: {entry.value.text}"
            self._found.append(report("COG123", message, entry.value.span, hint="write 6GB, 500 MB or 1.5GiB"))
            return None
        return Located(size, entry.value.span)

    def _template(self, build: MappingNode) -> Located[str] | None:
        template = text_of(build, "dockerfile_template")
        if template is None:
            return None
        path = project_path(template.value)
        if path is None:
            self._found.append(report("COG148", f"`{template.value}` is outside the project", template.span))
            return None
        return Located(path, template.span)

    def _keep(self, result: tuple[T, tuple[Diagnostic, ...]]) -> T:
        value, found = result
        self._found.extend(found)
        return value
