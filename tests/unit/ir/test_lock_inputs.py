"""What a lock remembers of a configuration: everything that decides something, in one spelling."""

from __future__ import annotations

import pytest

from cogc.ir.lock_inputs import input_changes, inputs_of
from tests.build_requests import request

PLAIN = "python_version: '3.12', python_packages: [Torch == 2.3, 'numpy<2,>=1.20', six]"


@pytest.mark.parametrize(
    "same",
    [
        "python_packages: [six, 'numpy >= 1.20, < 2', torch==2.3], python_version: '3.12'",
        "python_version: '3.12', python_packages: [six, six, torch==2.3, 'numpy<2,>=1.20']",
        "gpu: false, python_version: '3.12', python_packages: [torch==2.3, 'numpy<2,>=1.20', six], run: []",
    ],
)
def test_spelling_order_and_comments_do_not_count(same: str) -> None:
    assert inputs_of(request(same)) == inputs_of(request(PLAIN))


def test_a_comment_in_a_requirements_file_does_not_count() -> None:
    build = "python_requirements: r.txt"
    bare, commented = (
        inputs_of(request(build, {"r.txt": text})) for text in ("six==1.16.0\n", "# six\n\nsix==1.16.0   # really\n")
    )
    assert bare == commented


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (PLAIN.replace("2.3", "2.4"), "torch==2.3 → torch==2.4"),
        (PLAIN.replace("'3.12'", "'3.11'"), "python_version: 3.12 → 3.11"),
        (PLAIN.replace(", six", ""), "- six"),
        (PLAIN.replace("six", "six, attrs"), "+ attrs"),
        (PLAIN.replace("six", "'six[x]'"), "six → six[x]"),
        (PLAIN + ", gpu: true", "is_gpu: not set → true"),
        (PLAIN + ", gpu: true, cuda: '12.1'", "cuda: not set → 12.1"),
        (PLAIN + ", system_packages: [git]", "+ git"),
        (PLAIN + ", run: [make]", "+ make"),
        (
            PLAIN.replace("six", "'--extra-index-url https://a.example.com/simple', six"),
            "+ --extra-index-url https://a",
        ),
    ],
)
def test_everything_else_does(changed: str, said: str) -> None:
    changes = input_changes(inputs_of(request(PLAIN)), inputs_of(request(changed)))
    assert [change for change in changes if change.startswith(said)], changes


def test_options_of_the_command_line_count() -> None:
    with_base = inputs_of(request(PLAIN, base_image="python:3.12", installer="pip"))
    assert input_changes(inputs_of(request(PLAIN)), with_base) == (
        "base_image: not set → python:3.12",
        "installer: not set → pip",
    )


def test_the_platform_does_not_because_a_lock_has_several() -> None:
    assert inputs_of(request(PLAIN, platform="linux/arm64")) == inputs_of(request(PLAIN))


def test_constraints_are_told_from_requirements() -> None:
    files = {"r.txt": "-c c.txt\nsix\n", "c.txt": "six==1.15.0\n"}
    assert inputs_of(request("python_requirements: r.txt", files)).requirements == ("-c six==1.15.0", "six")


def test_passwords_are_not_remembered() -> None:
    lines = "--index-url https://me:secret@example.com/simple\nx @ git+https://tok@example.com/x\n"
    inputs = inputs_of(request("python_requirements: r.txt", {"r.txt": lines}))
    assert "secret" not in repr(inputs)
    assert "tok@" not in repr(inputs)
    assert inputs == inputs_of(
        request("python_requirements: r.txt", {"r.txt": lines.replace("secret", "other").replace("tok", "new")})
    )


def test_hashes_of_a_line_count() -> None:
    plain, hashed = (
        inputs_of(request("python_requirements: r.txt", {"r.txt": f"six==1.16.0{more}\n"}))
        for more in ("", f" --hash=sha256:{'a' * 64}")
    )
    assert input_changes(plain, hashed) == (f"six==1.16.0 → six==1.16.0 --hash=sha256:{'a' * 64}",)


def test_gpus_and_the_driver_are_settings() -> None:
    settings = dict(inputs_of(request("gpu: true, gpu_model: [V100, A100], driver: '535'")).settings)
    assert settings == {"is_gpu": True, "gpu_models": '["A100", "V100"]', "driver": "535"}
