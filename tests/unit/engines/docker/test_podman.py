"""Podman in docker's place: how it is known, what its builds say, and what it is not asked for."""

import os
from pathlib import Path

import pytest

from cogc.engines import EngineFailure
from cogc.engines.docker.build import BuildFailed, BuildRequest
from cogc.engines.docker.build_progress import BuildProgress
from cogc.engines.docker.cli import DockerCli
from cogc.engines.docker.podman import build_with_podman, is_podman
from tests.unit.engines.docker.test_objects import Shown

DOCKERFILE = """\
FROM python AS base
RUN true
FROM base AS model
COPY --link --from=base /a /a
ENV A=1
RUN touch /b
"""
LINES = """\
[1/2] STEP 1/2: FROM python AS base
[1/2] STEP 2/2: RUN true
--> Using cache 2ed3c20b3675be68b7ba328538a79444efc09d95b2c93373db79c8f72f1a8aa6
--> 2ed3c20b367
[2/2] STEP 1/4: FROM 2ed3c20b367 AS model
[2/2] STEP 2/4: COPY --from=base /a /a
--> 99ebcf70293
[2/2] STEP 3/4: ENV A=1
--> 99ebcf70294
[2/2] STEP 4/4: RUN touch /b
"""
WORKED = "[2/2] COMMIT x\n--> 753f8875000\nSuccessfully tagged localhost/x:latest\n"
FAILED = 'touch: no\nError: building at STEP "RUN touch /b": while running runtime: exit status 7\n'


@pytest.fixture
def program(tmp_path: Path):
    """A program that says what a build says; it keeps its words and the Dockerfile."""

    def make(end: str, status: int = 0) -> DockerCli:
        path = tmp_path / f"docker-{status}"
        path.write_text(
            "#!/bin/sh\n# podman\n"
            f'printf "%s\\n" "$@" > {tmp_path}/words\n'
            f'for word; do case $word in --file=*) cp "${{word#--file=}}" {tmp_path}/Dockerfile;; '
            '--iidfile=*) printf sha256:abc > "${word#--iidfile=}";; esac; done\n'
            f"cat <<'END'\n{LINES}{end}END\nexit {status}\n"
        )
        path.chmod(0o755)
        return DockerCli(Shown(), str(path))

    return make


def request(tmp_path: Path, **more) -> BuildRequest:
    return BuildRequest(context=tmp_path, dockerfile=DOCKERFILE, tags=("x",), **more)


def test_a_build_is_told_step_by_step(program, tmp_path: Path) -> None:
    progress = BuildProgress()
    result = build_with_podman(program(WORKED), request(tmp_path, labels=(("a", "b"),)), progress, lambda _: None)
    assert result.digest == "sha256:abc"
    assert [(step.stage, step.place, step.text, step.is_cached) for step in progress.steps] == [
        ("base", (1, 1), "RUN true", True),
        ("model", (1, 2), "COPY --from=base /a /a", False),
        ("model", (2, 2), "RUN touch /b", False),
    ]
    assert not any(step.is_running for step in progress.steps)
    words = (tmp_path / "words").read_text().split("\n")
    assert words[0] == "build"
    assert {"--tag=x", "--layers", "a=b"} <= set(words)
    assert "COPY --from=base" in (tmp_path / "Dockerfile").read_text()


def test_a_step_that_fails_is_known_with_its_code_and_output(program, tmp_path: Path) -> None:
    progress = BuildProgress()
    with pytest.raises(BuildFailed, match="exit code: 7") as failure:
        build_with_podman(program(FAILED, 125), request(tmp_path), progress, lambda _: None)
    assert failure.value.step is not None
    assert (failure.value.step.stage, failure.value.step.place) == ("model", (2, 2))
    assert failure.value.step.output[0] == "touch: no"


@pytest.mark.parametrize(
    "asked",
    [{"builder": "x"}, {"sbom": "true"}, {"provenance": "x"}, {"prints": True}, {"outputs": ("type=oci,dest=a",)}],
    ids=str,
)
def test_what_only_buildkit_has_is_refused(asked: dict, program, tmp_path: Path) -> None:
    with pytest.raises(EngineFailure) as failure:
        build_with_podman(program(WORKED), request(tmp_path, **asked), BuildProgress(), lambda _: None)
    assert [found.code for found in failure.value.diagnostics] == ["COG503"]
    assert not (tmp_path / "words").exists()


def test_podman_is_known_by_its_name_or_by_a_script(tmp_path: Path) -> None:
    podman, link, script, other = (tmp_path / name for name in ("podman", "link", "script", "other"))
    podman.write_bytes(b"\x7fELF")
    link.symlink_to(podman)
    script.write_text('#!/bin/sh\nexec /usr/bin/podman "$@"\n')
    other.write_bytes(b"\x7fELF podman")
    for path in (podman, script, other):
        os.chmod(path, 0o755)
    assert [is_podman(str(path)) for path in (link, script, other, tmp_path / "none")] == [True, True, False, False]
