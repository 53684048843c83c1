"""Options that change layers: a certificate authority, bytecode, stripped libraries, the linker's cache."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import HELLO, MakeProject
from tests.e2e.images import Engine, Image

pytestmark = pytest.mark.engine

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    directory = tmp_path_factory.mktemp("certificate")
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=cogc e2e authority"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "ca.crt")]
    subprocess.run(["openssl", *request, *files], check=True, capture_output=True)
    return directory / "ca.crt"


@pytest.mark.parametrize("form", ["staged", "inline"])
def test_certificate_authority_is_trusted(engine: Engine, project: MakeProject, certificate: Path, form: str) -> None:
    made = project("certificate", HELLO)
    options = ["--inline"] if form == "inline" else []
    built = engine.compile_and_build(
        f"certificate-{form}", made, *options, environment={"COG_CA_CERT": str(certificate)}
    )
    assert built.environment["SSL_CERT_FILE"] == built.environment["REQUESTS_CA_BUNDLE"] == BUNDLE
    lines = "".join(certificate.read_text().split())
    assert lines in "".join(built.output("cat", BUNDLE).split())
    code = """
import ssl
authorities = ssl.create_default_context().get_ca_certs()
print(sum("cogc e2e authority" in str(authority["subject"]) for authority in authorities), len(authorities) > 1)
"""
    assert built.python(code) == "1 True\n"
    assert built.tree("/tmp").keys() == {"/tmp"}


NATIVE = HELLO.replace("    - six==1.16.0\n", "    - six==1.16.0\n    - markupsafe==2.1.5\n    - shiboken6==6.8.1\n")
LIBRARY = "/usr/local/lib/python3.11/site-packages/shiboken6"


@pytest.fixture(scope="module")
def native(image: Callable[..., Image]) -> Image:
    return image("native", NATIVE)


def test_linker_knows_the_libraries_of_packages(native: Image) -> None:
    # `libpyside…`-like libraries are found by name pattern `*python*.so`; those of the interpreter are there too.
    listed = native.output("cat", "/etc/ld.so.conf.d/cog.conf").split()
    # The server's own environment comes later, and is nobody else's business.
    find = "find / -xdev -path /opt/cogc -prune -o -type f -name '*python*.so' -printf '%h\\n'"
    found = native.shell(f"{find} | sort -u").split()
    assert listed == found
    assert any("markupsafe" in path for path in listed)


def test_precompiled_packages(image: Callable[..., Image]) -> None:
    built = image("precompiled", NATIVE, {}, "--precompile")
    code = """
import glob, os, importlib.util
for path in glob.glob("/usr/local/lib/python3.11/site-packages/**/*.py", recursive=True):
    assert os.stat(path).st_mtime == 0, path
    assert os.path.exists(importlib.util.cache_from_source(path, optimization=2)), path
print("fine")
"""
    assert built.output("python", "-IB", "-c", code) == "fine\n"
    assert built.output("python", "-OO", "-c", "import six; print(six.__version__)").strip() == "1.16.0"
    assert "six==1.16.0" in built.freeze()


def test_stripped_packages_still_work(image: Callable[..., Image], native: Image) -> None:
    built = image("stripped", NATIVE, {}, "--strip")
    assert built.output("python", "-c", "import markupsafe._speedups, six; print('fine')") == "fine\n"
    assert built.freeze() == native.freeze()
