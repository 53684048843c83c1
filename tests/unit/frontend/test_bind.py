"""Rules on values of cog.yaml that no schema can say, one table row each."""

from __future__ import annotations

import pytest

from cogc.diagnostics import Diagnostic, Severity
from cogc.frontend.bind import bind, check_legacy_layout
from cogc.frontend.config import BindMount, CacheMount, Config, SecretMount
from cogc.frontend.parse import parse
from cogc.source import SourceFile
from tests.memory_files import MemoryFiles

FILES = MemoryFiles(
    {
        "predict.py": "",
        "src/model.py": "",
        "requirements.txt": "numpy==1.0\n",
        "overrides.txt": "numpy==2.0\nextra==1\n",
        "latin.txt": b"caf\xe9",
        "wheels/a-1-py3-none-any.whl": b"",
    }
)


def read(text: str) -> tuple[Config, list[Diagnostic]]:
    root, problems = parse(SourceFile("cog.yaml", text))
    assert root is not None, problems
    config, found = bind(root, "cog.yaml", FILES)
    return config, [d for d in found if d.code != "COG149"]


def codes(text: str) -> list[str]:
    return [found.code for found in read(text)[1]]


def message(text: str) -> str:
    (found,) = (d for d in read(text)[1] if d.severity is not Severity.INFO)
    return found.message


class TestTargets:
    @pytest.mark.parametrize("key", ["predict", "run", "train"])
    def test_each_key_names_a_target(self, key: str) -> None:
        config, found = read(f"{key}: src/model.py:Model")
        target = config.train if key == "train" else config.predict
        assert target is not None
        assert (target.reference, target.key) == ("src/model.py:Model", key)
        assert found == []

    @pytest.mark.parametrize(
        "text", ["predict.py", "predict.py:", ":Predictor", "predict:Predictor", "a.py:b.py:c", "a.py:b c", "a.py:1"]
    )
    def test_other_forms_are_an_error(self, text: str) -> None:
        assert message(f"predict: '{text}'") == (
            f"invalid predict \"{text}\": must be in the form 'predict.py:Predictor'"
        )

    @pytest.mark.parametrize(("key", "example"), [("run", "run.py:Runner"), ("train", "train.py:train")])
    def test_each_key_has_its_own_example(self, key: str, example: str) -> None:
        assert example in message(f"{key}: x")

    @pytest.mark.parametrize("path", ["/predict.py", "../predict.py", "a/../../predict.py"])
    def test_the_file_is_inside_the_project(self, path: str) -> None:
        assert codes(f"predict: {path}:A") == ["COG148"]

    def test_a_backslash_is_no_separator(self) -> None:
        _, found = read(r"predict: 'src\model.py:P'")
        assert [(d.code, d.hint) for d in found] == [("COG148", "write `/` between folders")]

    def test_the_path_is_normalised(self) -> None:
        config, _ = read("predict: ./src//x/../model.py:A")
        assert config.predict is not None
        assert config.predict.file == "src/model.py"

    def test_predict_and_run_exclude_each_other(self) -> None:
        assert message("predict: predict.py:A\nrun: predict.py:B") == (
            "invalid run: only one of run or predict can be set"
        )

    @pytest.mark.parametrize("text", ["predict: ''\nrun: predict.py:A", "predict: predict.py:A\nrun: ''"])
    def test_an_empty_target_is_none(self, text: str) -> None:
        config, found = read(text)
        assert config.predict is not None
        assert found == []

    def test_no_target_at_all_is_remarked(self) -> None:
        root, _ = parse(SourceFile("cog.yaml", "build: {}"))
        assert root is not None
        assert [d.code for d in bind(root, "cog.yaml", FILES)[1]] == ["COG149"]


