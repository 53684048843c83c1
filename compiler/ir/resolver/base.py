"""Which base image the chosen builds need: python slim, or nvidia/cuda where something looks for CUDA in the image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field, replace
from typing import Literal

from packaging.version import Version

from ...diagnostics import Diagnostic, Note, report
from ...record import record
from ...source import Span
from ..matrix import CudaImage, Matrix, PythonRelease, cuda_tuple
from ..node import Cause
from ..nodes import Request
from .candidates import Candidate
from .needs import Need, packaged_cuda, system_needs
from .python import minor_of

__all__ = ["BaseChoice", "choose_base", "slim_image"]

DEFAULT_CUDA = "11.8"
_PACKAGED = ("wheel", "pip", "extra")


@record
class BaseChoice:
    """The base image and what follows from it. `distribution` is a Debian or Ubuntu release.

    `min_driver` is the oldest driver that runs all the CUDA in the image, whoever brings it.
    """

    reference: str
    distribution: str | None
    cuda: str | None = None
    cudnn: str | None = None
    cuda_from: Literal["none", "packages", "image"] = "none"
    min_driver: str | None = None
    causes: tuple[Cause, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = field(default=())


def choose_base(request: Request, python: str, chosen: Sequence[Candidate], matrix: Matrix) -> BaseChoice:
    """The smallest base image that works. Errors: COG222, COG223; warnings: COG229, COG234, COG241, COG250.

    Source of the rules: docs/base-images.md.
    """
    choice = _chosen_base(request, python, chosen, matrix)
    drivers = _minimum_drivers(choice, chosen, matrix) if request.is_gpu else ()
    remarks = (*choice.diagnostics, *_c_library(choice.distribution, chosen, matrix))
    return replace(choice, min_driver=max(drivers, key=Version, default=None), diagnostics=remarks)


def _chosen_base(request: Request, python: str, chosen: Sequence[Candidate], matrix: Matrix) -> BaseChoice:
    if request.base_image is not None:
        cause = Cause(kind="flag", text=f"--base-image {request.base_image}")
        return BaseChoice(reference=request.base_image, distribution=None, causes=(cause,))
    if not request.is_gpu:
        return _slim(python, matrix, (), cuda=None, cuda_from="none")
    cuda = packaged_cuda(chosen)
    needs = tuple(system_needs(request, python, chosen, matrix))
    if request.use_cuda_base == "false":
        cause = Cause(kind="flag", text="--use-cuda-base-image=false: no CUDA image")
        choice = _slim(python, matrix, (cause,), cuda=cuda, cuda_from="packages")
        return replace(choice, diagnostics=tuple(_refused(needs)))
    images = _Images(request, chosen, matrix)
    if request.cuda is not None:
        span = dict(request.spans).get("cuda")
        cause = Cause(kind="config", text=f"cuda {request.cuda} is asked for", span=span)
        return images.asked_for(request.cuda, needs, (cause,))
    if needs:
        return images.needed(needs, cuda)
    if request.cudnn is not None or request.use_cuda_base == "true":
        cause = Cause(kind="flag", text="--use-cuda-base-image=true")
        if request.cudnn is not None:
            span = dict(request.spans).get("cudnn")
            cause = Cause(kind="config", text=f"cudnn {request.cudnn} is asked for", span=span)
        return images.best(cuda or images.default_cuda(), request.cudnn, "devel", None, (cause,))
    return _slim(python, matrix, tuple(_why_slim(chosen)), cuda=cuda, cuda_from="packages")


def _refused(needs: Iterable[Need]) -> Iterator[Diagnostic]:
    """COG234 for each need of a CUDA image that the command line rules out."""
    for need in needs:
        message = f"{need.cause.text}, but --use-cuda-base-image=false leaves it without; it may run on the CPU or fail"
        yield report("COG234", message, need.cause.span)


# -- nvidia/cuda ---------------------------------------------------------------------------------


class _Images:
    """The nvidia/cuda images that run what is chosen."""

    def __init__(self, request: Request, chosen: Sequence[Candidate], matrix: Matrix) -> None:
        self._request = request
        self._matrix = matrix
        self._glibc = _needed_glibc(chosen)

    def asked_for(self, cuda: str, needs: Sequence[Need], causes: tuple[Cause, ...]) -> BaseChoice:
        """The image with the CUDA that is written; of its cuDNN versions the one that packages need."""
        request = self._request
        needed = _highest(need.cudnn for need in needs)
        if request.cudnn is not None or needed is None:
            return self.best(cuda, request.cudnn, "devel", None, causes)
        major = needed.split(".")[0]
        choice = self.best(cuda, major, "devel", needed, causes)
        if choice.reference:
            return choice
        older = self.best(cuda, major, "devel", None, causes)
        choice = older if older.reference else self.best(cuda, None, "devel", None, causes)
        return self._without_cudnn(choice, needed, needs) if choice.reference else choice

    def _without_cudnn(self, choice: BaseChoice, needed: str, needs: Sequence[Need]) -> BaseChoice:
        """COG229: no image of the CUDA that is written has the cuDNN that a package needs."""
        need = next(need for need in needs if need.cudnn == needed)
        what = need.cause.text.partition(" looks for")[0]
        message = f"{what} needs cuDNN {needed}, which no image of CUDA {choice.cuda} has"
        span = dict(self._request.spans).get("cuda")
        notes = [Note(message=f"{need.cause.text}", span=need.cause.span)]
        hint = "remove `cuda`, and an image is taken that has it"
        return replace(choice, diagnostics=(report("COG229", message, span, notes=notes, hint=hint),))

    def needed(self, needs: Sequence[Need], packaged: str | None) -> BaseChoice:
        """The image that serves all needs."""
        flavour: Literal["runtime", "devel"] = "devel" if any(need.flavour == "devel" for need in needs) else "runtime"
        versions = [need.cuda for need in needs if need.cuda is not None]
        causes = tuple(need.cause for need in needs)
        cuda = max(versions, key=cuda_tuple) if versions else packaged or DEFAULT_CUDA
        if versions and all(need.takes_newer for need in needs if need.cuda == cuda):
            cuda = self._newest_of_major(cuda, flavour)
        minimum = _highest(need.cudnn for need in needs)
        cudnn = self._request.cudnn or (minimum.split(".")[0] if minimum else None)
        return self.best(cuda, cudnn, flavour, minimum, causes)

    def best(
        self,
        cuda: str,
        cudnn: str | None,
        flavour: Literal["runtime", "devel"],
        minimum_cudnn: str | None,
        causes: tuple[Cause, ...],
    ) -> BaseChoice:
        """Highest patch, then newest Ubuntu; a later minor only where cuDNN demands it."""
        request = self._request
        wanted = cuda_tuple(cuda)
        same_major = [
            i for i in self._matrix.cuda_images if cuda_tuple(i.cuda)[0] == wanted[0] and flavour in i.flavours
        ]
        exact = [i for i in same_major if cuda_tuple(i.cuda) == wanted and (cuda.count(".") < 2 or i.cuda == cuda)]
        if exact and request.cuda is not None and request.cudnn is not None and cudnn == request.cudnn:
            problem = self._other_cudnn(exact)
            if problem is not None:
                return BaseChoice(reference="", distribution=None, diagnostics=(problem,))
        fitting = [image for image in exact if _has_cudnn(image, cudnn, minimum_cudnn)]
        remarks: tuple[Diagnostic, ...] = ()
        if not fitting and request.cuda is None:
            fitting = _nearest(same_major, wanted, cudnn, minimum_cudnn)
            if fitting:
                need = f"cuDNN {minimum_cudnn or cudnn}"
                minor = ".".join(fitting[0].cuda.split(".")[:2])
                message = f"no image has CUDA {cuda} with {need}; CUDA {minor} is the nearest that has"
                remarks = (report("COG229", message, causes[0].span if causes else None),)
        if not fitting:
            problem = self._no_image(cuda, cudnn, causes[0].span if causes else None)
            return BaseChoice(reference="", distribution=None, diagnostics=(problem,))
        new_enough = [image for image in fitting if self._has_c_library(image)]
        image = max(
            new_enough or fitting, key=lambda image: (Version(image.cuda), image.cudnn_major, Version(image.ubuntu))
        )
        if self._request.cuda == image.cuda:
            remarks += self._superseded(image, same_major)
        return BaseChoice(
            reference=image.reference(flavour),
            distribution=f"ubuntu{image.ubuntu}",
            cuda=".".join(image.cuda.split(".")[:2]),
            cudnn=str(image.cudnn_major),
            cuda_from="image",
            causes=causes,
            diagnostics=remarks,
        )

    def _superseded(self, image: CudaImage, others: Iterable[CudaImage]) -> tuple[Diagnostic, ...]:
        """COG250: a patch release is written that has a successor which can take its place."""
        place = cuda_tuple(image.cuda), image.cudnn_major, image.ubuntu
        same = (other.cuda for other in others if (cuda_tuple(other.cuda), other.cudnn_major, other.ubuntu) == place)
        newest = max(same, key=Version)
        if newest == image.cuda:
            return ()
        message = f"CUDA {newest} has superseded CUDA {image.cuda}, whose image NVIDIA may delete"
        span = dict(self._request.spans).get("cuda")
        return (report("COG250", message, span, notes=[_images_note(self._matrix)], hint=f'cuda: "{newest}"'),)

    def default_cuda(self) -> str:
        """The default CUDA; where it has no image with the wanted cuDNN, the newest of the first major that has."""
        default = cuda_tuple(DEFAULT_CUDA)
        having = sorted(
            {
                cuda_tuple(image.cuda)
                for image in self._matrix.cuda_images
                if _has_cudnn(image, self._request.cudnn, None)
                and "devel" in image.flavours
                and cuda_tuple(image.cuda) >= default
            }
        )
        if not having or default in having:
            return DEFAULT_CUDA
        newest = max(version for version in having if version[0] == having[0][0])
        return ".".join(map(str, newest))

    def _newest_of_major(self, cuda: str, flavour: str) -> str:
        """The newest minor version of the same major whose image is known in full, and that the driver runs."""
        major = cuda_tuple(cuda)[0]
        known = [
            image.cuda
            for image in self._matrix.cuda_images
            if cuda_tuple(image.cuda)[0] == major and image.cudnn_version is not None and flavour in image.flavours
        ]
        newest = max(known, key=cuda_tuple, default=cuda)
        return ".".join(newest.split(".")[:2])

    def _other_cudnn(self, images: Sequence[CudaImage]) -> Diagnostic | None:
        """COG222: `cuda` and `cudnn` that no image has together."""
        request = self._request
        majors = sorted({image.cudnn_major for image in images})
        if request.cudnn is None or int(request.cudnn.split(".")[0]) in majors:
            return None
        listed = ", ".join(str(major) for major in majors)
        message = (
            f"CUDA {request.cuda} is incompatible with CuDNN {request.cudnn}: compatible CuDNN versions are: {listed}"
        )
        spans = dict(request.spans)
        notes = [Note(message=f"`cuda` is {request.cuda} here", span=spans["cuda"])] if "cuda" in spans else []
        return report("COG222", message, spans.get("cudnn"), notes=(*notes, _images_note(self._matrix)))

    def _no_image(self, cuda: str, cudnn: str | None, span: Span | None) -> Diagnostic:
        """COG223, with the versions that there are images of."""
        with_cudnn = f" and CuDNN {cudnn}" if cudnn else ""
        known = sorted(
            {".".join(i.cuda.split(".")[:2]) for i in self._matrix.cuda_images if cuda_tuple(i.cuda)[0] >= 11},
            key=cuda_tuple,
        )
        notes = [Note(message=f"images exist for CUDA {', '.join(known)}"), _images_note(self._matrix)]
        place = dict(self._request.spans).get("cuda") or span
        return report("COG223", f"no matching base image for CUDA {cuda}{with_cudnn}", place, notes=notes)

    def _has_c_library(self, image: CudaImage) -> bool:
        have = dict(self._matrix.rules.glibc).get(f"ubuntu{image.ubuntu}")
        return have is None or self._glibc is None or Version(have) >= Version(self._glibc)


def _images_note(matrix: Matrix) -> Note:
    evidence = matrix.evidence("cuda-images", "tags")
    return Note(message=f"matrix {matrix.version}, nvidia/cuda images: {evidence or 'source not stated'}")


def _highest(versions: Iterable[str | None]) -> str | None:
    return max((version for version in versions if version), key=Version, default=None)


def _has_cudnn(image: CudaImage, cudnn: str | None, minimum: str | None) -> bool:
    if cudnn is not None and image.cudnn_major != int(cudnn.split(".")[0]):
        return False
    if minimum is None or image.cudnn_version is None:
        return True
    return Version(image.cudnn_version) >= Version(minimum)


def _nearest(
    images: Sequence[CudaImage], wanted: tuple[int, int], cudnn: str | None, minimum: str | None
) -> list[CudaImage]:
    """The images of the nearest minor, later ones first, that have the cuDNN."""
    fitting = [image for image in images if _has_cudnn(image, cudnn, minimum)]
    minors = sorted({cuda_tuple(image.cuda) for image in fitting}, key=lambda m: (m < wanted, abs(m[1] - wanted[1])))
    return [image for image in fitting if cuda_tuple(image.cuda) == minors[0]] if minors else []


# -- python slim ---------------------------------------------------------------------------------


def _slim(
    python: str,
    matrix: Matrix,
    causes: tuple[Cause, ...],
    *,
    cuda: str | None,
    cuda_from: Literal["none", "packages"],
) -> BaseChoice:
    reference, distribution = slim_image(python, matrix)
    return BaseChoice(
        reference=reference,
        distribution=distribution,
        cuda=cuda,
        cuda_from=cuda_from if cuda else "none",
        causes=causes,
    )


def slim_image(python: str, matrix: Matrix) -> tuple[str, str | None]:
    """The python slim image on a named Debian release, and that release.

    A patch release older than the first image on the usual release is looked for on older ones. For a Python
    that the matrix does not know, the plain tag is the only guess.
    """
    minor = minor_of(python)
    row: PythonRelease | None = next((row for row in matrix.pythons if row.version == minor), None)
    if row is None:
        return f"python:{python}-slim", None
    if python == minor:
        return f"python:{python}-slim-{row.debian}", row.debian
    since, last = dict(row.slim), dict(row.slim_last)
    for release in (row.debian, *(name for name in reversed(since) if name != row.debian)):
        if Version(since.get(release, "99")) <= Version(python) <= Version(last.get(release, "99")):
            return f"python:{python}-slim-{release}", release
    return f"python:{python}-slim", None


def _why_slim(chosen: Sequence[Candidate]) -> Iterator[Cause]:
    for candidate in sorted(chosen, key=lambda candidate: candidate.package != "torch"):
        build = candidate.build
        if build is not None and build.cuda and build.cuda_from in _PACKAGED and candidate.version is not None:
            text = f"{candidate} brings CUDA {build.cuda} itself, so no CUDA image is needed"
            yield Cause(kind="matrix", text=text, span=candidate.origin)
            return
    yield Cause(kind="rule", text="nothing that looks for CUDA in the image was found, so no CUDA image is used")


# -- drivers and the C library -------------------------------------------------------------------


def _minimum_drivers(choice: BaseChoice, chosen: Sequence[Candidate], matrix: Matrix) -> tuple[str, ...]:
    packaged = [c.build.cuda for c in chosen if c.build and c.build.cuda and c.build.cuda_from in _PACKAGED]
    every = [*packaged, *([choice.cuda] if choice.cuda_from == "image" and choice.cuda else [])]
    found = (matrix.minimum_driver(cuda) for cuda in every)
    return tuple(driver for driver in found if driver is not None)


def _needed_glibc(chosen: Sequence[Candidate]) -> str | None:
    return _highest(candidate.release.glibc for candidate in chosen if candidate.release is not None)


def _c_library(distribution: str | None, chosen: Sequence[Candidate], matrix: Matrix) -> Iterator[Diagnostic]:
    """COG241: wheels that are made for a newer C library than that of the base image."""
    have = dict(matrix.rules.glibc).get(distribution or "")
    if have is None:
        return
    for candidate in chosen:
        release = candidate.release
        if release is None or release.glibc is None or candidate.is_from_file or not candidate.demands:
            continue
        if Version(release.glibc) > Version(have):
            message = f"the wheels of {candidate} need glibc {release.glibc}, but {distribution} has {have}"
            hint = "an older release may have wheels for it; a newer base image has a newer glibc"
            yield report("COG241", message, candidate.origin, hint=hint)
