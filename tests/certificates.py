"""Keys and certificates for tests of TLS, made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_CURVE = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


class Authority:
    """Keys and certificates in folders, made by openssl."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self._run(
            "req", "-x509", "-newkey", *_CURVE, "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca"
        )
        for name in ("server", "client"):
            self._run(
                "req",
                "-newkey",
                *_CURVE,
                "-nodes",
                "-keyout",
                f"{name}.key",
                "-out",
                f"{name}.csr",
                "-subj",
                f"/CN={name}",
            )
            (root / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
            issue = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext")
            self._run("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *issue)
        self.folder = root / "client-folder"
        self.folder.mkdir()
        for source, target in (("ca.pem", "ca.pem"), ("client.pem", "cert.pem"), ("client.key", "key.pem")):
            shutil.copy(root / source, self.folder / target)

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.root, check=True, capture_output=True)
