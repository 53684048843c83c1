"""Configuration and facts → unresolved IR: which stages, which steps, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cogc.diagnostics import Diagnostic, report
from cogc.frontend.bind import bind
from cogc.frontend.lower import BuildOptions, ProjectFacts, lower, readable_size
from cogc.frontend.parse import parse
from cogc.frontend.weights import Weights
from cogc.ir.nodes import (
    Build,
    CaCertificate,
    Copy,
    Env,
    ImageBase,
    ModelSchema,
    OpenStage,
    Precompile,
    Process,
    Run,
    ScratchBase,
    SourceCode,
    StageBase,
    User,
    UserAccount,
    WantedPythonPackages,
)
from cogc.source import SourceFile, Span
from tests.memory_files import MemoryFiles

WEIGHTS = Weights(("checkpoints",), ("w.bin",), (("checkpoints", 20_000_000), ("w.bin", 30_000_000)))


def build(
    text: str = "",
    options: BuildOptions | None = None,
    *,
    weights: Weights | None = None,
    file: str = "cog.yaml",
    hidden: tuple[str, ...] = (".cog",),
    certificate: str | None = None,
    schema: str | None = None,
    gaps: tuple[Diagnostic, ...] = (),
) -> Build:
    root, _ = parse(SourceFile(file, text))
    assert root is not None
    config, _ = bind(root, file, MemoryFiles({"predict.py": ""}))
    facts = ProjectFacts(
        directory="My Model",
        weights=weights or Weights(),
        hidden=hidden,
        certificate=certificate,
        schema=schema,
        schema_gaps=gaps,
    )
    return lower(config, facts, options or BuildOptions())


def stage(of: Build, name: str) -> OpenStage:
    return next(stage for stage in of.stages if stage.name == name)


def variables(of: Build, stage_name: str) -> dict[str, str]:
    return {v.name: v.value for step in stage(of, stage_name).steps if isinstance(step, Env) for v in step.variables}


def test_stages_are_in_build_order() -> None:
    assert [s.name for s in build().stages] == ["python", "base", "packages", "server", "model"]
    with_weights = [s.name for s in build(weights=WEIGHTS).stages]
    assert with_weights == ["python", "base", "packages", "server", "weights", "model"]


def test_process_1_has_a_stage_of_its_own_where_the_base_image_may_have_no_apt() -> None:
    made = build(options=BuildOptions(base_image="own:1"))
    assert [s.name for s in made.stages] == ["python", "base", "packages", "init", "server", "model"]


GAP = report("COG410", "the default is computed", Span.of_file("predict.py"))


def test_a_schema_that_the_source_leaves_open_has_stages_on_top_of_the_model() -> None:
    made = build("predict: predict.py:P\nbuild: {user: model}", gaps=(GAP, replace(GAP, span=Span.of_file("train.py"))))
    assert [s.name for s in made.stages[-3:]] == ["model", "schema", "complete"]
    schema, complete = stage(made, "schema"), stage(made, "complete")
    assert schema.base == complete.base == StageBase(stage="model")
    (step,) = schema.steps
    assert step == ModelSchema(destination="/tmp/cogc-schema/openapi_schema.json")
    assert [(cause.text, cause.span) for cause in step.because[1:2]] == [(GAP.message, GAP.span)]
    assert "predict.py and train.py do not say" in schema.because[0].text
    assert complete.steps == (Copy(sources=("/tmp/cogc-schema/",), destination="/src/.cog/", from_stage="schema"),)
    assert [s for s in made.stages[-3].steps if isinstance(s, User)], "the model is imported as its user"


@pytest.mark.parametrize(
    "made",
    [
        build("predict: predict.py:P"),
        build("predict: predict.py:P", schema="{}"),
        build("predict: predict.py:P", BuildOptions(with_source=False), gaps=(GAP,)),
    ],
)
def test_a_schema_that_is_known_or_cannot_be_read_in_the_image_has_none(made: Build) -> None:
    assert made.stages[-1].name == "model"


def test_only_gpu_images_see_devices() -> None:
    assert "NVIDIA_VISIBLE_DEVICES" not in variables(build(), "base")
    assert variables(build("build: {gpu: true}"), "base")["NVIDIA_VISIBLE_DEVICES"] == "all"


def test_environment_is_sorted_by_name() -> None:
    names = list(variables(build("environment: [B=2, A=1]"), "base"))
    assert names[-2:] == ["A", "B"]


def test_targets_and_concurrency_are_in_the_environment() -> None:
    found = variables(build("predict: predict.py:P\ntrain: train.py:t\nconcurrency: {max: 4}"), "model")
    assert found["COG_PREDICT_TYPE_STUB"] == "predict.py:P"
    assert found["COG_TRAIN_TYPE_STUB"] == "train.py:t"
    assert found["COG_MAX_CONCURRENCY"] == "4"


def test_weights_are_copied_from_a_stage_without_a_base_and_kept_out_of_the_code() -> None:
    made = build(weights=WEIGHTS)
    weights, model = stage(made, "weights"), stage(made, "model")
    assert weights.base == ScratchBase()
    assert weights.because[0].text == "1 directory and 1 file, 50 MB"
    copies = [step for step in model.steps if isinstance(step, Copy) and step.from_stage == "weights"]
    assert [copy.destination for copy in copies] == ["/src/checkpoints", "/src/w.bin"]
    assert all(copy.is_linked for copy in copies)
    (code,) = (step for step in model.steps if isinstance(step, SourceCode))
    assert code.excludes == (".cog", "checkpoints", "w.bin")


def test_separate_weights_come_from_an_image_of_the_same_name() -> None:
    made = build("image: team/model", BuildOptions(separate_weights=True), weights=WEIGHTS)
    assert stage(made, "weights").base == ImageBase(reference="team/model-weights")
    assert len(made.weight_layers) == 2


@pytest.mark.parametrize(
    ("text", "option", "name"),
    [
        ("", None, "cog-my-model"),
        ("image: a/b", None, "a/b"),
        ("model: a/m", None, "a/m"),
        ("image: a/b", "c/d:e", "c/d:e"),
    ],
)
def test_the_image_name(text: str, option: str | None, name: str) -> None:
    assert build(text, BuildOptions(image_name=option)).summary.image == name


def test_commands_say_which_secrets_they_see() -> None:
    made = build("build: {run: [{command: x, mounts: [{type: secret, id: a, target: /a}]}, y]}")
    first, second = (step for step in stage(made, "model").steps if isinstance(step, Run))
    assert [cause.text for cause in first.because] == ["build.run", "the secret `a` is mounted, never stored"]
    assert [str(cause) for cause in second.because] == ["build.run (cog.yaml:1)"]


@pytest.mark.parametrize(
    ("text", "option", "account", "user"),
    [
        ("", None, None, None),
        ("build: {user: model}", None, "model", "model"),
        ("build: {user: 'model:staff'}", None, "model", "model:staff"),
        ("build: {user: '1000:50'}", None, "1000", "1000:50"),
        ("build: {user: model}", "other", "other", "other"),
    ],
)
def test_a_user_gets_an_account(text: str, option: str | None, account: str | None, user: str | None) -> None:
    made = build(text, BuildOptions(user=option))
    assert [s.name for s in stage(made, "base").steps if isinstance(s, UserAccount)] == ([account] if account else [])
    groups = [s.group for s in stage(made, "base").steps if isinstance(s, UserAccount)]
    assert groups == ([user.partition(":")[2] or None] if user else [])
    assert [s.name for s in stage(made, "model").steps if isinstance(s, User)] == ([user] if user else [])
    (code,) = (step for step in stage(made, "model").steps if isinstance(step, SourceCode))
    assert code.owner == user


def test_a_certificate_comes_before_anything_is_downloaded() -> None:
    made = build(certificate="PEM\n")
    assert isinstance(stage(made, "python").steps[0], CaCertificate)
    for name in ("base", "server"):
        assert stage(made, name).base == StageBase(stage="python")
    assert [(file.path, file.content) for file in made.files] == [("ca-certificate.crt", "PEM\n")]


def test_a_schema_is_staged_and_copied() -> None:
    made = build(schema="{}")
    assert [(file.path, file.content) for file in made.files] == [("openapi_schema.json", "{}\n")]
    assert made.summary.openapi_schema == "{}"
    assert any(
        isinstance(s, Copy) and s.sources == (".cog/build/openapi_schema.json",) for s in stage(made, "model").steps
    )


def test_another_name_of_the_configuration_is_cog_yaml_in_the_image() -> None:
    made = build(file="cog-gpu.yaml")
    assert any(isinstance(s, Copy) and s.destination == "/src/cog.yaml" for s in stage(made, "model").steps)


def test_without_source_nothing_of_the_project_is_copied() -> None:
    made = build(options=BuildOptions(with_source=False))
    assert not any(isinstance(step, SourceCode) for step in stage(made, "model").steps)


def test_options_of_the_packages() -> None:
    made = build("build: {python_packages: [a]}", BuildOptions(strips=True, precompiles=True))
    packages, compiled = stage(made, "packages").steps
    assert isinstance(packages, WantedPythonPackages)
    assert packages.strips
    assert isinstance(compiled, Precompile)


def test_process_1_reaps_children() -> None:
    (process,) = (step for step in stage(build(), "model").steps if isinstance(step, Process))
    assert process == Process(entrypoint=("/sbin/tini", "--"), command=("python", "-m", "cog.server.http"))


def test_the_request_has_what_bears_on_versions() -> None:
    text = "build: {gpu: true, cuda: '11.8', cudnn: '8', python_version: '3.11', run: [nvcc]}"
    request = build(text, BuildOptions(platform="linux/arm64")).request
    assert (request.is_gpu, request.cuda, request.cudnn, request.python_version) == (True, "11.8", "8", "3.11")
    assert (request.architecture, request.platform) == ("arm64", "linux/arm64")
    assert [run.command for run in request.commands] == ["nvcc"]
    assert sorted(name for name, _ in request.spans) == ["cuda", "cudnn", "gpu", "python_version"]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1_500, "1.5 kB"),
        (4_200_000_000, "4.2 GB"),
        (999_999_999, "1 GB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert readable_size(size) == text