class TestPython:
    @pytest.mark.parametrize("text", ["3.8", "3.12", "3.13", "3.11.4"])
    def test_versions(self, text: str) -> None:
        config, found = read(f"build: {{python_version: '{text}'}}")
        assert config.build.python_version is not None
        assert config.build.python_version.value == text
        assert found == []

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("3", "must include major and minor version (e.g., '3.11')"),
            ("3.1.2.3", "must include major and minor version (e.g., '3.11')"),
            ("a.b", "invalid major version number"),
            ("3.x", "invalid minor version number"),
            ("3.11.rc1", "invalid patch version number"),
            ("2.7", "minimum supported Python version is 3.8"),
            ("3.7", "minimum supported Python version is 3.8"),
            ("4.0", "there is no Python 4"),
            ("3.-1", "invalid minor version number"),
            ("3.١٢", "invalid minor version number"),
        ],
    )
    def test_wrong_versions(self, text: str, why: str) -> None:
        assert message(f"build: {{python_version: '{text}'}}") == f'invalid build.python_version "{text}": {why}'

    def test_an_unquoted_version_is_read_as_written(self) -> None:
        config, found = read("build: {python_version: 3.10}")
        assert config.build.python_version is not None
        assert config.build.python_version.value == "3.10"
        assert [d.code for d in found] == ["COG124"]
        assert found[0].fix is not None
        assert found[0].fix.edits[0].replacement == '"3.10"'

    def test_the_free_threaded_python_has_no_images(self) -> None:
        (found,) = read("build: {python_version: '3.13t'}")[1]
        assert (found.code, found.hint) == ("COG130", '"3.13"')

    def test_a_lost_zero_is_suspected(self) -> None:
        (found,) = read("build: {python_version: '3.1'}")[1]
        assert found.hint == '3.10 must be quoted to keep its zero: "3.10"'


class TestCuda:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("10", "must include both major and minor versions (e.g., '11.8')"),
            ("x.y", "must include both major and minor versions (e.g., '11.8')"),
            ("10.2", "minimum supported CUDA version is 11"),
        ],
    )
    def test_wrong_cuda(self, text: str, why: str) -> None:
        assert message(f"build: {{gpu: true, cuda: '{text}'}}") == f'invalid build.cuda "{text}": {why}'

    @pytest.mark.parametrize("text", ["11.8", "12.1.1"])
    def test_cuda(self, text: str) -> None:
        assert codes(f"build: {{gpu: true, cuda: '{text}'}}") == []

    @pytest.mark.parametrize(("text", "expected"), [("8", []), ("8.9.6", []), ("x", ["COG133"]), ("", [])])
    def test_cudnn(self, text: str, expected: list[str]) -> None:
        assert codes(f"build: {{gpu: true, cudnn: '{text}'}}") == expected

    @pytest.mark.parametrize("build", ["cuda: '11.8'", "gpu: false, cudnn: '8'"])
    def test_without_a_gpu_they_have_no_effect(self, build: str) -> None:
        assert codes(f"build: {{{build}}}") == ["COG134"]


class TestSystemPackages:
    @pytest.mark.parametrize(
        "text", ["git", "libgl1", "g++", "libc6:amd64", "cmake=3.25.1-1", "git/bookworm-backports"]
    )
    def test_names(self, text: str) -> None:
        config, found = read(f"build: {{system_packages: ['{text}']}}")
        assert [package.value for package in config.build.system_packages] == [text]
        assert found == []

    @pytest.mark.parametrize("text", ["git; rm", "$(x)", "`x`", "a|b", "a&&b", "''", "' '", "a>b/c d", "Ä", "--"])
    def test_what_is_no_name_is_an_error(self, text: str) -> None:
        quoted = text if text.startswith("'") else f'"{text}"'
        assert codes(f"build: {{system_packages: [{quoted}]}}") == ["COG138"]

    def test_names_are_kept_once_and_in_order(self) -> None:
        config, _ = read("build: {system_packages: [b, a, b]}")
        assert [package.value for package in config.build.system_packages] == ["b", "a"]


