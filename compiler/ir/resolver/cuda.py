"""Which build of each known package, who brings CUDA, and which base image that leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field, replace
from typing import Literal

from packaging.version import Version

from ...diagnostics import Diagnostic, Note, report
from ...record import record
from ..matrix import BuildVariant, CudaImage, Matrix, PythonRelease, cuda_tuple
from ..node import Cause
from ..nodes import Request
from .packages import TENSORFLOW_FAMILY, TORCH_FAMILY, KnownPackage, applies
from .python import minor_of

__all__ = ["BaseChoice", "ChosenBuild", "choose_base", "choose_builds", "slim_image"]

DEFAULT_CUDA = "11.8"


@record
class ChosenBuild:
    """A known package with the build that is installed; None where the matrix does not know the release."""

    package: KnownPackage
    build: BuildVariant | None


@record
class BaseChoice:
    """The base image and what follows from it. `distribution` is a Debian or Ubuntu release."""

    reference: str
    distribution: str | None
    cuda: str | None = None
    cudnn: str | None = None
    cuda_from: Literal["none", "packages", "image"] = "none"
    causes: tuple[Cause, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = field(default=())


def choose_builds(
    request: Request, packages: Sequence[KnownPackage], matrix: Matrix
) -> tuple[tuple[ChosenBuild, ...], tuple[Diagnostic, ...]]:
    """The build of each known package. Errors: COG222, COG226; warnings: COG229, COG230."""
    chosen: list[ChosenBuild] = []
    found: list[Diagnostic] = list(_companion_mismatches(packages, matrix))
    for package in packages:
        build, remarks = _choose_build(request, package, matrix)
        chosen.append(ChosenBuild(package=package, build=build))
        found.extend(remarks)
    return tuple(chosen), tuple(found)


def _choose_build(
    request: Request, package: KnownPackage, matrix: Matrix
) -> tuple[BuildVariant | None, tuple[Diagnostic, ...]]:
    release = package.release
    if release is None:
        return None, ()
    if package.local is not None:
        return release.build(package.local), ()
    if package.name not in TORCH_FAMILY:
        return _build_of_extra(package), _tensorflow_conflicts(request, package)
    if package.name != "torch":
        return release.default, ()
    if not request.is_gpu:
        return _cpu_build(package, matrix)
    return _torch_build(request, package, matrix)


def _cpu_build(package: KnownPackage, matrix: Matrix) -> tuple[BuildVariant | None, tuple[Diagnostic, ...]]:
    release = package.release
    assert release is not None
    build = release.build("cpu")
    if build is not None or release.default.cuda is None or package.asked in ("any", "range"):
        return build or release.default, ()
    message = (
        f"no CPU build of torch {release.version} is known; the build for CUDA {release.default.cuda} is installed"
    )
    hint = f"it is about 3 GB larger (matrix {matrix.version})"
    return release.default, (report("COG229", message, package.requirement.origin, hint=hint),)


def _build_of_extra(package: KnownPackage) -> BuildVariant:
    """The build that the extras of the requirement switch on, else the default."""
    assert package.release is not None
    for build in package.release.builds:
        if build.extra and set(build.extra.split(",")) <= set(package.requirement.extras):
            return build
    return package.release.default


def _torch_build(
    request: Request, package: KnownPackage, matrix: Matrix
) -> tuple[BuildVariant | None, tuple[Diagnostic, ...]]:
    release = package.release
    assert release is not None
    with_cuda = [build for build in release.builds if build.cuda is not None]
    span = package.requirement.origin
    if release.default.cuda is None and request.architecture == "arm64":
        message = f"torch {release.version} from the package index has no GPU build for linux/arm64"
        newer = [r for r in matrix.releases("torch", "arm64") if r.default.cuda is not None]
        hint = f"torch=={newer[0].version} is the first with one" if newer else None
        return release.default, (report("COG230", message, span, hint=hint),)
    if request.cuda is None:
        # CUDA 10 builds have no code for any GPU newer than Turing; PyTorch's own index has better ones.
        if release.default.cuda is not None and cuda_tuple(release.default.cuda)[0] >= 11:
            return release.default, ()
        newest = max(with_cuda, key=lambda build: cuda_tuple(build.cuda or "0.0"), default=release.default)
        return newest, ()
    wanted = cuda_tuple(request.cuda)
    fitting = [build for build in with_cuda if cuda_tuple(build.cuda or "0.0") <= wanted]
    same_major = [build for build in fitting if cuda_tuple(build.cuda or "0.0")[0] == wanted[0]]
    best = max(same_major or fitting, key=lambda build: cuda_tuple(build.cuda or "0.0"), default=release.default)
    if best.cuda is not None and same_major and best is not release.default and best.cuda == release.default.cuda:
        best = release.default
    if best.cuda is None or cuda_tuple(best.cuda) == wanted:
        return best, ()
    known = ", ".join(sorted({build.cuda for build in with_cuda if build.cuda}, key=cuda_tuple))
    message = f"torch {release.version} has no build for CUDA {request.cuda}; the build for CUDA {best.cuda} is used"
    notes = [Note(message=f"torch {release.version} is built for CUDA {known} (matrix {matrix.version})")]
    span_of_cuda = dict(request.spans).get("cuda")
    hint = f'cuda: "{best.cuda}", or no `cuda` at all: torch brings its own'
    return best, (report("COG229", message, span_of_cuda or span, notes=notes, hint=hint),)


def _tensorflow_conflicts(request: Request, package: KnownPackage) -> tuple[Diagnostic, ...]:
    build = _build_of_extra(package)
    if package.name not in TENSORFLOW_FAMILY or not request.is_gpu or build.cuda is None:
        return ()
    assert package.release is not None
    span = dict(request.spans).get("cuda")
    name = f"TensorFlow {package.release.version}"
    found: list[Diagnostic] = []
    if request.cuda is not None and build.cuda_from == "system":
        wanted, needed = cuda_tuple(request.cuda), cuda_tuple(build.cuda)
        notes = [Note(message=f"{name} is asked for here", span=package.requirement.origin)]
        if wanted[0] != needed[0]:
            message = f"{name} is incompatible with CUDA {request.cuda}: {name} requires CUDA {build.cuda}"
            found.append(report("COG222", message, span, notes=notes, hint=f'cuda: "{build.cuda}", or remove `cuda`'))
        elif wanted != needed:
            message = f"{name} is tested with CUDA {build.cuda}, but cuda is {request.cuda}"
            found.append(report("COG229", message, span, notes=notes, hint=f'cuda: "{build.cuda}", or remove `cuda`'))
    if request.cudnn is not None and build.cudnn and build.cuda_from == "system":
        major = build.cudnn.split(".")[0]
        if request.cudnn.split(".")[0] != major:
            pin = f"tensorflow=={package.release.version}"
            message = f"cuDNN {request.cudnn} is not compatible with {pin}, which needs cuDNN {major}"
            found.append(report("COG222", message, dict(request.spans).get("cudnn"), hint=f'cudnn: "{major}"'))
    return tuple(found)


def _companion_mismatches(packages: Sequence[KnownPackage], matrix: Matrix) -> Iterator[Diagnostic]:
    """Pinned torchvision or torchaudio that demand another torch than the pinned one."""
    torch = next((package for package in packages if package.name == "torch" and package.asked == "pin"), None)
    if torch is None or torch.release is None:
        return
    for package in packages:
        if package.name not in TORCH_FAMILY[1:] or package.asked != "pin" or package.release is None:
            continue
        demand = dict(package.release.requires).get("torch", "")
        demanded = demand.removeprefix("==").split("+")[0]
        if not demand.startswith("==") or Version(demanded) == torch.release.version:
            continue
        companion = f"{package.name} {package.release.version}"
        message = f"{companion} needs torch {demanded}, but torch {torch.release.version} is asked for"
        notes = [Note(message=f"torch {torch.release.version} is asked for here", span=torch.requirement.origin)]
        fits = dict(torch.release.companions).get(package.name)
        hint = f"{package.name}{fits}, or torch=={demanded}" if fits else f"torch=={demanded}"
        note = Note(
            message=f"matrix {matrix.version}, {package.name} {package.release.version}: measured from its metadata"
        )
        yield report("COG226", message, package.requirement.origin, notes=(*notes, note), hint=hint)


# -- the base image ------------------------------------------------------------------------------


def choose_base(request: Request, python: str, builds: Sequence[ChosenBuild], matrix: Matrix) -> BaseChoice:
    """The smallest base image that works; nvidia/cuda only when something needs it. Errors: COG223.

    Source of the rules: docs/base-images.md.
    """
    if request.base_image is not None:
        cause = Cause(kind="flag", text=f"--base-image {request.base_image}")
        return BaseChoice(reference=request.base_image, distribution=None, causes=(cause,))
    if not request.is_gpu:
        return _slim(python, matrix, (), cuda=None, cuda_from="none")
    if request.use_cuda_base == "false":
        cause = Cause(kind="flag", text="--use-cuda-base-image=false: no CUDA image")
        choice = _slim(python, matrix, (cause,), cuda=_packaged_cuda(builds), cuda_from="packages")
        return replace(choice, diagnostics=tuple(_refused_needs(request, builds, matrix)))
    if request.cuda is not None:
        span = dict(request.spans).get("cuda")
        cause = Cause(kind="config", text=f"cuda {request.cuda} is asked for", span=span)
        return _cuda_image(request.cuda, request.cudnn, "devel", None, (cause,), request, matrix)
    needs = tuple(_system_needs(request, builds, matrix))
    if needs:
        return _image_for(needs, request, builds, matrix)
    if request.cudnn is not None or request.use_cuda_base == "true":
        cause = Cause(kind="flag", text="--use-cuda-base-image=true")
        if request.cudnn is not None:
            span = dict(request.spans).get("cudnn")
            cause = Cause(kind="config", text=f"cudnn {request.cudnn} is asked for", span=span)
        cuda = _packaged_cuda(builds) or _default_cuda(request.cudnn, matrix)
        return _cuda_image(cuda, request.cudnn, "devel", None, (cause,), request, matrix)
    return _slim(python, matrix, tuple(_why_slim(builds)), cuda=_packaged_cuda(builds), cuda_from="packages")


@record
class _Need:
    """Something that looks for CUDA outside Python packages. `cuda` and `cudnn` are what it must at least be.

    `takes_newer` says that any later minor version does as well, because only the major one is linked.
    """

    cuda: str | None
    cudnn: str | None
    flavour: Literal["runtime", "devel"]
    cause: Cause
    takes_newer: bool = False


def _system_needs(request: Request, builds: Sequence[ChosenBuild], matrix: Matrix) -> Iterator[_Need]:
    for chosen in builds:
        build, package = chosen.build, chosen.package
        if build is None or package.release is None:
            continue
        what = f"{package.name} {package.release.version}"
        span = package.requirement.origin
        if build.cuda_from == "system":
            # XLA compiles with ptxas and libdevice, which only devel images have.
            is_tensorflow = package.name in TENSORFLOW_FAMILY
            cause = Cause(kind="matrix", text=f"{what} looks for CUDA {build.cuda} in the image", span=span)
            yield _Need(
                cuda=build.cuda,
                cudnn=build.cudnn,
                flavour="devel" if is_tensorflow else "runtime",
                cause=cause,
                takes_newer=not is_tensorflow,
            )
    rules = matrix.rules
    for requirement in request.requirements:
        for name, only_from_vcs in rules.compiles_cuda:
            is_it = requirement.name == name and (requirement.kind == "vcs" or not only_from_vcs)
            is_it |= requirement.kind == "vcs" and f"/{name}" in (requirement.url or "").lower()
            if is_it and applies(requirement, request):
                cause = Cause(
                    kind="rule", text=f"{name} is compiled for CUDA during the build", span=requirement.origin
                )
                yield _Need(cuda=_packaged_cuda(builds), cudnn=None, flavour="devel", cause=cause)
                break
    for system_package in request.system_packages:
        if system_package.name.startswith(rules.system_packages_of_nvidia):
            why = f"the system package {system_package.name} comes from NVIDIA"
            cause = Cause(kind="rule", text=why, span=system_package.origin)
            yield _Need(cuda=_packaged_cuda(builds), cudnn=None, flavour="devel", cause=cause)
    for command in request.commands:
        text = next((text for text in rules.commands_that_need_cuda if text in command.command), None)
        if text is not None:
            cause = Cause(kind="rule", text=f"a command of build.run mentions `{text}`", span=command.origin)
            yield _Need(cuda=_packaged_cuda(builds), cudnn=None, flavour="devel", cause=cause)


def _refused_needs(request: Request, builds: Sequence[ChosenBuild], matrix: Matrix) -> Iterator[Diagnostic]:
    """COG234 for each need of a CUDA image that the command line rules out."""
    for need in _system_needs(request, builds, matrix):
        message = f"{need.cause.text}, but --use-cuda-base-image=false leaves it without; it may run on the CPU or fail"
        yield report("COG234", message, need.cause.span)


def _image_for(needs: Sequence[_Need], request: Request, builds: Sequence[ChosenBuild], matrix: Matrix) -> BaseChoice:
    flavour: Literal["runtime", "devel"] = "devel" if any(need.flavour == "devel" for need in needs) else "runtime"
    versions = [need.cuda for need in needs if need.cuda is not None]
    causes = tuple(need.cause for need in needs)
    majors = {cuda_tuple(version)[0] for version in versions}
    if len(majors) > 1:
        notes = [Note(message=need.cause.text, span=need.cause.span) for need in needs if need.cuda]
        problem = report(
            "COG222",
            f"packages look for different CUDA versions in the image: {', '.join(sorted(set(versions)))}",
            needs[0].cause.span,
            notes=notes,
            hint="set `cuda` to choose one",
        )
        return BaseChoice(reference="", distribution=None, diagnostics=(problem,))
    cuda = max(versions, key=cuda_tuple) if versions else _packaged_cuda(builds) or DEFAULT_CUDA
    if versions and all(need.takes_newer for need in needs if need.cuda == cuda):
        cuda = _newest_of_major(cuda, flavour, matrix)
    minimum = max((need.cudnn for need in needs if need.cudnn), key=Version, default=None)
    cudnn = request.cudnn or (minimum.split(".")[0] if minimum else None)
    return _cuda_image(cuda, cudnn, flavour, minimum, causes, request, matrix)


def _newest_of_major(cuda: str, flavour: str, matrix: Matrix) -> str:
    """The newest minor version of the same major whose image is known in full."""
    major = cuda_tuple(cuda)[0]
    known = [
        image.cuda
        for image in matrix.cuda_images
        if cuda_tuple(image.cuda)[0] == major and image.cudnn_version is not None and flavour in image.flavours
    ]
    newest = max(known, key=cuda_tuple, default=cuda)
    return ".".join(newest.split(".")[:2])


def _default_cuda(cudnn: str | None, matrix: Matrix) -> str:
    """The default CUDA; where it has no image with the wanted cuDNN, the newest of the first major that has."""
    default = cuda_tuple(DEFAULT_CUDA)
    having = sorted(
        {
            cuda_tuple(image.cuda)
            for image in matrix.cuda_images
            if _has_cudnn(image, cudnn, None) and "devel" in image.flavours and cuda_tuple(image.cuda) >= default
        }
    )
    if not having or default in having:
        return DEFAULT_CUDA
    newest = max(version for version in having if version[0] == having[0][0])
    return ".".join(map(str, newest))


def _packaged_cuda(builds: Sequence[ChosenBuild]) -> str | None:
    """The CUDA that Python packages bring themselves, torch first; None when none does."""
    bringing = [
        c.build.cuda for c in builds if c.build and c.build.cuda and c.build.cuda_from in ("wheel", "pip", "extra")
    ]
    torch = [c.build.cuda for c in builds if c.package.name == "torch" and c.build and c.build.cuda]
    return next(iter((*torch, *bringing)), None)


def _cuda_image(
    cuda: str,
    cudnn: str | None,
    flavour: Literal["runtime", "devel"],
    minimum_cudnn: str | None,
    causes: tuple[Cause, ...],
    request: Request,
    matrix: Matrix,
) -> BaseChoice:
    """The nvidia/cuda image: highest patch, then newest Ubuntu; a later minor only where cuDNN demands it."""
    wanted = cuda_tuple(cuda)
    same_major = [i for i in matrix.cuda_images if cuda_tuple(i.cuda)[0] == wanted[0] and flavour in i.flavours]
    exact = [i for i in same_major if cuda_tuple(i.cuda) == wanted and (cuda.count(".") < 2 or i.cuda == cuda)]
    majors = sorted({image.cudnn_major for image in exact})
    if (
        exact
        and request.cuda is not None
        and cudnn is not None
        and request.cudnn is not None
        and int(cudnn.split(".")[0]) not in majors
    ):
        listed = ", ".join(str(major) for major in majors)
        message = f"CUDA {cuda} is incompatible with CuDNN {cudnn}: compatible CuDNN versions are: {listed}"
        problem = report(
            "COG222", message, dict(request.spans).get("cudnn"), hint=f'cudnn: "{majors[-1]}", or remove it'
        )
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
        with_cudnn = f" and CuDNN {cudnn}" if cudnn else ""
        known = sorted(
            {".".join(i.cuda.split(".")[:2]) for i in matrix.cuda_images if cuda_tuple(i.cuda)[0] >= 11}, key=cuda_tuple
        )
        hint = f"images exist for CUDA {', '.join(known)}"
        span = dict(request.spans).get("cuda") or (causes[0].span if causes else None)
        problem = report("COG223", f"no matching base image for CUDA {cuda}{with_cudnn}", span, hint=hint)
        return BaseChoice(reference="", distribution=None, diagnostics=(problem,))
    image = max(fitting, key=lambda image: (Version(image.cuda), image.cudnn_major, Version(image.ubuntu)))
    return BaseChoice(
        reference=image.reference(flavour),
        distribution=f"ubuntu{image.ubuntu}",
        cuda=".".join(image.cuda.split(".")[:2]),
        cudnn=str(image.cudnn_major),
        cuda_from="image",
        causes=causes,
        diagnostics=remarks,
    )


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


def _why_slim(builds: Sequence[ChosenBuild]) -> Iterator[Cause]:
    for chosen in builds:
        build, package = chosen.build, chosen.package
        if build is not None and build.cuda and build.cuda_from in ("wheel", "pip", "extra") and package.release:
            text = (
                f"{package.name} {package.release.version} brings CUDA {build.cuda} itself, so no CUDA image is needed"
            )
            yield Cause(kind="matrix", text=text, span=package.requirement.origin)
            return
    yield Cause(kind="rule", text="nothing that looks for CUDA in the image was found, so no CUDA image is used")
