"""Stand-ins for packages: wheels that are made here, of a few files."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping


def wheel_name(name: str, version: str) -> str:
    """The file name of a wheel without compiled code."""
    return f"{_module(name)}-{version}-py3-none-any.whl"


def wheel(
    name: str, version: str, files: Mapping[str, str] | None = None, scripts: Mapping[str, str] | None = None
) -> bytes:
    """A wheel with these files, or with an empty module. `scripts` are entry points: `command` to `module:function`."""
    folder = f"{_module(name)}-{version}.dist-info"
    entries = {
        **(files or {f"{_module(name)}/__init__.py": f'__version__ = "{version}"\n'}),
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{folder}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if scripts:
        lines = "".join(f"{command} = {target}\n" for command, target in scripts.items())
        entries[f"{folder}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    record = "".join(f"{path},,\n" for path in (*entries, f"{folder}/RECORD"))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {**entries, f"{folder}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return made.getvalue()


def _module(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).lower()