class TestCommands:
    def test_order_is_that_of_run_and_then_pre_install(self) -> None:
        config, found = read("build: {pre_install: [third], run: [first, {command: ' second '}]}")
        assert [command.command for command in config.build.commands] == ["first", "second", "third"]
        assert [d.code for d in found] == ["COG126"]

    def test_a_folded_scalar_is_one_line(self) -> None:
        config, _ = read("build:\n  run:\n    - >-\n      a &&\n      b\n")
        assert config.build.commands[0].command == "a && b"

    def test_a_newline_is_an_error_that_shows_the_command(self) -> None:
        assert "new line after `a`" in message("build:\n  run:\n    - |\n      a\n      b\n")

    @pytest.mark.parametrize("text", ["''", "'  '", "{command: ''}"])
    def test_an_empty_command_is_an_error(self, text: str) -> None:
        assert codes(f"build: {{run: [{text}]}}") == ["COG146"]

    def test_a_command_that_no_process_can_take(self) -> None:
        assert codes('build: {run: ["echo a\\0b"]}') == ["COG155"]
        assert codes(f"build: {{run: [echo {'x' * (128 * 1024 - 6)}]}}") == []
        assert codes(f"build: {{run: [echo {'x' * (128 * 1024 - 5)}]}}") == ["COG155"]

    def test_mounts(self) -> None:
        config, found = read("""
build:
  run:
    - command: x
      mounts:
        - {type: secret, id: a, target: /a}
        - {type: secret, id: b, env: B, required: false}
        - {type: cache, target: /c, sharing: locked}
        - {type: bind, source: ./src, target: /d}
""")
        assert found == []
        secret, env, cache, bound = config.build.commands[0].mounts
        assert isinstance(secret, SecretMount)
        assert (secret.id, secret.target, secret.env, secret.is_required) == ("a", "/a", None, True)
        assert isinstance(env, SecretMount)
        assert (env.target, env.env, env.is_required) == (None, "B", False)
        assert isinstance(cache, CacheMount)
        assert (cache.target, cache.id, cache.sharing) == ("/c", None, "locked")
        assert isinstance(bound, BindMount)
        assert (bound.source, bound.target) == ("src", "/d")

    @pytest.mark.parametrize(
        ("mount", "code"),
        [
            ("type: secret, id: a", "COG142"),
            ("type: secret, id: a, target: relative", "COG142"),
            ("type: secret, id: 'a,b', target: /x", "COG142"),
            ("type: secret, id: a, target: '/x y'", "COG142"),
            ("type: secret, id: a, target: '/$HOME'", "COG142"),
            ("type: secret, id: a, env: 1A", "COG142"),
            ("type: bind, source: nowhere, target: /x", "COG142"),
            ("type: bind, source: ../x, target: /x", "COG148"),
        ],
    )
    def test_mounts_that_cannot_work(self, mount: str, code: str) -> None:
        assert codes(f"build: {{run: [{{command: x, mounts: [{{{mount}}}]}}]}}") == [code]


class TestRequirements:
    def test_packages_and_file_exclude_each_other(self) -> None:
        assert message("build: {python_packages: [a], python_requirements: requirements.txt}") == (
            "invalid build: only one of python_packages or python_requirements can be set, not both"
        )

    @pytest.mark.parametrize("empty", ["[]", "null"])
    def test_an_empty_list_does_not_count(self, empty: str) -> None:
        config, found = read(f"build: {{python_packages: {empty}, python_requirements: requirements.txt}}")
        assert [line.text for line in config.build.requirements] == ["numpy==1.0"]
        assert found == []

    @pytest.mark.parametrize(
        ("path", "reason"),
        [("x.txt", "file does not exist"), ("src", "file is a directory"), ("latin.txt", "the file ")],
    )
    def test_a_file_that_cannot_be_read(self, path: str, reason: str) -> None:
        assert message(f"build: {{python_requirements: {path}}}").startswith(
            f'invalid build.python_requirements "{path}": {reason}'
        )

    def test_lines_know_their_file(self) -> None:
        config, _ = read("build: {python_requirements: ./requirements.txt}")
        assert str(config.build.requirements[0].origin) == "requirements.txt:1:1"

    def test_overrides_replace_by_name_and_add(self) -> None:
        config, found = read("build: {python_packages: [NumPy<2, b], python_overrides: overrides.txt}")
        assert [line.text for line in config.build.requirements] == ["numpy==2.0", "b", "extra==1"]
        assert [d.code for d in found] == ["COG126"]

    def test_old_keys_become_options(self) -> None:
        config, found = read("build: {python_find_links: [https://a], python_extra_index_urls: [https://b]}")
        assert [line.text for line in config.build.requirements] == [
            "--find-links https://a",
            "--extra-index-url https://b",
        ]
        assert [d.code for d in found] == ["COG126", "COG126"]


