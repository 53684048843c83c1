"""Coverage-guided fuzzing of what reads hostile text, with atheris where it can be installed.

    pip install atheris
    python tests/fuzz/fuzz.py {config,requirements,dockerignore,signature,project} [libFuzzer options]

For example `python tests/fuzz/fuzz.py config -max_total_time=60`. Any exception is a finding: hostile text gives
diagnostics. Without atheris the same targets run on random bytes by `pytest -m property`.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["cogc"]):
    from cogc.backends.dockerfile import DockerfileOptions, emit_dockerfile
    from cogc.driver import Source, bundled_matrix, compile_project
    from cogc.frontend.dockerignore import Dockerignore
    from cogc.frontend.lower import BuildOptions
    from cogc.frontend.parse import decode, parse
    from cogc.frontend.requirements import decode_requirements, parse_requirements
    from cogc.frontend.signature import analyse_target

from tests.memory_files import MemoryFiles

MATRIX = bundled_matrix()


def config(data: bytes) -> None:
    """Bytes of cog.yaml → tree."""
    source, _ = decode(data, "cog.yaml")
    if source is not None:
        parse(source)


def requirements(data: bytes) -> None:
    """Bytes of a requirements file."""
    try:
        text = decode_requirements(data)
    except UnicodeDecodeError:
        return
    parse_requirements("requirements.txt", text, MemoryFiles({"a.whl": b"", "r.txt": b"six"}))


def dockerignore(data: bytes) -> None:
    """Patterns, and a path to hold against them."""
    patterns, _, path = data.decode("utf-8", "surrogateescape").partition("\0")
    ignored, _ = Dockerignore.parse(patterns)
    ignored.excludes(path or "a/b")


def signature(data: bytes) -> None:
    """Bytes of predict.py."""
    analyse_target(MemoryFiles({"predict.py": data}), "predict.py", "Predictor", mode="predict")


def project(data: bytes) -> None:
    """Bytes of cog.yaml → Dockerfile."""
    files = MemoryFiles({"cog.yaml": data, "predict.py": b"def predict(a: str) -> str: ..."})
    source = Source(config=data, name="cog.yaml", directory="p", files=files)
    done = compile_project(source, BuildOptions(), MATRIX)
    if done.resolved is not None and not done.has_errors:
        emit_dockerfile(done.resolved, done.staged, DockerfileOptions(version="0"))


TARGETS = {target.__name__: target for target in (config, requirements, dockerignore, signature, project)}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        print(__doc__, file=sys.stderr)
        raise SystemExit(2)
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
