"""The flags that Docker's RUN takes in front of a command, as users of Dockerfiles write them in `build.run`."""

from __future__ import annotations

import posixpath
import re

__all__ = ["split_mounts"]

# A word in which Docker finds no quotes, escapes and variables: what else ASCII has that can be seen.
_FLAG = re.compile(r"--mount=([!#%&(-\[\]-~]+)(?!\S)\s*")
_ALIASES = {"dst": "target", "destination": "target", "src": "source", "ro": "readonly"}
_KEYS = {
    "cache": {"target", "id", "sharing"},
    "bind": {"target", "source", "readonly"},
    "secret": {"target", "id", "env", "required"},
    "ssh": {"target", "id", "required"},
}
_NEEDED = {"cache": {"target"}, "bind": {"target", "source"}, "secret": {"id"}, "ssh": set()}
_VALUES = {"readonly": {"true"}, "required": {"true", "false"}, "sharing": {"shared", "private", "locked"}}


def split_mounts(command: str) -> tuple[tuple[dict[str, str], ...], str]:
    """The fields of the mounts in front of a command, and the rest of it.

    The fields are those of a mapping in cog.yaml. No mounts, and all of the command, where a flag says what these
    cannot: that one is for Docker alone.

    >>> split_mounts("--mount=type=cache,target=/c pip install six")
    (({'type': 'cache', 'target': '/c'},), 'pip install six')
    >>> split_mounts("--mount=type=bind,source=/a/../b.txt,dst=/b cat /b")[0]
    ({'type': 'bind', 'source': 'b.txt', 'target': '/b'},)
    >>> split_mounts("--mount=type=cache,target=.cache make")
    ((), '--mount=type=cache,target=.cache make')
    >>> split_mounts("--mount=type=cache,target=/'my cache' make")
    ((), "--mount=type=cache,target=/'my cache' make")
    >>> split_mounts("--mount=type=tmpfs,target=/t --network=none make")
    ((), '--mount=type=tmpfs,target=/t --network=none make')
    """
    mounts, rest = [], command
    while rest.startswith("--"):
        flag = _FLAG.match(rest)
        fields = _fields(flag[1]) if flag else None
        if flag is None or fields is None:
            return (), command
        mounts.append(fields)
        rest = rest[flag.end() :]
    return tuple(mounts), rest


def _fields(text: str) -> dict[str, str] | None:
    found = {}
    for field in text.split(","):
        name, _, value = field.partition("=")
        name = _ALIASES.get(name.lower(), name.lower())
        found[name] = value or "true" if name in ("readonly", "required") else value
    if "source" in found:  # to Docker, the context is the root
        found["source"] = posixpath.normpath("/" + found["source"]).lstrip("/")
    kind = found.setdefault("type", "bind")
    given = found.keys() - {"type"}
    if kind not in _KEYS or not _NEEDED[kind] <= given <= _KEYS[kind] or not all(found.values()):
        return None
    if not found.get("target", "/").startswith("/"):  # in the working directory of the step
        return None
    if any(found[name] not in values for name, values in _VALUES.items() if name in found):
        return None
    if kind == "secret" and "env" not in found:
        found.setdefault("target", f"/run/secrets/{found['id']}")
    return found