class TestEnvironment:
    @pytest.mark.parametrize(
        ("text", "name", "value"),
        [("A=1", "A", "1"), ("A=", "A", ""), ("_a1=x=y", "_a1", "x=y"), ("A= b ", "A", " b ")],
    )
    def test_variables(self, text: str, name: str, value: str) -> None:
        config, found = read(f'environment: ["{text}"]')
        assert [(variable.name, variable.value) for variable in config.environment] == [(name, value)]
        assert found == []

    @pytest.mark.parametrize("text", ["A", "=x", "1A=x", "A B=x", "A-B=x", ""])
    def test_what_is_no_variable(self, text: str) -> None:
        assert "is not in the KEY=VALUE format" in message(f'environment: ["{text}"]')

    @pytest.mark.parametrize(
        "name",
        [
            *("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONUNBUFFERED", "LIBRARY_PATH"),
            *("HF_ENDPOINT", "HF_HUB_ENABLE_HF_TRANSFER", "R8_X", "REPLICATE_X", "CUDA_X", "NVIDIA_X", "NV_X"),
            *("PGET_X", "KUBERNETES_X"),
        ],
    )
    def test_reserved_names(self, name: str) -> None:
        assert message(f"environment: [{name}=1]") == (
            f'environment variable "{name}" is not allowed: reserved for internal use'
        )

    def test_a_name_twice(self) -> None:
        assert message("environment: [A=1, A=2]") == 'environment variable "A" is already defined'

    def test_a_line_break_in_a_value(self) -> None:
        assert codes('environment: ["A=b\\nc"]') == ["COG140"]

    def test_a_nul_in_a_value(self) -> None:
        assert message('environment: ["A=b\\0c"]') == 'environment variable "A" has a NUL character in its value'

    def test_a_value_longer_than_a_process_can_take(self) -> None:
        assert codes(f"environment: [A={'x' * (128 * 1024 - 3)}]") == []
        assert codes(f"environment: [A={'x' * (128 * 1024 - 2)}]") == ["COG140"]


