"""What docker, buildx and registries print, word for word, and the diagnostics it becomes."""

from __future__ import annotations

import pytest

from cogc.engines.docker.problems import diagnose, known_problem

SAID = {
    "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock": "COG622",
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "
    '"http://%2Fvar%2Frun%2Fdocker.sock/v1.47/info": dial unix /var/run/docker.sock: connect: permission denied': "COG622",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?": "COG621",
    'error during connect: Get "https://10.0.0.1:2376/v1.47/info": dial tcp 10.0.0.1:2376: connect: refused': "COG621",
    'ERROR: no builder "nosuch" found': "COG621",
    "ERROR: failed to build: failed to solve: failed to copy files: userspace copy failed: write /x: no space left on device": "COG623",
    "docker: 'buildx' is not a docker command.\nSee 'docker --help'": "COG624",
    "docker: unknown command: docker buildx\n\nRun 'docker --help' for more information": "COG624",
    "ERROR: failed to build: OCI exporter is not supported for the docker driver.\nSwitch to a different driver, or turn on "
    "the containerd image store, and try again.\nLearn more at https://docs.docker.com/go/build-exporters/": "COG638",
    "unknown flag: --builder\nSee 'docker buildx --help'.": "COG624",
    "unknown flag: --progress\nSee 'docker --help'.": "COG624",
    "Error response from daemon: client version 1.51 is too new. Maximum supported API version is 1.41": "COG625",
    "unknown flag: --metadata-file\nSee 'docker buildx build --help'.": "COG625",
    "ERROR: invalid progress mode rawjson": "COG625",
    "ERROR: failed to build: failed to solve: failed to push localhost:5000/a/b: unexpected status from HEAD request to "
    "http://localhost:5000/v2/a/b/blobs/sha256:1: 401 Unauthorized": "COG640",
    "denied: requested access to the resource is denied": "COG640",
    "Error response from daemon: pull access denied for nosuch/x, repository does not exist or may require 'docker "
    "login': denied: requested access to the resource is denied": "COG640",
    "toomanyrequests: You have reached your pull rate limit.": "COG640",
    'Error response from daemon: Get "http://localhost:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused': "COG641",
    'failed to do request: Head "https://registry-1.docker.io/v2/library/x/manifests/1": dial tcp: lookup '
    "registry-1.docker.io on 10.0.0.53:53: no such host": "COG641",
    "http: server gave HTTP response to HTTPS client": "COG641",
    "Error response from daemon: No such image: nosuch:latest": "COG642",
    "ERROR: failed to build: failed to solve: localhost:5000/a:1: failed to resolve source metadata for localhost:5000/a:1: "
    "localhost:5000/a:1: not found": "COG642",
    "failed to finalize parent during merge: failed to commit a to b during finalize: failed to stat active key during"
    " commit: snapshot a does not exist: not found": "COG626",
    "ERROR: failed to solve: no match for platform in manifest: not found": "COG644",
    "image with reference x was found but its platform (linux/arm64) does not match the specified platform": "COG644",
    "something nobody has seen before": "COG626",
}


@pytest.mark.parametrize(("text", "code"), SAID.items(), ids=range(len(SAID)))
def test_text_becomes_a_diagnostic_with_advice(text: str, code: str) -> None:
    diagnostic = diagnose(text, "image inspect")
    assert diagnostic.code == code
    assert diagnostic.severity == "error"
    assert diagnostic.hint


def test_the_programs_own_words_are_kept_and_what_all_lines_begin_with_is_not() -> None:
    diagnostic = diagnose("Using default tag: latest\nError response from daemon: No such image: x:latest\n", "push")
    assert diagnostic.message == "there is no such image: No such image: x:latest"
    unknown = diagnose("ERROR: failed to build: failed to solve: strange", "buildx build")
    assert (unknown.code, unknown.message) == ("COG626", "`docker buildx build` failed: strange")
    assert diagnose("", "push").message == "`docker push` failed: it said nothing"


def test_texts_that_are_not_known_are_told_apart() -> None:
    assert known_problem("process did not complete successfully: exit code: 3") is None
    assert known_problem("no space left on device", subject="weights").message.startswith("weights: ")
