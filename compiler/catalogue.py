"""The catalogue of diagnostic codes: the stable name, the severity and one sentence for each.

COG1xx reading cog.yaml and its keys; COG2xx requirements and resolution; COG3xx the project's files and the
image; COG4xx the model's signature; COG5xx the command line, files and output; COG6xx engines, builds and registries;
COG7xx models that run here, their inputs and predictions. Every code has a page in docs/diagnostics. A code is never
reused for something else.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["CATALOGUE", "Entry"]


class Entry(NamedTuple):
    """What is fixed about a code. `severity` is that of every diagnostic with the code."""

    name: str
    severity: Literal["error", "warning", "info"]
    summary: str


CATALOGUE: dict[str, Entry] = {
    # COG10x: the YAML text
    "COG100": Entry("config-not-found", "error", "No cog.yaml was found here or in a parent directory."),
    "COG101": Entry("invalid-yaml", "error", "The file is not valid YAML."),
    "COG102": Entry("duplicate-key", "error", "A mapping has the same key twice; YAML keeps only one in silence."),
    "COG103": Entry("tab-indentation", "error", "A tab is used for indentation, which YAML forbids."),
    "COG104": Entry("several-documents", "error", "The file holds more than one YAML document."),
    "COG105": Entry("wrong-encoding", "error", "The file is not UTF-8 text."),
    "COG106": Entry("file-too-large", "error", "The file is larger than any real configuration."),
    "COG107": Entry("too-deep-or-too-many", "error", "Nesting or aliases make the document larger than the limits."),
    "COG108": Entry("byte-order-mark", "info", "The file starts with a byte order mark, which is ignored."),
    "COG109": Entry("anchors-expanded", "info", "Anchors and aliases are used; each alias is expanded."),
    "COG110": Entry("empty-config", "info", "The file is empty: every key has its default."),
    "COG111": Entry("carriage-returns", "info", "The file has Windows line ends, which are accepted."),
    # COG12x: shape
    "COG120": Entry("unknown-key", "error", "The key does not exist."),
    "COG121": Entry("wrong-type", "error", "The value has the wrong type."),
    "COG122": Entry("missing-key", "error", "A required key is missing."),
    "COG123": Entry("invalid-value", "error", "The value is not one of those allowed."),
    "COG124": Entry("unquoted-version", "warning", "A version is written as a number; YAML drops its trailing zero."),
    "COG125": Entry("legacy-layout", "error", "The file has the layout of 2021, before the `build` key."),
    "COG126": Entry("deprecated-key", "warning", "The key is deprecated; another one replaces it."),
    "COG127": Entry("ignored-key", "warning", "The key is accepted but has no effect."),
    # COG13x: meaning of single keys
    "COG130": Entry("invalid-python-version", "error", "`build.python_version` is not a supported version."),
    "COG131": Entry("python-end-of-life", "warning", "The Python version no longer gets security fixes."),
    "COG132": Entry("python-unknown", "warning", "The Python version is newer than the compatibility matrix."),
    "COG133": Entry("invalid-cuda", "error", "`build.cuda` or `build.cudnn` is not a supported version."),
    "COG134": Entry("cuda-without-gpu", "warning", "A key about GPUs has no effect without `gpu: true`."),
    "COG135": Entry("invalid-target", "error", "A target is not of the form `file.py:Name`."),
    "COG136": Entry("predict-and-run", "error", "Both `predict` and `run` name the prediction target."),
    "COG137": Entry(
        "packages-and-requirements", "error", "`python_packages` and `python_requirements` exclude each other."
    ),
    "COG138": Entry("invalid-system-package", "error", "The text is not the name of a system package."),
    "COG139": Entry("newline-in-command", "error", "A command of `build.run` spans several lines."),
    "COG140": Entry("invalid-environment", "error", "An entry of `environment` is not an allowed `NAME=value`."),
    "COG141": Entry("invalid-concurrency", "error", "The `concurrency` setting cannot work."),
    "COG142": Entry("invalid-mount", "error", "A mount of `build.run` is not valid."),
    "COG143": Entry("invalid-weights", "error", "A managed weight is not valid."),
    "COG144": Entry(
        "model-and-image", "error", "`model` and `image` exclude each other, or `model` is not a repository."
    ),
    "COG145": Entry("invalid-image-name", "error", "`image` is not a valid image name."),
    "COG146": Entry("not-a-build-command", "error", "`build.run` needs a command."),
    "COG147": Entry("sdk-version", "warning", "`build.sdk_version` differs from the bundled runtime, which is used."),
    "COG148": Entry("path-leaves-project", "error", "A path is absolute or leaves the project."),
    "COG149": Entry("no-target", "info", "Neither `predict` nor `train` is set: the image cannot serve predictions."),
    "COG150": Entry("concurrency-deprecated", "info", "Newer models set concurrency with a decorator."),
    "COG151": Entry("invalid-user", "error", "`build.user` is not a user name or id."),
    "COG152": Entry("system-package-form", "warning", "An item of `system_packages` is not one plain package name."),
    "COG153": Entry("here-document", "error", "A command of `build.run` starts a here-document in its only line."),
    "COG154": Entry("invalid-driver", "error", "`build.driver` is not the version of an NVIDIA driver."),
    "COG155": Entry("impossible-command", "error", "No process can take a command of `build.run`."),
    # COG20x: requirements
    "COG200": Entry(
        "requirements-not-found", "error", "A requirements or constraints file does not exist or cannot be read."
    ),
    "COG201": Entry("requirements-cycle", "error", "Requirements files include each other in a circle."),
    "COG202": Entry("managed-package", "warning", "The package is installed by cogc itself; the line is dropped."),
    "COG203": Entry("local-requirement", "error", "A local requirement has a form that cannot be built into an image."),
    "COG204": Entry(
        "unreadable-requirement", "warning", "The line is not a requirement cogc understands; it is passed on as it is."
    ),
    "COG205": Entry("not-the-package-name", "warning", "The package of that name is not the one that is meant."),
    "COG206": Entry("git-missing", "warning", "A requirement needs git in the image."),
    "COG207": Entry("unsupported-option", "error", "The requirements option cannot be used in an image build."),
    "COG208": Entry("project-itself-dropped", "info", "`-e .` is dropped: the project is in the image as /src."),
    "COG209": Entry("insecure-git-url", "warning", "The git:// protocol is no longer served by most hosts."),
    "COG210": Entry("item-not-one-line", "error", "An item of `python_packages` is not one line of text."),
    "COG211": Entry("credentials-in-requirement", "warning", "A requirement carries a password in its URL."),
    "COG212": Entry("short-commit", "warning", "The hash of a commit is shortened too much."),
    # COG22x: resolution
    "COG220": Entry("no-wheel-for-python", "warning", "A pinned package has no wheel for the chosen Python."),
    "COG221": Entry("no-common-python", "error", "No Python version suits all pinned packages."),
    "COG222": Entry("cuda-conflict", "error", "CUDA versions that are needed contradict each other."),
    "COG223": Entry("no-base-image", "error", "No base image has the CUDA and cuDNN that are needed."),
    "COG224": Entry(
        "unpinned-framework", "warning", "The framework is not pinned: the build takes whatever is newest."
    ),
    "COG225": Entry("unknown-framework-version", "warning", "The version is not in the compatibility matrix."),
    "COG226": Entry("companion-mismatch", "error", "Two pinned packages demand different versions of each other."),
    "COG227": Entry("minor-pin-expanded", "info", "A two-part pin is read as its newest patch release."),
    "COG228": Entry("base-image-choice", "info", "Why this base image was chosen."),
    "COG229": Entry("cuda-build-missing", "warning", "The package has no build for the CUDA version that is set."),
    "COG230": Entry("gpu-build-missing", "warning", "The package has no GPU build for the platform."),
    "COG232": Entry(
        "python-not-in-distribution", "warning", "The distribution has no packages of that Python version."
    ),
    "COG233": Entry("tools-added", "info", "System packages are added that nobody asked for by name."),
    "COG234": Entry(
        "cuda-image-refused", "warning", "Something looks for CUDA in the image, and the flags leave it out."
    ),
    "COG235": Entry("no-wheel", "error", "The package has no wheel for the Python that is set, or for the platform."),
    "COG236": Entry("no-gpu-build", "error", "A GPU is asked for, and the package has no GPU build for the platform."),
    "COG237": Entry(
        "lines-exclude-each-other", "error", "Lines ask for versions of a package that exclude each other."
    ),
    "COG238": Entry("libraries-pinned-apart", "error", "Two packages pin different releases of the same CUDA library."),
    "COG239": Entry("build-and-index", "error", "A line names another build than the index beside it has."),
    "COG240": Entry("numpy-ceiling", "warning", "A package was built for an older NumPy than its metadata says."),
    "COG241": Entry(
        "old-c-library", "warning", "The wheels of a package need a newer C library than the base image has."
    ),
    "COG242": Entry("no-code-for-gpu", "error", "No build of the package has code for a GPU of `gpu_model`."),
    "COG243": Entry("gpu-code-not-measured", "warning", "Nobody looked which GPUs the chosen build has code for."),
    "COG244": Entry("driver-too-old", "error", "The package's CUDA needs a newer driver than `driver` says."),
    "COG245": Entry("unknown-gpu", "warning", "A name of `gpu_model` is not in the compatibility matrix."),
    "COG246": Entry("unknown-index", "info", "Nothing is known about what a package index has."),
    "COG247": Entry("doubtful-combination", "warning", "Packages probably do not fit, but that is not certain."),
    "COG248": Entry(
        "libraries-to-preload", "warning", "The model must load CUDA libraries before it uses the package."
    ),
    "COG249": Entry("held-back", "warning", "An older release is taken, because of the GPUs or the driver."),
    "COG250": Entry("superseded-image", "warning", "The CUDA patch release has a successor; its image may be deleted."),
    # COG26x: the lock
    "COG260": Entry("lock-not-found", "error", "`--locked` needs a lock, and there is none."),
    "COG261": Entry("invalid-lock", "error", "The lock cannot be read, or was written by a newer cogc."),
    "COG262": Entry("lock-out-of-date", "error", "The configuration is not the one that the lock was made for."),
    "COG263": Entry("platform-not-locked", "error", "The lock was not made for this platform."),
    "COG264": Entry("locked-file-changed", "error", "Weights or packages of the project are not those of the lock."),
    "COG265": Entry("uv-missing", "error", "`cogc lock` needs uv, which is not installed."),
    "COG266": Entry(
        "packages-not-resolved", "error", "uv finds no versions that fit together, or cannot reach an index."
    ),
    "COG267": Entry("image-not-pinned", "warning", "No registry and no engine knows the digest of an image."),
    "COG268": Entry("package-built", "info", "A locked package is built while the image is: its files have no hash."),
    # COG27x: size
    "COG270": Entry("budget-exceeded", "error", "The image will be larger than its budget."),
    "COG271": Entry("cuda-twice", "warning", "CUDA is in the base image and in packages as well."),
    # COG28x: tables of the compatibility matrix that a project brings
    "COG280": Entry("invalid-table", "error", "A table of the compatibility matrix cannot be used."),
    "COG281": Entry("table-changed", "error", "A table of the project is not the one that `cogc matrix use` wrote."),
    "COG282": Entry("own-tables", "info", "Versions are chosen with tables that the project brings."),
    # COG30x: project files and the image
    "COG300": Entry("target-file-missing", "error", "The file of a target does not exist or cannot be read."),
    "COG301": Entry(
        "staging-hidden", "warning", "The .dockerignore hides the staged files; they are written inline instead."
    ),
    "COG302": Entry(
        "system-package-renamed",
        "warning",
        "The system package has another name in this release; the name is rewritten.",
    ),
    "COG303": Entry("system-package-gone", "warning", "The system package does not exist in this release."),
    "COG304": Entry("weights-found", "info", "Large files get a layer of their own."),
    "COG305": Entry(
        "code-beside-weights", "info", "A directory with large files also holds code and stays in the code layer."
    ),
    "COG306": Entry("large-file-in-root", "info", "A large file lies in the project's root."),
    "COG307": Entry("artifact-hidden", "error", "A local package is hidden by .dockerignore."),
    "COG308": Entry("old-frontend", "error", "The Dockerfile dialect cannot express the build."),
    "COG309": Entry("invalid-template", "error", "The Dockerfile template cannot be used."),
    "COG310": Entry("invalid-certificate", "error", "`COG_CA_CERT` does not hold a certificate."),
    "COG311": Entry("unwalkable-project", "warning", "A directory of the project cannot be read."),
    "COG312": Entry("invalid-dockerignore", "warning", "A pattern of .dockerignore is not valid and is ignored."),
    "COG313": Entry(
        "target-file-elsewhere", "warning", "The file of a target is not in the project; the image may have it."
    ),
    "COG314": Entry("target-file-hidden", "warning", "The file of a target is hidden by .dockerignore."),
    "COG315": Entry(
        "base-config-unknown", "warning", "What a base image sets is not known, and is taken to be the usual."
    ),
    "COG316": Entry(
        "template-without-dockerfile", "error", "A Dockerfile template is set, and no Dockerfile is written."
    ),
    "COG317": Entry(
        "base-with-triggers", "error", "A base image has ONBUILD instructions, and no Dockerfile is written."
    ),
    "COG318": Entry(
        "flag-without-dockerfile",
        "error",
        "A command has flags of RUN that mounts cannot say, and no Dockerfile is written.",
    ),
    # COG4xx: the model's signature
    "COG400": Entry("target-not-found", "error", "The file has no class or function of that name."),
    "COG401": Entry("method-not-found", "error", "The class of the target has no method to call."),
    "COG402": Entry("predict-and-run-methods", "error", "The class defines both `predict` and `run`."),
    "COG403": Entry("invalid-python", "error", "The file is not valid Python."),
    "COG404": Entry("wrong-source-encoding", "error", "The Python file is not text in the encoding it declares."),
    "COG405": Entry("source-too-large", "error", "The Python file is larger or nested deeper than the limits."),
    "COG406": Entry(
        "missing-return-type", "error", "The function has no return annotation, so its output type is not known."
    ),
    "COG407": Entry("missing-input-type", "error", "A parameter has no type annotation."),
    "COG408": Entry("unsupported-type", "error", "The type cannot be an input or an output of a model."),
    "COG409": Entry(
        "unresolved-type", "warning", "The type comes from outside the project; the schema is completed in the image."
    ),
    "COG410": Entry(
        "dynamic-default", "warning", "The default is computed at run time; the schema is completed in the image."
    ),
    "COG411": Entry(
        "dynamic-argument",
        "warning",
        "An argument of `Input` is computed at run time; the schema is completed in the image.",
    ),
    "COG412": Entry(
        "dynamic-target",
        "warning",
        "The target is made at run time or elsewhere; the schema is completed in the image.",
    ),
    "COG413": Entry(
        "default-out-of-bounds", "error", "The default is outside the minimum and maximum of its own input."
    ),
    "COG414": Entry("default-not-a-choice", "error", "The default is not one of the choices of its own input."),
    "COG415": Entry("invalid-choices", "error", "The choices do not fit the type of the input."),
    "COG416": Entry("constraint-without-effect", "error", "A constraint does not apply to the type of the input."),
    "COG417": Entry("invalid-constraint", "error", "An argument of `Input` has a value that makes no sense."),
    "COG418": Entry("unknown-input-argument", "error", "`Input` has no such argument."),
    "COG419": Entry("default-of-other-type", "warning", "The default does not have the type of the input."),
    "COG420": Entry(
        "invalid-iterator", "error", "An iterator type stands where it cannot, or has the wrong element type."
    ),
    "COG421": Entry("name-not-imported", "warning", "A name of `cog` or `typing` is used but not imported."),
    "COG422": Entry("type-not-portable", "warning", "The type works here, but Cog itself may refuse it."),
    "COG423": Entry("invalid-decorator", "error", "`@cog.streaming` or `@cog.concurrent` does not fit the function."),
    "COG424": Entry("invalid-legacy-input", "error", "An `@cog.input` declaration is not valid."),
    "COG425": Entry("undeclared-legacy-parameter", "warning", "An input is declared that the function does not take."),
    "COG426": Entry("variable-parameters", "warning", "`*args` and `**kwargs` take part in no schema."),
    "COG427": Entry(
        "yield-without-iterator", "warning", "The function yields, but its output type is not an iterator."
    ),
    "COG428": Entry("default-without-json", "warning", "The default has no JSON form and is left out of the schema."),
    "COG429": Entry("parameter-order", "error", "A parameter without a default follows one with a default."),
    "COG430": Entry(
        "newer-python-syntax", "warning", "The file may use syntax that is newer than the Python that cogc runs on."
    ),
    "COG431": Entry("pathlib-input", "warning", "An input has the type `pathlib.Path`, which is read as `cog.Path`."),
    "COG432": Entry("positional-only-input", "error", "A parameter is positional-only, but inputs are passed by name."),
    # COG44x: schemas that do not come from the source
    "COG440": Entry("import-failed", "error", "The model cannot be imported to see its schema."),
    "COG441": Entry("schema-open", "error", "The source does not tell the whole schema."),
    "COG442": Entry("invalid-openapi", "error", "The schema that is given is not a sound OpenAPI 3.0 document."),
    "COG443": Entry("schema-of-another-model", "warning", "The schema that is given does not go with the model."),
    # COG45x: code that newer versions write differently; told by `cogc doctor`
    "COG450": Entry("pydantic-output", "warning", "An output class derives from pydantic's BaseModel."),
    "COG451": Entry("import-without-effect", "info", "A name is imported that no longer does anything."),
    "COG452": Entry("older-names", "info", "The model has the names of older Cog; told with --migrate only."),
    # COG50x: the command line and files
    "COG500": Entry("unreadable-file", "error", "A file cannot be read."),
    "COG501": Entry("unwritable-file", "error", "A file or directory cannot be written."),
    "COG502": Entry("out-of-date", "error", "The checked file differs from what would be generated."),
    "COG503": Entry("invalid-option", "error", "An option has a value that cannot be used."),
    "COG504": Entry("prebuilt-base-off", "warning", "Prebuilt Cog base images are not used."),
    "COG505": Entry("unused-build-argument", "warning", "A build argument has no effect."),
    # COG60x: running models
    "COG600": Entry("nothing-to-run", "error", "cog.yaml names no target for the command."),
    "COG601": Entry("image-needs-containers", "error", "The local engine cannot use an image."),
    "COG602": Entry("port-taken", "error", "The port is in use, or may not be used."),
    "COG603": Entry("no-gpu", "error", "A GPU was asked for, and there is none."),
    "COG604": Entry("program-not-found", "error", "The program to run does not exist in the environment."),
    # COG62x: the container engine
    "COG620": Entry("no-docker-program", "error", "There is no docker program on the PATH."),
    "COG621": Entry("engine-not-running", "error", "No container engine answers."),
    "COG622": Entry("engine-permission", "error", "The container engine refuses this user."),
    "COG623": Entry("engine-disk-full", "error", "The disk of the container engine is full."),
    "COG624": Entry("no-buildx", "error", "The docker program has no buildx, which builds images."),
    "COG625": Entry("engine-too-old", "error", "The docker program or the engine is too old."),
    "COG626": Entry("engine-failed", "error", "The docker program failed for another reason."),
    "COG627": Entry("engine-lost", "error", "The connection to the container engine ended during the build."),
    "COG628": Entry("library-missing", "error", "An optional library that the command needs is not installed."),
    "COG629": Entry("context-not-sent", "error", "A file could not be sent to the builder."),
    # COG63x: building with an engine
    "COG630": Entry("build-step-failed", "error", "A command failed while the image was built."),
    "COG631": Entry("build-refused", "error", "The builder cannot carry out a step."),
    "COG632": Entry("secret-missing", "error", "A secret that a command needs was not given."),
    "COG633": Entry("secret-unused", "warning", "A secret or an ssh agent is given that no step uses."),
    "COG634": Entry("nothing-to-serve", "error", "Neither `predict` nor `train` is set, so there is nothing to serve."),
    "COG635": Entry("no-pip-freeze", "warning", "The label with the installed packages is left out."),
    "COG636": Entry("model-not-imported", "warning", "The build could not import the model to read its schema."),
    "COG637": Entry("unsafe-output", "error", "The daemon sent files that must not be written."),
    "COG638": Entry("image-store-lacks", "error", "The image store of the engine cannot do what is asked for."),
    # COG64x: images and registries
    "COG640": Entry("registry-refuses", "error", "The registry refuses access."),
    "COG641": Entry("registry-unreachable", "error", "The registry cannot be reached."),
    "COG642": Entry("image-not-found", "error", "There is no such image."),
    "COG643": Entry("not-a-model", "error", "The image was not made from a cog.yaml."),
    "COG644": Entry("wrong-platform", "error", "There is no image for the platform."),
    "COG645": Entry("no-push-target", "error", "There is no name to push to."),
    # COG65x: examples
    "COG650": Entry("example-failed", "error", "The output of an example is not what cog.yaml expects."),
    "COG651": Entry("invalid-example", "error", "An example of cog.yaml cannot be checked."),
    "COG652": Entry("no-examples", "error", "There are no examples to test."),
    # COG66x: ssh agents of builds
    "COG660": Entry("ssh-agent-missing", "error", "An ssh agent that a step needs was not given, or has no keys."),
    "COG661": Entry("unchecked-hosts", "warning", "Nothing says which keys the ssh hosts of packages have."),
    # COG70x: the local engine
    "COG700": Entry("other-python", "warning", "The machine does not have the Python that the model wants."),
    "COG701": Entry("not-done-here", "warning", "The local engine does not do everything that cog.yaml asks for."),
    "COG702": Entry("packages-not-installed", "error", "The Python packages could not be installed."),
    "COG703": Entry("no-python", "error", "The machine has no Python that can run the model."),
    "COG704": Entry("environment-not-made", "error", "The virtual environment could not be made."),
    # COG71x: inputs
    "COG710": Entry("invalid-input", "error", "An input does not fit the model's schema."),
    "COG711": Entry("unknown-input", "error", "The model has no input of that name."),
    "COG712": Entry("missing-input", "error", "An input that the model requires is missing."),
    "COG713": Entry("unreadable-input", "error", "The file of an input cannot be read."),
    "COG714": Entry("invalid-json", "error", "The value of `--json` is not a JSON object."),
    # COG72x: servers and predictions
    "COG720": Entry("model-did-not-start", "error", "The model did not become ready."),
    "COG721": Entry("prediction-failed", "error", "The prediction or training did not succeed."),
    "COG722": Entry("inputs-refused", "error", "The model's server refused the inputs."),
    "COG723": Entry("no-output", "warning", "The prediction succeeded without an output."),
    "COG724": Entry("unexpected-answer", "error", "The model's server answered something that cogc cannot use."),
    "COG725": Entry("connection-lost", "error", "The connection to the model's server was lost."),
}
