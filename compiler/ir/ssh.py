"""The ssh agents that the steps of a build are given."""

from __future__ import annotations

from collections.abc import Iterator

from .nodes import PythonPackages, ResolvedBuild, Run, SshMount

__all__ = ["KNOWN_HOSTS", "fetches_over_ssh", "ssh_mounts_of"]

# The id of the secret with the keys of hosts, for packages that are fetched over ssh.
KNOWN_HOSTS = "known_hosts"


def ssh_mounts_of(build: ResolvedBuild) -> Iterator[SshMount]:
    """Those of commands and those of the packages, in the order of the steps."""
    for stage in build.stages:
        for step in stage.steps:
            if isinstance(step, Run):
                yield from (mount for mount in step.mounts if isinstance(mount, SshMount))
            elif isinstance(step, PythonPackages) and step.ssh is not None:
                yield step.ssh


def fetches_over_ssh(build: ResolvedBuild) -> PythonPackages | None:
    """The step that installs packages from repositories behind ssh, if there is one."""
    steps = (step for stage in build.stages for step in stage.steps)
    return next((step for step in steps if isinstance(step, PythonPackages) and step.ssh is not None), None)
