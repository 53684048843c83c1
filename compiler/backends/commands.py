"""The shell commands of steps: what both back ends run.

Commands are text as it stands in a Dockerfile, with a backslash before each line break, so that people can read it;
`on_one_line` gives what the shell sees. Paths below /tmp are where the back ends mount what a command needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..ir.nodes import (
    CaCertificate,
    InitProcess,
    InstallPython,
    ModelSchema,
    Precompile,
    PythonPackages,
    SecretMount,
    ServerEnvironment,
    SshMount,
    SystemPackages,
    UserAccount,
    Workdir,
)
from ..ir.ssh import KNOWN_HOSTS
from .quoting import shell_word

__all__ = [
    "APT_CACHE",
    "APT_LISTS",
    "CERTIFICATE_MOUNT",
    "COPIED_PYTHON",
    "LINKER_CACHE",
    "LOCAL_PACKAGES",
    "UV",
    "ca_certificate",
    "group_account",
    "init_process",
    "install_python",
    "model_schema",
    "on_one_line",
    "precompile",
    "python_packages",
    "runnable",
    "server_environment",
    "source_links",
    "ssh_mounts",
    "system_packages",
    "user_account",
    "workdir",
]

UV = "/tmp/uv"
CERTIFICATE_MOUNT = "/tmp/cog-ca-cert.crt"
LOCAL_PACKAGES = "/tmp/local_package_artifacts"
APT_CACHE = "/var/cache/cogc-apt"
APT_LISTS = "/var/lib/apt/lists"

# Which keys of hosts are right: those of the secret when it is given, else those that come first.
_KNOWN_HOSTS = "/tmp/known_hosts"
_NEW_HOSTS = "/tmp/new_hosts"
_OVER_SSH = (
    f"if [ -e {_KNOWN_HOSTS} ]; then hosts={_KNOWN_HOSTS} check=yes; else hosts={_NEW_HOSTS} check=accept-new; fi",
    'export GIT_SSH_COMMAND="ssh -o BatchMode=yes -o StrictHostKeyChecking=$check \\\n'
    "      -o 'UserKnownHostsFile=$hosts ~/.ssh/known_hosts'\"",
)
_NO_NEW_HOSTS = f"{{ rm -f {_NEW_HOSTS}; rmdir /root/.ssh 2>/dev/null || true; }}"  # old clients make the directory
_NO_LOCKS = "rm -f /tmp/uv-*.lock"
# Before 3.11, sets in bytecode have the order of their hashes.
_ORDERED = "PYTHONHASHSEED=0"
# Bytecode that names the hash of its source, not its time, stays valid in images whose times are rewritten, and is
# mostly the same after each installation.
_BYTECODE = f"PYC_INVALIDATION_MODE=CHECKED_HASH {_ORDERED}"
# What differs from one installation of the same to the next.
_LINKER_NOTES = "/var/cache/ldconfig/aux-cache"
_NO_NOTES = f"rm -f /var/log/apt/*.log /var/log/dpkg.log /var/log/alternatives.log {_LINKER_NOTES}"
# Of a wheel of the project uv notes the time, which differs from one build of the same to the next.
_NO_TIMES = (
    "find / -xdev -path '*.dist-info/uv_cache.json' \\\n      -execdir sed -i '/uv_cache\\.json,/d' RECORD \\; -delete"
)
_INSTALL = f"apt-get install -qqy --no-install-recommends \\\n      -o Dir::Cache::archives={APT_CACHE} "
_LIBRARIES = (
    "ca-certificates libbz2-1.0 libexpat1 libffi8 liblzma5 libncursesw6 "
    "libreadline8 libsqlite3-0 libssl3 libuuid1 zlib1g"
)

LINKER_CACHE = (
    "find / -xdev -type f -name '*python*.so' -printf '%h\\n' | sort -u > /etc/ld.so.conf.d/cog.conf"
    f" \\\n && ldconfig && rm -f {_LINKER_NOTES}"
)
COPIED_PYTHON = f"ldconfig && rm -f {_LINKER_NOTES} && python --version"


def on_one_line(command: str) -> str:
    r"""Without the line breaks that a Dockerfile joins.

    >>> on_one_line("make \\\n && make install")
    'make  && make install'
    """
    return command.replace("\\\n", "")


def runnable(command: str) -> str:
    r"""A command of the user without what ends it in the middle: a single backslash at its end.

    >>> print(runnable("echo a \\"), runnable(" "))
    echo a :
    """
    while re.search(r"(^|[^\\])\\$", command):
        command = command[:-1].rstrip()
    return command if command.strip() else ":"


def _all(*commands: str) -> str:
    return " \\\n && ".join(commands)


def ca_certificate(step: CaCertificate) -> str:
    """Trust the certificate at CERTIFICATE_MOUNT, also where the image has no program for that."""
    return _all(
        "mkdir -p /usr/local/share/ca-certificates /etc/ssl/certs",
        f"cp {CERTIFICATE_MOUNT} /usr/local/share/ca-certificates/cog-ca-cert.crt",
        "if command -v update-ca-certificates >/dev/null; then update-ca-certificates; \\\n"
        f"    else cat {CERTIFICATE_MOUNT} >> /etc/ssl/certs/ca-certificates.crt; fi",
    )


def init_process(step: InitProcess) -> str:
    """Install tini, and copy the program to its place."""
    directory = step.destination.rpartition("/")[0]
    return _all(
        f"mkdir -p {APT_CACHE}/partial {directory}",
        "apt-get update -qq",
        f"DEBIAN_FRONTEND=noninteractive {_INSTALL}tini",
        f'cp "$(command -v tini-static || command -v tini)" {step.destination}',
    )


def install_python(step: InstallPython) -> str:
    """Install Python; where it is copied from an image, the libraries that it needs before that."""
    if step.source == "uv":
        return _all(
            f"UV_PYTHON_INSTALL_DIR=/opt/uv {UV} python install --no-bin {step.version}",
            'ln -s "$(ls -d /opt/uv/cpython-* | head -n 1)" /opt/python',
            "rm -f /opt/python/lib/python3*/EXTERNALLY-MANAGED",
            "ln -sf /opt/python/bin/python3 /usr/local/bin/python",
        )
    start = (f"mkdir -p {APT_CACHE}/partial", "apt-get update -qq")
    if step.source == "image":
        return _all(*start, f"DEBIAN_FRONTEND=noninteractive {_INSTALL}\\\n      {_LIBRARIES}", _NO_NOTES)
    python = "python" + ".".join(step.version.split(".")[:2])
    return _all(
        *start,
        f"DEBIAN_FRONTEND=noninteractive {_INSTALL}\\\n      ca-certificates {python} {python}-dev {python}-venv",
        _NO_NOTES,
        f"{python} -m venv /opt/python",
        "ln -sf /opt/python/bin/python3 /usr/local/bin/python",
    )


def system_packages(step: SystemPackages) -> str:
    """Install the packages with apt, a line for each."""
    packages = " \\\n      ".join(map(shell_word, step.packages))
    install = f"apt-get install -qqy --no-install-recommends -o Dir::Cache::archives={APT_CACHE} \\\n      {packages}"
    return _all(f"mkdir -p {APT_CACHE}/partial", "apt-get update -qq", install, _NO_NOTES)


def python_packages(step: PythonPackages) -> str:
    """Install what the requirements name, from /tmp where the files are mounted."""
    constraints = f" -c /tmp/{step.constraints_file}" if step.constraints_file else ""
    files = f"-r /tmp/{step.requirements_file}{constraints}"
    strip = "find / -xdev -type f -name '*python*.so' -not -name '*cpython*.so' -exec strip -S {} +"
    before = _OVER_SSH if step.ssh is not None else ()
    after = (*((_NO_NEW_HOSTS,) if step.ssh is not None else ()), *((strip,) if step.strips else ()))
    if step.installer == "uv":
        where = f"--python {step.interpreter}" if step.interpreter else "--system"
        install = (
            f"{_BYTECODE} \\\n    {UV} pip install {where} --break-system-packages \\\n"
            f"      --index-strategy unsafe-best-match --link-mode copy --compile-bytecode{_words(step.options)} \\\n"
            f"      {files}"
        )
        return _all(*before, install, *((_NO_TIMES,) if step.artifacts else ()), *after, _NO_LOCKS)
    python = step.interpreter or "python"
    install = (
        f"{python} -m pip install --cache-dir /root/.cache/pip --root-user-action ignore \\\n"
        f"      --disable-pip-version-check --no-compile{_words(step.options)} \\\n      {files}"
    )
    compilation = f"{_ORDERED} {python} -m compileall -qq -j 0 --invalidation-mode checked-hash"
    # As with pip's own compilation, files that are not meant for this Python are no error.
    return _all(*before, install, f"{{ {compilation} \\\n      {_packages(python)} || true; }}", *after)


def ssh_mounts(step: PythonPackages) -> tuple[SshMount | SecretMount, ...]:
    """What fetching over ssh needs: the agent, and the keys of hosts where they are given."""
    if step.ssh is None:
        return ()
    return step.ssh, SecretMount(id=KNOWN_HOSTS, target=_KNOWN_HOSTS, is_required=False)


def server_environment(step: ServerEnvironment) -> str:
    """Make the server's environment."""
    hashes = "--require-hashes " if step.python else ""
    return _all(
        f"{UV} venv -q --no-project --python {step.interpreter} {step.directory}",
        f"{_BYTECODE} \\\n    {UV} pip install -q --python {step.directory}/bin/python \\\n"
        f"      --link-mode copy --compile-bytecode {hashes}-r /tmp/{step.requirements_file}",
        _NO_LOCKS,
    )