class TestTheRest:
    @pytest.mark.parametrize(
        "name", ["a", "r8.im/user/model", "localhost:5000/a/b:tag", f"a@sha256:{'0' * 64}", "a.b__c-d/e_f"]
    )
    def test_image_names(self, name: str) -> None:
        assert codes(f"image: '{name}'") == []

    def test_docker_takes_255_characters_without_the_tag(self) -> None:
        assert codes(f"image: 'localhost:5000/{'a' * 240}:{'t' * 128}'") == []
        assert message(f"image: 'localhost:5000/{'a' * 241}'") == "the image name has 256 characters; Docker takes 255"

    @pytest.mark.parametrize("name", ["A", "a b", "a:b:c", "-a", "a/", "/a", "a..b", "a:", "a@sha256:0"])
    def test_wrong_image_names(self, name: str) -> None:
        assert codes(f"image: '{name}'") == ["COG145"]

    @pytest.mark.parametrize("name", ["a:1", f"a@sha256:{'0' * 64}"])
    def test_a_model_is_a_bare_repository(self, name: str) -> None:
        assert "must be a bare repository" in message(f"model: '{name}'")

    def test_model_and_image_exclude_each_other(self) -> None:
        assert message("model: a\nimage: b") == "'model' and 'image' cannot both be set"

    @pytest.mark.parametrize("user", ["model", "1000", "1000:1000", "www-data:users", "_x"])
    def test_users(self, user: str) -> None:
        assert codes(f"build: {{user: '{user}'}}") == []

    @pytest.mark.parametrize("user", ["a b", "$x", "a:b:c", "", "A", "-x", "root;id"])
    def test_wrong_users(self, user: str) -> None:
        assert codes(f"build: {{user: '{user}'}}") == ["COG151"]

    def test_concurrency_above_one_needs_python_3_11(self) -> None:
        assert message("build: {python_version: '3.10'}\nconcurrency: {max: 2}") == (
            "concurrency requires Python 3.11 or higher"
        )

    def test_a_whole_number_with_a_point_counts(self) -> None:
        config, _ = read("concurrency: {max: 4.0, default_target: 2.0}")
        assert config.concurrency is not None
        assert (config.concurrency.max.value, config.concurrency.default_target) == (4, 2)

    def test_concurrency_of_one_does_not(self) -> None:
        config, found = read("build: {python_version: '3.10'}\nconcurrency: {max: 1, default_target: 2}")
        assert config.concurrency is not None
        assert (config.concurrency.max.value, config.concurrency.default_target) == (1, 2)
        assert [d.code for d in found] == ["COG150"]

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("build: {fast: true}", "COG127"),
            ("build: {cog_runtime: true}", "COG127"),
            ("tests: []", "COG127"),
            ("build: {sdk_version: 0.17.0}", "COG147"),
        ],
    )
    def test_keys_without_effect(self, text: str, code: str) -> None:
        assert codes(text) == [code]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[{name: a, target: b}]", "target must be an absolute path"),
            ("[{name: a, target: /}]", 'target must not be the container root "/"'),
            ("[{name: a, target: /x}, {name: a, target: /y}]", 'duplicate weight name "a"'),
            ("[{name: a, target: /x}, {name: b, target: /x/}]", 'duplicate weight target "/x/"'),
            (
                "[{name: a, target: /x}, {name: b, target: /x/y}]",
                'target overlaps with "/x"; weight targets must be disjoint',
            ),
            (
                "[{name: a, target: /x, source: {uri: u, include: ['!a']}}]",
                "negation patterns (starting with '!') are not supported",
            ),
        ],
    )
    def test_managed_weights(self, text: str, message: str) -> None:
        found = [d.message for d in read(f"model: m\nweights: {text}")[1] if d.severity is Severity.ERROR]
        assert found == [message]

    def test_weights_want_a_model(self) -> None:
        found = [d.message for d in read("image: m\nweights: [{name: a, target: /x}]")[1] if d.code == "COG143"]
        assert found == ["weights require 'model', not 'image' — rename 'image' to 'model'"]

    @pytest.mark.parametrize("path", ["../t.j2", "/t.j2"])
    def test_a_template_is_inside_the_project(self, path: str) -> None:
        assert codes(f"build: {{dockerfile_template: {path}}}") == ["COG148"]


@pytest.mark.parametrize("text", ["environment: {python_version: '3.8'}", "model: 'predict.py:Model'"])
def test_the_layout_of_2021_is_recognised(text: str) -> None:
    root, _ = parse(SourceFile("cog.yaml", text))
    assert root is not None
    found = check_legacy_layout(root)
    assert found is not None
    assert found.code == "COG125"
    assert found.notes


@pytest.mark.parametrize(
    "text", ["environment: [A=1]", "model: registry.example.com/a", "build: {}", "environment: {A: 1}"]
)
def test_newer_layouts_are_not_taken_for_it(text: str) -> None:
    root, _ = parse(SourceFile("cog.yaml", text))
    assert root is not None
    assert check_legacy_layout(root) is None
