"""What holds for every cog.yaml: hostile bytes give findings, valid configurations give valid builds."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cogc._data import load_schema, runtime_files
from cogc.backends.context import staged_files
from cogc.backends.dockerfile import DockerfileOptions, emit_dockerfile
from cogc.backends.quoting import copy_arguments, env_value, shell_word
from cogc.catalogue import CATALOGUE
from cogc.diagnostics import Diagnostic, has_errors
from cogc.frontend.parse import decode, parse
from cogc.ir.document import from_document, to_document
from cogc.ir.node import Cause
from cogc.ir.nodes import BindMount, CacheMount, Copy, Env, Label, Node, Run, SecretMount, StagedFile, Variable
from cogc.ir.passes.drop_empty_stages import drop_empty_stages
from cogc.ir.passes.merge_steps import merge_steps
from cogc.ir.passes.order_for_cache import order_for_cache
from cogc.ir.passes.resolve_build import resolve_build
from cogc.ir.pipeline import passes
from cogc.ir.text import render_ir
from cogc.ir.verify import verify
from cogc.source import Span
from tests.build_requests import MATRIX
from tests.builds import compiled
from tests.dockerfile_reader import instructions, labels, variables, words
from tests.examples import examples

pytestmark = pytest.mark.property

KEYS = sorted(
    {
        *load_schema("cog")["properties"],
        *(k for d in load_schema("cog")["$defs"].values() for k in d.get("properties", ())),
    }
)
FILES = {"predict.py": "class P:\n    def predict(self, a: int) -> str: ...\n", "r.txt": "-r r.txt\nnumpy\n./x.whl\n"}

# -- hostile input ---------------------------------------------------------------------------------

fragments = st.sampled_from(
    [
        *KEYS,
        *(f"{key}: " for key in KEYS),
        *(
            "\n",
            "\n  ",
            "\n    ",
            "\n  - ",
            ": ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            ",",
            "'",
            '"',
            "|\n",
            ">-\n",
            "# x",
            "\t",
            "\r",
        ),
        *(
            "&a ",
            "*a",
            "<<: *a",
            "---\n",
            "...\n",
            "!!str ",
            "!!python/object:x ",
            "%YAML 1.2\n",
            "? ",
            "\ufeff",
            "\u2028",
        ),
        *("3.10", "'3.12'", "true", "null", "12.1", "1e9", "0o7", "predict.py:P", "r.txt", "../x", "/etc/passwd", "-1"),
        *(
            "torch==2.3",
            "torch>=2",
            "tensorflow==2.12.0",
            "flash-attn",
            "git+https://x/y",
            "$HOME",
            "`x`",
            "A=1",
            "é",
            "🙂",
        ),
        *("secret", "cache", "bind", "libgl1-mesa-glx", "a b", "-y", "x" * 300, "9" * 400, "\x00", "\x1b[31m"),
    ]
)
texts = st.lists(fragments | st.text(max_size=4), max_size=25).map("".join)


def check_findings(found: tuple[Diagnostic, ...]) -> None:
    assert all(diagnostic.code in CATALOGUE for diagnostic in found)
    for span in (diagnostic.span for diagnostic in found):
        assert span is None or (1 <= span.line <= span.end_line and span.column >= 1 and span.end_column >= 1)


@given(st.binary(max_size=200) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_build_or_errors(raw: bytes) -> None:
    compilation = compiled(raw, FILES)
    check_findings(compilation.diagnostics)
    assert (compilation.resolved is None) == has_errors(compilation.diagnostics)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(0, 20)
    | st.text(max_size=12)
    | fragments.filter(lambda f: "\n" not in f),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=6))
def test_any_value_of_a_real_key_gives_a_build_or_errors(document: dict[str, Any]) -> None:
    compilation = compiled(yaml.safe_dump(document, allow_unicode=True), FILES)
    check_findings(compilation.diagnostics)
    assert (compilation.resolved is None) == has_errors(compilation.diagnostics)


@given(texts)
def test_spans_lie_inside_the_text(text: str) -> None:
    source, _ = decode(text.encode("utf-8", "replace"), "cog.yaml")
    if source is None:
        return
    root, found = parse(source)
    rows = source.text.split("\n")
    spans = [d.span for d in found] + ([entry.key_span for entry in root.entries] if root else [])
    for span in spans:
        assert span is not None
        assert span.line <= len(rows)
        assert span.column <= len(rows[span.line - 1]) + 1


# -- valid configurations --------------------------------------------------------------------------

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
plain = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)
requirements = st.sampled_from(
    [
        *(
            "numpy",
            "numpy==1.26.4",
            "pandas>=2,<3",
            "torch",
            "torch==2.3",
            "torch==2.8.0",
            "torch>=2.1",
            "torch==1.12.1",
        ),
        *(
            "torch==2.3.1+cu118",
            "torchvision",
            "tensorflow==2.15.0",
            "tensorflow[and-cuda]==2.18.0",
            "onnxruntime-gpu==1.20.0",
        ),
        *(
            "flash-attn",
            "vllm==0.11.0",
            "git+https://example.com/a.git@0123456",
            "x @ https://example.com/x-1-py3-none-any.whl",
        ),
        *("a; python_version < '3.9'", "uvicorn[standard]", "torch==99.0"),
    ]
)
mounts = st.one_of(
    st.fixed_dictionaries({"type": st.just("secret"), "id": names, "target": names.map("/{}".format)}),
    st.fixed_dictionaries({"type": st.just("cache"), "target": names.map("/{}".format)}),
    st.just({"type": "bind", "source": "r.txt", "target": "/r"}),
)
commands = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r\0\x85\u2028\u2029<"), min_size=1, max_size=25
).filter(lambda text: text.strip() != "" and not text.strip().startswith(("--", "[")))
builds = st.fixed_dictionaries(
    {},
    optional={
        "gpu": st.booleans(),
        "python_version": st.sampled_from(["3.8", "3.10", "3.11", "3.12", "3.13", "3.14", "3.10.4"]),
        "cuda": st.sampled_from(["11.8", "12.1", "12.4", "12.4.1"]),
        "python_packages": st.lists(requirements, max_size=4),
        "system_packages": st.lists(st.sampled_from(["git", "ffmpeg", "libgl1-mesa-glx", "g++", "x=1:2"]), max_size=4),
        "run": st.lists(
            commands | st.fixed_dictionaries({"command": commands, "mounts": st.lists(mounts, max_size=2)}), max_size=3
        ),
        "user": st.sampled_from(["model", "1000", "1000:1000"]),
    },
)
configs = st.fixed_dictionaries(
    {"build": builds},
    optional={
        "image": st.sampled_from(["a/b", "r8.im/a/b:c"]),
        "predict": st.just("predict.py:P"),
        "environment": st.dictionaries(names.map("V_{}".format), plain, max_size=4).map(
            lambda pairs: [f"{name}={value}" for name, value in pairs.items()]
        ),
    },
)
options = st.fixed_dictionaries(
    {},
    optional={
        "platform": st.sampled_from(["linux/amd64", "linux/arm64"]),
        "use_cuda_base": st.sampled_from(["true", "false"]),
        "installer": st.sampled_from(["uv", "pip"]),
        "cuda_python": st.sampled_from(["uv", "apt", "image"]),
        "separate_weights": st.booleans(),
        "with_source": st.booleans(),
        "strips": st.booleans(),
        "precompiles": st.booleans(),
        "installs_tools": st.booleans(),
        "certificate": st.just("PEM\n"),
        "sizes": st.sampled_from([{}, {"w/a.bin": 20_000_000}, {"b.bin": 20_000_000, "d/w/a b.bin": 10**10}]),
    },
)


@examples(60)
@given(configs, options, st.booleans(), st.sampled_from([(1, 4), (1, 19)]))
def test_a_valid_configuration_is_a_valid_build_and_dockerfile(
    config: dict[str, Any], chosen: dict[str, Any], inline: bool, frontend: tuple[int, int]
) -> None:
    compilation = compiled(yaml.safe_dump(config, allow_unicode=True), FILES, **chosen)
    assert compilation.build is not None, compilation.diagnostics
    resolved, found = resolve_build(compilation.build, MATRIX)
    assert (resolved is None) == has_errors(found)
    if resolved is None:
        of_versions = {"COG221", "COG222", "COG223", "COG226", "COG235", "COG236", "COG237", "COG238", "COG239"}
        assert {d.code for d in found if d.severity == "error"} <= of_versions
        return
    verify(resolved)
    for step in passes("0.0.0"):
        resolved = step(resolved)
        verify(resolved)
    for build in (compilation.build, resolved):
        assert to_document(from_document(json.loads(json.dumps(to_document(build))))) == to_document(build)
    written, problems = emit_dockerfile(
        resolved,
        staged_files(resolved, runtime_files()),
        DockerfileOptions(version="0.0.0", inline=inline, frontend=frontend),
    )
    assert written is not None, problems
    assert instructions(written)[-1].keyword in ("LABEL", "USER")
    for pair in config.get("environment", ()):
        name, _, value = pair.partition("=")
        assert variables(written)[name] == value
    assert json.loads(labels(written)["run.cog.config"])["image"]


@examples(30)
@given(configs)
def test_passes_are_idempotent(config: dict[str, Any]) -> None:
    build = compiled(yaml.safe_dump(config, allow_unicode=True), FILES).resolved
    if build is not None:
        for step in (merge_steps, drop_empty_stages, order_for_cache):
            assert step(step(build)) == step(build)


# -- the IR as text --------------------------------------------------------------------------------

short = st.text(st.sampled_from('ab\n"\\ ,[]=#@|é\u2028\x1b'), max_size=6)
causes = st.builds(Cause, kind=st.sampled_from(["config", "rule"]), text=short)
mount_nodes = st.one_of(
    st.builds(SecretMount, id=short, target=st.none() | short, env=st.none() | short, is_required=st.booleans()),
    st.builds(CacheMount, id=short, target=short),
    st.builds(BindMount, source=short, target=short),
)
variable_nodes = st.builds(Variable, name=short, value=short, mode=st.sampled_from(["set", "prepend", "append"]))
nodes = st.one_of(
    st.builds(
        Run,
        command=short,
        mounts=st.lists(mount_nodes, max_size=2).map(tuple),
        because=st.lists(causes, max_size=1).map(tuple),
    ),
    st.builds(Env, variables=st.lists(variable_nodes, max_size=3).map(tuple)),
    st.builds(Copy, sources=st.lists(short, max_size=3).map(tuple), destination=short, from_stage=st.none() | short),
    st.builds(Label, labels=st.lists(st.tuples(short, short), max_size=3).map(tuple)),
    st.builds(StagedFile, path=short, content=short, origin=st.none() | st.just(Span("cog.yaml", 1, 2, 3, 4))),
)


@examples(300)
@given(nodes, nodes)
def test_the_text_tells_different_nodes_apart(left: Node, right: Node) -> None:
    if left != right:
        assert _without_causes(render_ir(left)) != _without_causes(render_ir(right))
    assert render_ir(left) == render_ir(left)


def _without_causes(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("# ")).replace(
        "  @ cog.yaml:1:2", ""
    )


# -- quoting ---------------------------------------------------------------------------------------

any_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@examples(20)
@given(st.lists(any_text, min_size=1, max_size=60))
def test_shell_words_survive_a_real_shell(batch: list[str]) -> None:
    script = "printf '%s\\0' " + " ".join(map(shell_word, batch))
    printed = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
    assert printed.decode().split("\0")[:-1] == batch


@given(any_text.filter(lambda text: "\n" not in text))
def test_values_survive_env_and_label(text: str) -> None:
    assert words(f"NAME={env_value(text)}") == [f"NAME={text}"]


@given(any_text.filter(lambda text: "\n" not in text))
def test_destinations_survive_copy(text: str) -> None:
    assert words(copy_arguments(["a"], f"/src/{text}")) == ["a", f"/src/{text}"]