def model_schema(step: ModelSchema) -> str:
    """Import the model and write its schema."""
    return f"python -m cog.command.openapi_schema --optional --output {shell_word(step.destination)}"


def precompile(step: Precompile) -> str:
    """Compile all Python files with fixed times."""
    python = step.interpreter or "python"
    return _all(
        f"packages={_packages(python)}",
        "find \"$packages\" -name '*.py[co]' -delete",
        "find \"$packages\" -name '*.py' -exec touch -d @0 {} +",
        f'{_ORDERED} {python} -m compileall -q -j 0 -o 0 -o 2 --invalidation-mode timestamp "$packages"',
    )


def _packages(python: str) -> str:
    """The directory of Python's packages, as a word of the shell."""
    return f'"$({python} -c \'import sysconfig; print(sysconfig.get_path("purelib"))\')"'


def group_account(step: UserAccount) -> str | None:
    """Make the group, where one is asked for."""
    if not step.group:
        return None
    return f"getent group {step.group} >/dev/null || groupadd {_account(step.group, '--gid', 'group')}"


def user_account(step: UserAccount) -> str:
    """Make the user."""
    group = f"--gid {step.group} " if step.group else "--gid 0 " if step.name.isdigit() else ""
    make = f"useradd --create-home --shell /bin/bash {group}{_account(step.name, '--uid', 'user')}"
    return f"getent passwd {step.name} >/dev/null \\\n || {make}"


