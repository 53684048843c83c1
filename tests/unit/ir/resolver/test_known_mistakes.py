"""What other tools get wrong about versions, case by case: data that leads to broken builds, missing rows, wrong logic.

Each row is a request, and what must come of it. The facts are those of the tables; what a row says is measured.
"""

from __future__ import annotations

import pytest
from packaging.version import Version

from cogc.ir.nodes import Resolution
from tests.build_requests import MATRIX, codes, resolved


def result(*packages: str, gpu: bool = True, more: str = "", **options: object) -> tuple[Resolution, list[str]]:
    listed = ", ".join(f"'{package}'" for package in packages)
    resolution, found = resolved(f"gpu: {str(gpu).lower()}, python_packages: [{listed}]{more}", **options)
    assert resolution is not None, found
    return resolution, codes(found)


def errors(*packages: str, gpu: bool = True, more: str = "", **options: object) -> list[tuple[str, str]]:
    listed = ", ".join(f"'{package}'" for package in packages)
    resolution, found = resolved(f"gpu: {str(gpu).lower()}, python_packages: [{listed}]{more}", **options)
    assert resolution is None
    return [(d.code, d.message) for d in found if d.severity == "error"]


class TestDataThatLeadsToABrokenBuild:
    @pytest.mark.parametrize("version", ["2.16.1", "2.17.0"])
    def test_tensorflow_for_cuda_12_3_gets_an_image_with_its_cudnn(self, version: str) -> None:
        """No image ever had CUDA 12.3 with cuDNN 8."""
        resolution, found = result(f"tensorflow=={version}")
        assert resolution.base_image == "nvidia/cuda:12.2.2-cudnn8-devel-ubuntu22.04"
        assert "COG229" in found

    @pytest.mark.parametrize("version", ["2.18.0", "2.19.0", "2.20.0", "2.21.0"])
    def test_tensorflow_for_cudnn_9_3_does_not_get_9_2(self, version: str) -> None:
        """The image of CUDA 12.5.1 has cuDNN 9.2.1: the first call of cuDNN would fail."""
        resolution, _ = result(f"tensorflow=={version}")
        assert resolution.base_image.startswith("nvidia/cuda:12.6.3-cudnn-")
        images = [i for i in MATRIX.cuda_images if i.cuda == "12.6.3" and i.cudnn_version]
        assert all(Version(image.cudnn_version or "0") >= Version("9.3") for image in images)

    @pytest.mark.parametrize("version", ["2.9.0", "2.9.1", "2.10.0"])
    def test_torch_is_not_moved_to_the_highest_cuda(self, version: str) -> None:
        """CUDA 13 would need driver 580 where 525 does, and drop V100."""
        resolution, _ = result(f"torch=={version}")
        assert (resolution.cuda, resolution.min_driver) == ("12.8", "525.60.13")
        assert resolution.packages == (("torch", version, "default"),)

    @pytest.mark.parametrize(
        ("version", "cuda"),
        [("2.0.0", "11.7"), ("2.4.1", "12.1"), ("2.6.0", "12.4"), ("2.7.1", "12.6"), ("2.8.0", "12.8")],
    )
    def test_torch_is_the_build_that_most_people_test(self, version: str, cuda: str) -> None:
        resolution, _ = result(f"torch=={version}")
        assert (resolution.cuda, resolution.packages[0][2]) == (cuda, "default")

    @pytest.mark.parametrize(("version", "build"), [("1.11.0", "cu113"), ("1.12.0", "cu116"), ("1.12.1", "cu116")])
    def test_torch_for_cuda_10_takes_a_better_build(self, version: str, build: str) -> None:
        resolution, _ = result(f"torch=={version}")
        assert resolution.packages == (("torch", version, build),)

    @pytest.mark.parametrize("version", ["2.4.0", "2.10.0"])
    def test_torch_on_arm64_has_no_gpu_build_before_2_11(self, version: str) -> None:
        ((code, message),) = errors(f"torch=={version}", platform="linux/arm64")
        assert code == "COG236"
        assert message == f"torch {version} from the package index has no GPU build for linux/arm64"

    def test_torch_on_arm64_from_2_11_on(self) -> None:
        resolution, _ = result("torch==2.11.0", platform="linux/arm64")
        assert (resolution.cuda, resolution.min_driver) == ("13.0", "580")

    @pytest.mark.parametrize(
        ("version", "model", "build"),
        [
            ("2.8.0", "P100", "cu126"),
            ("2.11.0", "V100", "cu126"),
            ("2.0.1", "H100", "cu118"),
            ("2.7.0", "RTX 5090", "cu128"),
            ("2.8.0", "A100", "default"),
            ("2.8.0", "L4", "default"),
            ("2.10.0", "GB10", "default"),
        ],
    )
    def test_generations_of_gpus(self, version: str, model: str, build: str) -> None:
        resolution, found = result(f"torch=={version}", more=f", gpu_model: {model}")
        assert resolution.packages[0] == ("torch", version, build)
        assert ("COG243" in found) == (build != "default")

    def test_a_gpu_without_any_build_is_an_error(self) -> None:
        ((code, message),) = errors("torch==2.6.0", more=", gpu_model: RTX 5090")
        assert (code, message) == ("COG242", "torch 2.6.0 has no code for RTX 5090 (sm_120)")

    def test_a_build_that_the_driver_decides_for_is_not_measured_either(self) -> None:
        resolution, found = result("torch==2.1.1", more=", gpu_model: V100, driver: '470'")
        assert resolution.packages[0] == ("torch", "2.1.1", "cu118")
        assert "COG243" in found

    def test_cudnn_is_compared_in_full(self) -> None:
        resolution, found = result("tensorflow==2.18.0", more=", cuda: '12.5'")
        assert resolution.base_image.startswith("nvidia/cuda:12.5.1-"), "the user's own word"
        assert "COG229" in found


