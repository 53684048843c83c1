"""`--ssh default`, `ID=SOCKET` or `ID=KEY[,KEY…]`: read as docker reads it, and checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..diagnostics import Diagnostic, report
from ..engines.ssh_agents import SshAgent, agent_problem
from ..ir.nodes import ResolvedBuild
from ..ir.ssh import KNOWN_HOSTS, fetches_over_ssh, ssh_mounts_of
from ..record import record
from ._secrets import Secret

__all__ = ["Mounted", "check_agents", "known_hosts", "parse_agents"]

_HINT = "write default, ID=SOCKET or ID=KEY[,KEY…]"
_USERS_KNOWN_HOSTS = "~/.ssh/known_hosts"


@record
class Mounted:
    """What steps of a build may use, and what nothing keeps."""

    secrets: tuple[Secret, ...]
    agents: tuple[SshAgent, ...]


def parse_agents(texts: Sequence[str], root: Path) -> tuple[tuple[SshAgent, ...], tuple[Diagnostic, ...]]:
    """The values of --ssh. Relative paths are looked for here, then in the project. Error: COG503."""
    agents: dict[str, SshAgent] = {}
    found: list[Diagnostic] = []
    for text in texts:
        agent = _agent(text, root)
        if isinstance(agent, SshAgent) and agent.id in agents:
            agent = f"there is an agent `{agent.id}` already"
        if isinstance(agent, SshAgent):
            agents[agent.id] = agent
        else:
            found.append(report("COG503", f"--ssh {text}: {agent}", hint=_HINT))
    return tuple(agents.values()), tuple(found)


def check_agents(agents: Sequence[SshAgent], build: ResolvedBuild | None) -> Iterable[Diagnostic]:
    """COG660 for agents that a step needs and that are not given or have no keys, COG633 for those that none uses.

    COG503 for one that has no keys and that nothing is known to use: without `build` it is not known what does.
    """
    problems = {agent.id: agent_problem(agent) for agent in agents}
    mounts = tuple(ssh_mounts_of(build)) if build is not None else ()
    for mount in mounts:
        if mount.id not in problems:
            if mount.is_required:
                ways = "--ssh default" if mount.id == "default" else f"--ssh {mount.id}=SOCKET"
                hint = f"{ways}, or --ssh {mount.id}=KEY with the file of a private key"
                yield report(
                    "COG660", f"the ssh agent `{mount.id}` is needed and was not given", mount.origin, hint=hint
                )
        elif (problem := problems[mount.id]) is not None:
            why, hint = problem
            yield report("COG660", f"the ssh agent `{mount.id}` cannot be used: {why}", mount.origin, hint=hint)
    for unused in sorted(problems.keys() - {mount.id for mount in mounts}):
        if (problem := problems[unused]) is not None:
            yield report("COG503", f"--ssh {unused}: {problem[0]}", hint=problem[1])
        elif build is not None:
            yield _unused(unused)


def _unused(name: str) -> Diagnostic:
    hint = "`mounts` of a command in `build.run` names the agents that it uses; lines with git+ssh:// use `default`"
    return report("COG633", f"no step of the build uses the ssh agent `{name}`", hint=hint)


def known_hosts(secrets: Sequence[Secret], build: ResolvedBuild) -> tuple[Secret | None, tuple[Diagnostic, ...]]:
    """The user's own known_hosts, for packages that come over ssh; a warning where there are none: COG661."""
    step = fetches_over_ssh(build)
    if step is None or any(secret.id == KNOWN_HOSTS for secret in secrets):
        return None, ()
    path = Path(_USERS_KNOWN_HOSTS).expanduser()
    if path.is_file() and os.access(path, os.R_OK) and path.stat().st_size:
        return Secret(KNOWN_HOSTS, file=path), ()
    message = "nothing says which keys the ssh hosts of packages have: the first key that a host shows is taken"
    hint = (
        f"connect to the host once, so that it is in {_USERS_KNOWN_HOSTS}, or give --secret id={KNOWN_HOSTS},src=FILE"
    )
    return None, (report("COG661", message, step.ssh.origin if step.ssh else None, hint=hint),)


def _agent(text: str, root: Path) -> SshAgent | str:
    """The agent, or why there is none."""
    name, equals, value = text.partition("=")
    if not name:
        return "it has no id"
    if not equals:
        path = os.environ.get("SSH_AUTH_SOCK")
        return SshAgent(name, socket=Path(path).absolute() if path else None)
    names = value.split(",")
    if not all(names):
        return "a path is empty"
    paths = tuple(_found(name, root) for name in names)
    if any("," in str(path) for path in paths):
        return "docker takes no path with a comma"
    if not any(path.is_socket() for path in paths):
        return SshAgent(name, keys=paths)
    return SshAgent(name, socket=paths[0]) if len(paths) == 1 else "a socket stands alone"


def _found(name: str, root: Path) -> Path:
    here = Path(name).expanduser()
    in_project = root / name
    return (in_project if not here.exists() and in_project.exists() else here).absolute()
