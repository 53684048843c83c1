"""The images that both back ends make of a project, compared."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cogc.backends.llb.ops import Platform
from cogc.backends.llb.schema import LLB
from cogc.engines.buildkit.address import find_address
from cogc.engines.buildkit.client import Bridge, Export, Result, build
from cogc.engines.buildkit.context_files import ContextDirectory
from cogc.engines.buildkit.grpc import Connection
from cogc.engines.buildkit.session import Offers
from cogc.engines.buildkit.transport import connect
from tests.e2e.images import Engine, Entry, Image, Project, cogc_program

# Left out: what the engine mounts into every container, and the time-stamped caches of the package manager.
_ROOTS = ("/bin", "/etc", "/home", "/lib", "/opt", "/root", "/sbin", "/src", "/tmp", "/usr", "/var")
_MOUNTED = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab")
_CHANGING = re.compile(r"\.pyc$|^/var/(?:log|cache|lib/(?:apt|dpkg))/|^/etc/ld\.so\.cache$|^/tmp/|^/var/tmp/")

# Options with which `cogc build` is not repeated for the comparison. The project's record of its weights image has
# room for one image.
_NOT_TWICE = ("--engine", "--dockerfile", "-o", "--output", "--push", "--separate-weights")


def assert_equal(ours: Image, theirs: Image, names: Mapping[str, str] | None = None) -> None:
    """The same files with modes, owners, contents and links, and the same configuration and labels.

    `names` are those that ours may have where theirs has others.
    """
    assert _differences(_tree(ours), _tree(theirs)) == []
    config = _config(ours)
    for name, other in (names or {}).items():
        config["Labels"] = {key: value.replace(name, other) for key, value in config.get("Labels", {}).items()}
    assert _differences(config, _config(theirs)) == []


def _tree(image: Image) -> dict[str, Entry]:
    return {path: _comparable(path, entry) for path, entry in image.tree(*_ROOTS).items() if path not in _MOUNTED}


def _comparable(path: str, entry: Entry) -> Entry:
    """What must be the same: of files that tell the time only that they are there."""
    return Entry(entry.mode, entry.owner, 0, "") if _CHANGING.search(path) else entry


def _config(image: Image) -> dict[str, Any]:
    config = dict(image.config)
    # The name of the image is in them, which tells how it was built.
    config["Labels"] = {name: re.sub("buildkit-|docker-", "", value) for name, value in image.labels.items()}
    return {key: value for key, value in config.items() if value}


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """The first of them: whole trees would be too much to print."""
    names = sorted(ours.keys() | theirs.keys())
    found = [(name, ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)]
    return found[:10]


# -- definitions ---------------------------------------------------------------------------------


class NoDefinition(Exception):
    """There is none for these options; the text is why."""


class _Written:
    """A definition that was read from a file."""

    def __init__(self, data: bytes) -> None:
        self.message = LLB.decode("Definition", data)


def build_definition(
    engine: Engine,
    project: Project,
    name: str,
    options: Sequence[str],
    *,
    images: Sequence[str],
    secrets: Mapping[str, Callable[[], bytes]] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Image:
    """What `cogc compile --emit llb` writes, built as `buildctl` would. `images` are those it may start from."""
    options = [*options, *(() if engine.has_containerd_store else ("--no-merge",))]
    for number, image in enumerate(images):
        place = project.root.with_name(f"base-{number}.json")
        place.write_text(engine.text("image", "inspect", image))
        options += ["--base-config", f"{image}={place}"]
    done = subprocess.run(
        [cogc_program(), "compile", *options, "--emit", "llb"],
        cwd=project.root,
        env=project.environment(environment),
        capture_output=True,
    )
    if done.returncode:
        raise NoDefinition(done.stderr.decode())
    document = json.loads(project.compile(*options, "--emit", "image-config", environment=environment).stdout)
    reference = engine.name(name)

    def frontend(bridge: Bridge) -> Result:
        solved = bridge.solve(_Written(done.stdout), evaluates=True)  # type: ignore[arg-type]
        return Result(((Platform("linux", "amd64"), solved, document),))

    connection = Connection(connect(find_address(None)))
    try:
        offers = Offers(directories={"context": ContextDirectory(project.root)}, secrets=secrets or {})
        export = Export(exporters=[("moby", {"name": f"docker.io/library/{reference}"})])
        build(connection, offers, export, frontend, lambda change: None)
    finally:
        connection.close()
    return Image(engine, reference)


@dataclass(slots=True)
class ComparingEngine(Engine):
    """Builds a project's Dockerfile, and its definition as well, and compares the images.

    `compared` are the names of those; `left_out` others, with the reason.
    """

    compared: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def compile_and_build(
        self,
        name: str,
        project: Project,
        *options: str,
        build: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> Image:
        """The image of the Dockerfile."""
        theirs = Engine.compile_and_build(self, name, project, *options, build=build, environment=environment)
        try:
            ours = build_definition(
                self,
                project,
                f"{name}-definition",
                options,
                images=self._images(project),
                secrets=_secrets(build, project.root, project.environment(environment)),
                environment=environment,
            )
        except NoDefinition as reason:
            self.left_out.append((name, str(reason).strip().partition("\n")[0]))
        else:
            assert_equal(ours, theirs)
            self.compared.append(name)
        return theirs

    def compare_built(self, project: Project, words: Sequence[str], environment: Mapping[str, str] | None) -> None:
        """Build what `cogc build` built with the other engine as well, and compare the images."""
        tag = next((number + 1 for number, word in enumerate(words) if word in ("-t", "--tag")), None)
        others = [
            word for word in words if word.split("=")[0] in ("--engine", "--dockerfile", "-o", "--output", "--push")
        ]
        if tag is None or others:
            self.left_out.append((" ".join(words), "it has no tag" if tag is None else f"it has {others[0]}"))
            return
        name = words[tag]
        reference = self.name(f"{len(self.compared)}-built")
        words = [*words[:tag], reference, *words[tag + 1 :], "--engine", "buildkit"]
        done = subprocess.run(
            [cogc_program(), *words], cwd=project.root, env=project.environment(environment), capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        assert_equal(Image(self, reference), Image(self, name), {reference: name})
        self.compared.append(name)

    def _images(self, project: Project) -> list[str]:
        """Those that stages of the Dockerfile start from; what a registry alone has by this digest is fetched."""
        text = (project.root / "Dockerfile").read_text()
        found = dict.fromkeys(re.findall(r"^FROM (?:--platform=\S+ )?(\S+)", text, re.MULTILINE))
        return [image for image in found if self.has(image) or ("@" in image and self._fetch(image))]

    def _fetch(self, image: str) -> bool:
        self.references.append(image)
        return self.docker("pull", "--quiet", image).returncode == 0


def _secrets(options: Sequence[str], root: Path, environment: Mapping[str, str]) -> dict[str, Callable[[], bytes]]:
    """Those that options of `docker build` give."""
    found: dict[str, Callable[[], bytes]] = {}
    words = iter(options)
    for word in words:
        name, _, value = word.partition("=")
        if name != "--secret":
            raise NoDefinition(f"it is built with {word}")
        fields = dict(one.split("=", 1) for one in (value or next(words)).split(","))
        if "env" in fields:
            content = environment[fields["env"]].encode()
        elif "src" in fields or "source" in fields:
            content = (root / (fields.get("src") or fields["source"])).read_bytes()
        else:
            content = environment[fields["id"]].encode()
        found[fields["id"]] = lambda content=content: content  # type: ignore[misc]
    return found