class TestMissingAndStaleRows:
    @pytest.mark.parametrize("version", ["2.12.0", "2.12.1", "2.13.0", "2.14.0", "2.14.1", "2.15.0"])
    def test_new_torch(self, version: str) -> None:
        resolution, found = result(f"torch=={version}")
        assert resolution.cuda is not None
        assert found == []

    @pytest.mark.parametrize("version", ["1.4.0", "1.9.1", "1.10.2"])
    def test_old_torch(self, version: str) -> None:
        resolution, found = result(f"torch=={version}", gpu=False)
        assert resolution.packages[0][1] == version
        assert "COG225" not in found

    @pytest.mark.parametrize("version", ["2.15.1", "2.16.2", "2.17.1", "2.18.1", "2.19.1"])
    def test_patch_releases_of_tensorflow(self, version: str) -> None:
        resolution, found = result(f"tensorflow=={version}")
        assert resolution.base_image.startswith("nvidia/cuda:12.")
        assert "COG225" not in found

    def test_tensorflow_for_cuda_10(self) -> None:
        resolution, _ = result("tensorflow==2.3.0")
        assert (resolution.python, resolution.cuda) == ("3.8", "10.1")

    @pytest.mark.parametrize(
        ("package", "python"), [("torch==1.13.1", "3.11"), ("torch==2.5.1", "3.13"), ("torch==2.9.0", "3.14")]
    )
    def test_pythons_are_those_of_the_wheels(self, package: str, python: str) -> None:
        _, found = result(package, more=f", python_version: '{python}'")
        assert not {"COG220", "COG235"} & set(found)

    def test_pythons_of_companions_that_nobody_asks_for_do_not_count(self) -> None:
        wheels = {row.version: row.python for row in MATRIX.releases("torch", "amd64")}
        assert "3.13" in wheels[Version("2.5.0")]
        resolution, _ = result("torch==2.5.0", more=", python_version: '3.13'")
        assert resolution.python == "3.13"

    def test_a_build_that_was_only_heard_of_is_no_choice_but_may_be_asked_for(self) -> None:
        resolution, _ = result("torch==2.11.0", more=", cuda: '12.9'")
        assert resolution.packages == (("torch", "2.11.0", "cu128"),)
        resolution, found = result("torch==2.11.0+cu129")
        assert resolution.packages == (("torch", "2.11.0", "cu129"),)
        assert found == ["COG229"]

    @pytest.mark.parametrize("cuda", ["12.9", "13.3"])
    def test_new_images(self, cuda: str) -> None:
        resolution, _ = result(more=f", cuda: '{cuda}'")
        assert resolution.base_image.startswith(f"nvidia/cuda:{cuda}.")

    def test_what_runs_needs_no_compiler(self) -> None:
        resolution, _ = result("onnxruntime-gpu==1.20.0")
        assert "-runtime-" in resolution.base_image

    @pytest.mark.parametrize("cuda", ["11.3", "12.6", "12.8"])
    def test_the_newest_patch_of_an_image(self, cuda: str) -> None:
        resolution, _ = result(more=f", cuda: '{cuda}'")
        patches = [
            Version(i.cuda) for i in MATRIX.cuda_images if i.cuda.startswith(f"{cuda}.") and "devel" in i.flavours
        ]
        assert resolution.base_image.startswith(f"nvidia/cuda:{max(patches)}-")

    @pytest.mark.parametrize(("cuda", "newest"), [("11.6.1", "11.6.2"), ("12.1.0", "12.1.1"), ("12.6.0", "12.6.3")])
    def test_an_image_that_may_be_deleted(self, cuda: str, newest: str) -> None:
        resolution, found = resolved(f"gpu: true, cuda: '{cuda}'")
        assert resolution is not None
        assert resolution.base_image.startswith(f"nvidia/cuda:{cuda}-")
        (warning,) = [each for each in found if each.code == "COG250"]
        assert warning.hint == f'cuda: "{newest}"'
        after, found = resolved(f"gpu: true, cuda: '{newest}'")
        assert after is not None
        assert after.distribution == resolution.distribution
        assert "COG250" not in codes(found)

    @pytest.mark.parametrize(
        ("package", "python"), [("torch==2.4.1", "3.12"), ("tensorflow==2.19.1", "3.12"), ("vllm==0.8.4", "3.12")]
    )
    def test_the_default_python_is_one_with_wheels(self, package: str, python: str) -> None:
        assert result(package)[0].python == python

    def test_a_python_that_was_dropped(self) -> None:
        ((code, message),) = errors("torch==2.15.0", more=", python_version: '3.10'")
        assert (code, message) == ("COG235", "torch 2.15.0 has no wheel for Python 3.10 (linux/amd64)")


