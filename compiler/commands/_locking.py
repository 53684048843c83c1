"""A project → its lock: compile, keep what an older lock has decided, and ask uv and registries for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import __version__
from ..backends.filters import UV_IMAGE
from ..diagnostics import Diagnostic, Severity, has_errors, report
from ..driver import Compilation, Source, compile_project, files_of_weights, matrix_of
from ..engines import EngineFailure, Reporter
from ..engines.docker.cli import DockerCli
from ..engines.docker.image_digests import image_digest
from ..frontend.files import FileProblem
from ..frontend.lower import BuildOptions
from ..ir.decisions import decision_changes
from ..ir.lock import Lock, LockedFile, LockedImage, LockedPackage, LockedPlatform
from ..ir.lock_drift import platform_of
from ..ir.lock_inputs import index_options, inputs_of
from ..ir.lock_keep import keep_decisions
from ..ir.nodes import ImageBase, InstallPython, Request, Resolution, ResolvedBuild
from ..ir.pipeline import run
from ..suggest import closest
from ._lock_packages import locked_packages

__all__ = ["Locking", "is_image", "lock_changes"]


@dataclass(slots=True, kw_only=True)
class Locking:
    """Makes one lock. `upgrades` are packages or images to decide anew; an empty name stands for everything.

    What there is to say gathers in `found`.
    """

    source: Source
    root: Path
    reporter: Reporter
    old: Lock | None
    upgrades: frozenset[str]
    allows_builds: bool
    found: list[Diagnostic] = field(default_factory=list)
    _digests: dict[str, str | None] = field(default_factory=dict)

    def lock(self, platforms: Sequence[BuildOptions]) -> Lock | None:
        """The lock for these platforms; None with errors. What uv cannot do is an `EngineFailure`."""
        matrix = matrix_of(self.source)
        compilations = [compile_project(self.source, options, matrix) for options in platforms]
        self._say(*(diagnostic for each in compilations for diagnostic in each.diagnostics))
        if has_errors(self.found):
            return None
        builds = [each.build for each in compilations if each.build is not None]
        inputs = inputs_of(builds[0].request)
        self._say(*self._unknown_upgrades())
        if has_errors(self.found):
            return None
        entries = tuple(self._platform(each) for each in compilations)
        self._say(*_built(entries))
        return Lock(
            cogc=__version__,
            matrix=matrix.version,
            matrix_sha256=matrix.checksum,
            inputs=inputs,
            weights=self._weights(),
            platforms=tuple(sorted(entries, key=lambda entry: entry.platform)),
        )

    def _say(self, *diagnostics: Diagnostic) -> None:
        self.found += [diagnostic for diagnostic in dict.fromkeys(diagnostics) if diagnostic not in self.found]

    # -- packages ------------------------------------------------------------------------------

    def _platform(self, compilation: Compilation) -> LockedPlatform:
        """The decisions for one platform: the old ones where nothing has changed, else what resolving gives."""
        build, fresh = compilation.build, compilation.resolved
        assert build is not None
        assert fresh is not None
        platform = platform_of(build.request)
        old = self.old.platform(platform) if self.old is not None and not self._upgrades_all else None
        if old is not None and self._is_unchanged(old, build.request):
            return replace(old, images=tuple(self._image(image.reference, old) for image in old.images))
        self.reporter.notice(f"Resolving the packages for {platform}...")
        kept = self._kept_build(compilation, old)
        resolved = fresh if kept is None else kept
        try:
            packages = self._packages(build.request, resolved.resolution, old)
        except EngineFailure:
            if kept is None:
                raise
            resolved = fresh  # what was decided once does not fit what is new
            packages = self._packages(build.request, fresh.resolution, old)
        resolution = resolved.resolution
        return LockedPlatform(
            platform=platform,
            resolution=replace(resolution, requirements=index_options(resolution), constraints=()),
            images=tuple(self._image(reference, old) for reference in _images(resolved)),
            packages=packages,
        )

    @property
    def _upgrades_all(self) -> bool:
        return "" in self.upgrades

    def _is_unchanged(self, old: LockedPlatform, request: Request) -> bool:
        """Whether the old decisions and packages are those that are wanted, without asking anybody."""
        assert self.old is not None
        names = {package.name for package in old.packages}
        if inputs_of(request) != self.old.inputs or names & self.upgrades:
            return False
        return all(
            package.source != "project" or self._digest(package.location or "") == package.sha256
            for package in old.packages
        )

    def _digest(self, path: str) -> str | None:
        try:
            return self.source.files.digest(path)
        except FileProblem:
            return None

    def _kept_build(self, compilation: Compilation, old: LockedPlatform | None) -> ResolvedBuild | None:
        """The build with the old decisions, where they still can be made without a new warning."""
        if old is None:
            return None
        assert self.old is not None
        assert compilation.build is not None
        request = keep_decisions(compilation.build.request, self.old, old, self.upgrades)
        resolved, found = run(replace(compilation.build, request=request), matrix_of(self.source), __version__)
        known = {diagnostic.code for diagnostic in compilation.diagnostics}
        is_worse = any(each.severity is not Severity.INFO and each.code not in known for each in found)
        return None if is_worse else resolved

    def _packages(
        self, request: Request, resolution: Resolution, old: LockedPlatform | None
    ) -> tuple[LockedPackage, ...]:
        kept = [
            (package.name, package.version)
            for package in (old.packages if old is not None else ())
            if package.source == "index" and package.name not in self.upgrades
        ]
        return locked_packages(
            request,
            resolution,
            self.root,
            self.reporter,
            matrix_of(self.source),
            kept=kept,
            upgrades=[name for name in self.upgrades if not is_image(name)],
            allows_builds=self.allows_builds,
        )

    def _unknown_upgrades(self) -> Iterator[Diagnostic]:
        """COG503 for a name that the lock does not have: nothing would happen."""
        if self.old is None:
            return
        entries = self.old.platforms
        known = {package.name for entry in entries for package in entry.packages}
        known |= {image.reference for entry in entries for image in entry.images}
        for name in sorted(self.upgrades - known - {""}):
            near = closest(name, sorted(known))
            yield report(
                "COG503",
                f"--upgrade {name}: the lock has no such package",
                hint=f"did you mean {near}?" if near else None,
            )

    # -- images and files ----------------------------------------------------------------------

    def _image(self, reference: str, old: LockedPlatform | None) -> LockedImage:
        """The image with its digest. Warning: COG267."""
        known = {image.reference: image.digest for image in (old.images if old is not None else ())}
        digest = None if reference in self.upgrades else known.get(reference)
        if digest is None:
            if reference not in self._digests:
                self._digests[reference] = image_digest(DockerCli(self.reporter), reference)
            digest = self._digests[reference]
        if digest is None:
            message = f"{reference} is not pinned: neither its registry nor a container engine here knows its digest"
            self._say(report("COG267", message, hint="`cogc lock` asks again where one of them can be reached"))
        return LockedImage(reference=reference, digest=digest)

    def _weights(self) -> tuple[LockedFile, ...]:
        files = self.source.files
        return tuple(
            LockedFile(path=entry.path, size_bytes=entry.size_bytes, sha256=files.digest(entry.path))
            for entry in files_of_weights(self.source)
        )


def is_image(name: str) -> bool:
    """Whether a name is that of an image with a tag, and so of no package."""
    return ":" in name or "/" in name


def _images(build: ResolvedBuild) -> tuple[str, ...]:
    """The images that the build takes from elsewhere, sorted; an image of the weights is made by the project."""
    found = {UV_IMAGE}  # the environment of the server is made with it
    for stage in build.stages:
        if isinstance(stage.base, ImageBase) and stage.name != "weights":
            found.add(stage.base.reference)
        found |= {step.image for step in stage.steps if isinstance(step, InstallPython) and step.image is not None}
    return tuple(sorted(found))


def _built(entries: Sequence[LockedPlatform]) -> Iterator[Diagnostic]:
    """COG268 for packages of which no hash covers what is installed."""
    for entry in entries:
        for package in entry.packages:
            if not package.is_built:
                continue
            what = f"{package.name} {package.version}"
            if package.source == "git":
                message = f"{what} is locked to the commit {(package.commit or '')[:12]} of {package.location}"
            else:
                message = f"{what} is locked to {package.file or package.location}"
            yield report("COG268", f"{message}, and built while the image is: what is installed has no hash")


def lock_changes(old: Lock | None, new: Lock) -> tuple[str, ...]:
    """What is different in the new lock, one phrase each; everything is new without an old one."""
    changes: list[str] = []
    for entry in new.platforms:
        before = old.platform(entry.platform) if old is not None else None
        if before is None:
            changes.append(f"+ {entry.platform}")
            continue
        changes += decision_changes(before.resolution, entry.resolution)
        changes += _package_changes(before, entry)
        images = {image.reference: image.digest for image in before.images}
        for image in entry.images:
            if image.reference in images and images[image.reference] != image.digest:
                changes.append(f"{image.reference} {_short(images[image.reference])} → {_short(image.digest)}")
    if old is not None:
        changes += (f"- {entry.platform}" for entry in old.platforms if new.platform(entry.platform) is None)
        changes += _weight_changes(old, new)
    return tuple(dict.fromkeys(changes))


def _package_changes(old: LockedPlatform, new: LockedPlatform) -> Iterator[str]:
    before = {package.name: package for package in old.packages}
    after = {package.name: package for package in new.packages}
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if was is None or now is None or was.version != now.version:
            yield f"{name} {was.version if was else 'none'} → {now.version if now else 'none'}"
        elif was != now:
            yield f"{name} {now.version}: another file"


def _weight_changes(old: Lock, new: Lock) -> Iterator[str]:
    before = {file.path: file.sha256 for file in old.weights}
    after = {file.path: file.sha256 for file in new.weights}
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"{path} {_short(before.get(path))} → {_short(after.get(path))}"


def _short(digest: str | None) -> str:
    return digest.removeprefix("sha256:")[:12] if digest else "none"