def workdir(step: Workdir) -> str | None:
    """Make the directory of someone else than root."""
    return f"mkdir -p {step.path} && chown {step.owner} {step.path}" if step.owner else None


def source_links(links: Sequence[tuple[str, str]], destination: str, owner: str | None) -> str:
    """Make symbolic links: (path, what it says) below `destination`."""
    commands = []
    for path, target in links:
        link = shell_word(f"{destination}/{path}")
        commands.append(f"ln -s -- {shell_word(target)} {link}")
        commands += [f"chown -h {_with_group(owner)} {link}"] if owner else []
    return _all(*commands)


def _with_group(owner: str) -> str:
    """The owner as chown takes it, with the group that a copy gives: of a number the same, of a name its own.

    >>> _with_group("1000"), _with_group("app"), _with_group("app:staff")
    ('1000:1000', 'app:', 'app:staff')
    """
    if ":" in owner:
        return owner
    return f"{owner}:{owner if owner.isdigit() else ''}"


def _account(name: str, flag: str, prefix: str) -> str:
    """The arguments of useradd and groupadd: a name, or an id with a name made from it."""
    return f"{flag} {name} {prefix}{name}" if name.isdigit() else name


def _words(words: Sequence[str]) -> str:
    return "".join(f" {shell_word(word)}" for word in words)