class TestLogic:
    def test_no_version_and_a_gpu(self) -> None:
        resolution, found = result("torch")
        assert resolution.packages[0][1] == "2.15.0"
        assert found == ["COG224"]

    @pytest.mark.parametrize(
        ("line", "version", "cuda"),
        [
            ("torch>=2.3", "2.15.0", "13.2"),
            ("torch<2.4", "2.3.1", "12.1"),
            ("torch!=2.15.0", "2.14.1", "13.0"),
            ("torch==2.4.*", "2.4.1", "12.1"),
            ("torch~=2.4.0", "2.4.1", "12.1"),
        ],
    )
    def test_specifiers(self, line: str, version: str, cuda: str) -> None:
        resolution, _ = result(line)
        assert (resolution.packages[0][1], resolution.cuda) == (version, cuda)

    @pytest.mark.parametrize("line", ["Torch==2.3.0", "torch[opt-einsum]==2.3.0", "TORCH == 2.3.0"])
    def test_names_and_extras(self, line: str) -> None:
        resolution, _ = result(line)
        assert (resolution.packages[0][:2], resolution.cuda) == (("torch", "2.3.0"), "12.1")

    def test_an_extra_brings_cuda(self) -> None:
        resolution, _ = result("tensorflow[and-cuda]==2.18.0")
        assert (resolution.cuda_from, resolution.cuda) == ("packages", "12.5")
        assert resolution.base_image.startswith("python:")

    @pytest.mark.parametrize(
        ("line", "base", "cuda"),
        [
            ("onnxruntime-gpu==1.20.0", "nvidia/cuda:12.", "12"),
            ("onnxruntime-gpu==1.27.0", "nvidia/cuda:13.", "13"),
            ("vllm==0.11.0", "python:", "12"),
            ("jax[cuda12]==0.6.2", "python:", "12"),
            ("numpy", "python:", None),
        ],
    )
    def test_neither_torch_nor_tensorflow(self, line: str, base: str, cuda: str | None) -> None:
        resolution, _ = result(line)
        assert resolution.base_image.startswith(base)
        assert (resolution.cuda or "").split(".")[0] == (cuda or "")

    def test_another_minor_cuda_than_tensorflows_is_a_warning_and_the_same_none(self) -> None:
        assert "COG229" in result("tensorflow==2.12.0", more=", cuda: '11.7'")[1]
        assert "COG229" not in result("tensorflow==2.12.0", more=", cuda: '11.8'")[1]

    def test_an_unknown_tensorflow_with_cudnn_is_passed_on(self) -> None:
        _, found = result("tensorflow==9.9.9", more=", cudnn: '9'")
        assert found == ["COG225"]

    def test_a_python_without_wheels_is_refused_with_those_that_have_them(self) -> None:
        _, found = resolved("python_version: '3.13', python_packages: ['torch==2.1.0']")
        (error,) = (d for d in found if d.code == "COG235")
        assert any("3.8, 3.9, 3.10 and 3.11" in note.message for note in error.notes)

    def test_pairs_are_checked(self) -> None:
        ((code, message),) = errors("torch==2.8.0", "torchvision==0.22.0")
        assert (code, message) == ("COG226", "torchvision 0.22.0 needs torch 2.7.0, but torch 2.8.0 is asked for")

    def test_cuda_that_torch_has_no_build_for_stays_as_it_is_asked_for(self) -> None:
        resolution, found = result("torch==2.11.0", more=", cuda: '11.8'")
        assert resolution.base_image.startswith("nvidia/cuda:11.8.0-")
        assert (resolution.packages[0][2], found) == ("default", ["COG229"])

    def test_a_local_version_is_kept(self) -> None:
        resolution, _ = result("torch==2.3.1+cu118")
        assert resolution.requirements[-1] == "torch==2.3.1+cu118"
        assert resolution.requirements[0].endswith("/whl/cu118/")

    @pytest.mark.parametrize(
        ("line", "ceiling"),
        [
            ("torch==2.2.2", ("numpy<2",)),
            ("torch==2.3.0", ()),
            ("tensorflow==2.10.1", ("numpy<2",)),
            ("tensorflow==2.14.0", ("numpy<2",)),
            ("tensorflow==2.14.1", ()),
            ("onnxruntime-gpu==1.17.1", ("numpy<2",)),
            ("onnxruntime-gpu==1.18.1", ()),
        ],
    )
    def test_numpy_ceilings(self, line: str, ceiling: tuple[str, ...]) -> None:
        resolution, found = result(line)
        assert resolution.constraints == ceiling
        assert ("COG240" in found) == bool(ceiling)

    def test_tensorflow_and_torch_are_both_looked_at(self) -> None:
        ((code, _),) = errors("tensorflow[and-cuda]==2.19.0", "torch==2.8.0")
        assert code == "COG238"

    @pytest.mark.parametrize(
        ("tensorflow", "torch", "fits"),
        [
            ("2.20.0", "2.6.0", False),
            ("2.20.0", "2.7.0", True),
            ("2.20.0", "2.8.0", True),
            ("2.20.0", "2.9.1", True),
            ("2.20.0", "2.10.0", True),
            ("2.21.0", "2.10.0", False),
            ("2.18.0", "2.5.1", False),
        ],
    )
    def test_which_of_them_agree(self, tensorflow: str, torch: str, fits: bool) -> None:
        build = f"gpu: true, python_packages: ['tensorflow[and-cuda]=={tensorflow}', 'torch=={torch}']"
        resolution, found = resolved(build)
        assert (resolution is not None) == fits, found

    def test_libraries_of_two_cuda_versions_in_one_place_are_a_warning(self) -> None:
        _, found = result("tensorflow[and-cuda]==2.20.0", "torch==2.11.0")
        assert "COG247" in found

    def test_a_companion_that_demands_a_build_the_index_lacks(self) -> None:
        ((code, message),) = errors("torch==2.0.0", "torchvision==0.15.0")
        assert code == "COG226"
        assert message == "torchvision 0.15.0 on the package index needs torch 2.0.0+cu117, which is not there"

    def test_the_same_where_the_index_of_builds_is_used(self) -> None:
        resolution, _ = result("torch==1.10.0", "torchvision==0.11.0", more=", python_version: '3.9'")
        assert resolution.requirements[1:] == ("torch==1.10.0+cu111", "torchvision==0.11.0+cu111")
