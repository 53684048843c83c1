"""`--secret id=NAME,src=FILE` or `id=NAME,env=VARIABLE`: read as docker reads it, and checked before anything runs.

Only names and places are looked at, never what a secret holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..diagnostics import Diagnostic, report
from ..frontend.config import Config, SecretMount
from ..record import record
from ._fields import fields_of

__all__ = ["Secret", "check_secrets", "parse_secret"]


@record(kw_only=False)
class Secret:
    """A secret by its id: the file it is in, or the variable that has it."""

    id: str
    file: Path | None = None
    variable: str | None = None

    @property
    def words(self) -> str:
        """As buildx takes it."""
        if self.variable is not None:
            return _csv(f"id={self.id}", f"env={self.variable}")
        return _csv(f"id={self.id}", f"src={self.file}")


def parse_secret(text: str, root: Path) -> tuple[Secret | None, tuple[Diagnostic, ...]]:
    """One value of --secret. A relative file is looked for here, then in the project. Error: COG503.

    Grammar: fields `key=value` with commas between them, quoted as in CSV; keys are `id`, `src` or `source`, `env`, and
    `type` (`file` or `env`; with `env`, `src` names the variable), in any case.
    """
    fields: dict[str, str] = {}
    for field in fields_of(text):
        key, equals, value = field.partition("=")
        key = {"source": "src"}.get(key.strip().lower(), key.strip().lower())
        if not equals:
            return _wrong(text, f"invalid field {field!r} must be a key=value pair")
        if key not in ("id", "src", "env", "type"):
            return _wrong(text, f"unexpected key {key!r}")
        fields[key] = value
    kind = fields.get("type", "env" if "env" in fields else "file")
    if kind not in ("file", "env"):
        return _wrong(text, f"unsupported secret type {kind!r}")
    if kind == "env":
        return _variable(text, fields.get("id", ""), fields.get("env") or fields.get("src") or fields.get("id", ""))
    return _file(text, fields.get("id", ""), fields.get("src") or fields.get("id", ""), root)


def _variable(text: str, id: str, name: str) -> tuple[Secret | None, tuple[Diagnostic, ...]]:
    if not name:
        return _wrong(text, "it names no variable")
    if name not in os.environ:
        return _wrong(text, f"the variable {name} is not set")
    return Secret(id or name, variable=name), ()


def _file(text: str, id: str, name: str, root: Path) -> tuple[Secret | None, tuple[Diagnostic, ...]]:
    if not name:
        return _wrong(text, "it names no file")
    if not id:
        return _wrong(text, "it has no id")
    places = [Path(name).expanduser(), root / name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        return _wrong(text, f"the file {name} does not exist")
    if not os.access(found, os.R_OK):
        return _wrong(text, f"the file {name} cannot be read: permission denied")
    return Secret(id, file=found.absolute()), ()


def check_secrets(
    secrets: Sequence[Secret], config: Config, further: frozenset[str] = frozenset()
) -> Iterable[Diagnostic]:
    """COG632 for secrets that a command needs and that are not given, COG633 for those that none uses.

    `further` are the ids of secrets that other steps use, where they are given.
    """
    given = {secret.id for secret in secrets}
    mounts = [mount for command in config.build.commands for mount in command.mounts if isinstance(mount, SecretMount)]
    for mount in mounts:
        if mount.is_required and mount.id not in given:
            hint = f"--secret id={mount.id},src=FILE or --secret id={mount.id},env=VARIABLE"
            yield report("COG632", f"the secret `{mount.id}` is needed and was not given", mount.span, hint=hint)
    for unused in sorted(given - {mount.id for mount in mounts} - further):
        hint = "`mounts` of a command in `build.run` names the secrets that it sees"
        yield report("COG633", f"no command of cog.yaml uses the secret `{unused}`", hint=hint)


def _wrong(text: str, why: str) -> tuple[None, tuple[Diagnostic, ...]]:
    hint = "write id=NAME,src=FILE or id=NAME,env=VARIABLE"
    return None, (report("COG503", f"--secret {text}: {why}", hint=hint),)


def _csv(*fields: str) -> str:
    quoted = [f'"{field.replace(chr(34), chr(34) * 2)}"' if set(field) & set(',"\r\n') else field for field in fields]
    return ",".join(quoted)
