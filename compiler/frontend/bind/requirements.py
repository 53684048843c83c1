"""`python_packages`, `python_requirements` and the older keys beside them → requirement lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...diagnostics import Diagnostic, report
from ...ir.requirement import Requirement
from ..config import Located
from ..files import FileProblem, Files
from ..parse import MappingNode, ScalarNode
from ..requirements import decode_requirements, parse_requirement_line, parse_requirements
from ..values import project_path
from .reading import items_of, non_empty_text_of, texts_of

__all__ = ["bind_requirements"]


def bind_requirements(
    build: MappingNode, file: str, files: Files
) -> tuple[tuple[Requirement, ...], tuple[Diagnostic, ...]]:
    """The lines in order; `file` is the configuration's name. Codes: COG126, COG137, COG148, COG20x."""
    binder = _RequirementBinder(file, files)
    return binder.requirements(build), tuple(binder.found)


class _RequirementBinder:
    def __init__(self, file: str, files: Files) -> None:
        self._file = file
        self._files = files
        self.found: list[Diagnostic] = []

    def requirements(self, build: MappingNode) -> tuple[Requirement, ...]:
        packages, path = items_of(build, "python_packages"), non_empty_text_of(build, "python_requirements")
        if packages and path is not None:
            message = "invalid build: only one of python_packages or python_requirements can be set, not both"
            self.found.append(report("COG137", message, path.span))
            return ()
        lines = [*self._old_options(build)]
        if path is not None:
            lines += self._requirements_file(path)
        for node in packages:
            if isinstance(node, ScalarNode):
                requirement, found = parse_requirement_line(node.text, node.span, self._files)
                self.found.extend(found)
                lines += [requirement] if requirement else []
        return self._overridden(build, tuple(lines))

    def _requirements_file(self, path: Located[str]) -> Iterable[Requirement]:
        name = project_path(path.value)
        if name is None or self._files.kind(name) == "outside":
            self.found.append(report("COG148", f"`{path.value}` is outside the project", path.span))
            return ()
        try:
            text = decode_requirements(self._files.read(name))
        except FileProblem as problem:
            reason = "file does not exist" if problem.reason == "does not exist" else f"file {problem.reason}"
            message = f'invalid build.python_requirements "{path.value}": {reason}'
            self.found.append(report("COG200", message, path.span, hint=f"paths are relative to {self._file}"))
            return ()
        except UnicodeDecodeError as error:
            message = f'invalid build.python_requirements "{path.value}": the file {error.reason}'
            self.found.append(report("COG200", message, path.span))
            return ()
        requirements, found = parse_requirements(name, text, self._files)
        self.found.extend(found)
        return requirements

    def _old_options(self, build: MappingNode) -> Iterator[Requirement]:
        for key, option in (("python_find_links", "--find-links"), ("python_extra_index_urls", "--extra-index-url")):
            entry = build.get(key)
            if entry is None:
                continue
            message = f'deprecated field "build.{key}": write `{option} URL` in a requirements file instead'
            self.found.append(report("COG126", message, entry.key_span))
            for item in texts_of(build, key):
                line = f"{option} {item.value}"
                yield Requirement(text=line, kind="option", options=((option, item.value),), origin=item.span)

    def _overridden(self, build: MappingNode, lines: tuple[Requirement, ...]) -> tuple[Requirement, ...]:
        path = non_empty_text_of(build, "python_overrides")
        if path is None:
            return lines
        message = 'deprecated field "build.python_overrides": its lines replace those of the same package'
        self.found.append(report("COG126", message, path.span))
        overrides = {line.name: line for line in self._requirements_file(path) if line.name}
        replaced = [overrides.pop(line.name, line) if line.name else line for line in lines]
        return (*replaced, *overrides.values())
