"""The collector of facts about packages: what it reads from names, listings, metadata and files, without a network."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from packaging.version import Version

from scripts.collector.contents import assignments, build_info, gpu_code, library_names
from scripts.collector.files import IndexFile, newest, wheels_by_platform
from scripts.collector.index import Index, parse_listing
from scripts.collector.packages import COLLECTORS, Collector, read_input
from scripts.collector.requirements import cuda_of, cudnn_of, floor_of, parse_metadata

TORCH = b"""\
Metadata-Version: 2.1
Name: torch
Version: 2.8.0
Requires-Python: >=3.9.0
Requires-Dist: sympy>=1.13.3
Requires-Dist: nvidia-cuda-runtime-cu12==12.8.90; platform_system == "Linux" and platform_machine == "x86_64"
Requires-Dist: nvidia-cudnn-cu12==9.10.2.21; platform_system == "Linux" and platform_machine == "x86_64"
Requires-Dist: triton==3.4.0; platform_system == "Linux" and platform_machine == "x86_64"
Requires-Dist: setuptools; python_version >= "3.12"
Requires-Dist: optree>=0.13.0; extra == "optree"
Requires-Dist: not a requirement
Provides-Extra: optree
"""


def file(name: str, **members: Any) -> IndexFile:
    return IndexFile(name=name, url=f"https://index.example/{name}", **members)


@pytest.mark.parametrize(
    ("name", "platform", "pythons", "glibc"),
    [
        ("torch-2.8.0-cp313-cp313-manylinux_2_28_x86_64.whl", "linux_x86_64", {"3.13"}, (2, 28)),
        ("torch-2.8.0-cp313-cp313t-manylinux_2_28_x86_64.whl", "linux_x86_64", set(), (2, 28)),
        ("torch-1.0.0-cp27-cp27mu-manylinux1_x86_64.whl", "linux_x86_64", {"2.7"}, (2, 5)),
        ("vllm-0.11.0-cp38-abi3-manylinux1_x86_64.whl", "linux_x86_64", {"3.8+"}, (2, 5)),
        (
            "numpy-2.0.0-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
            "linux_aarch64",
            {"3.10"},
            (2, 17),
        ),
        ("jax-0.4.30-py3-none-any.whl", "any", {"py3"}, None),
        ("tensorflow-2.9.0-cp310-cp310-win_amd64.whl", None, {"3.10"}, None),
        ("torch-2.8.0.tar.gz", None, set(), None),
    ],
)
def test_what_names_say(name: str, platform: str | None, pythons: set[str], glibc: tuple[int, int] | None) -> None:
    found = file(name)
    assert (found.platform, found.pythons, found.glibc) == (platform, pythons, glibc)


def test_names_that_say_nothing() -> None:
    for name in ("torch-2.8.0.exe", "torch.whl", "torch-x-py3-none-any.whl", "noversion.tar.gz", ""):
        assert file(name).version is None


def test_wheels_of_a_release_together() -> None:
    names = ("cp310-cp310-manylinux2014_x86_64", "cp39-cp39-manylinux_2_28_x86_64", "cp312-cp312-macosx_11_0_arm64")
    files = [file(f"a-1.0-{name}.whl") for name in names]
    assert wheels_by_platform(files) == {"linux_x86_64": {"python": ["3.9", "3.10"], "glibc": "2.28"}}
    best = newest(files, "linux_x86_64")
    assert best is not None
    assert "cp310" in best.name
    assert newest(files, "any") is None


def test_listings_in_both_forms() -> None:
    entry = {"filename": "a-1.0.tar.gz", "url": "../f/a-1.0.tar.gz#sha256=0", "yanked": "broken", "size": 9}
    more = {"upload-time": "2026-01-02T03:04:05Z", "requires-python": ">=3.9"}
    (found,) = parse_listing(json.dumps({"files": [{**entry, **more}]}).encode(), "https://index.example/simple/a/")
    assert found == IndexFile(
        name="a-1.0.tar.gz",
        url="https://index.example/simple/f/a-1.0.tar.gz",
        requires_python=">=3.9",
        is_yanked=True,
        uploaded="2026-01-02",
        size=9,
    )
    html = b'<html><a href="a-1.0.tar.gz#x" data-yanked="" data-requires-python="&gt;=3.9"> a-1.0.tar.gz </a><p>no</p>'
    (found,) = parse_listing(html, "https://index.example/simple/a/")
    assert (found.name, found.is_yanked, found.requires_python) == ("a-1.0.tar.gz", True, ">=3.9")
    assert found.url == "https://index.example/simple/a/a-1.0.tar.gz"
    assert (found.uploaded, found.size) == (None, None)


def test_requirements_for_a_platform() -> None:
    metadata = parse_metadata(TORCH)
    assert metadata.requires_python == ">=3.9.0"
    pins = metadata.libraries("x86_64", "3.13")
    assert pins == {"nvidia-cuda-runtime-cu12": "12.8.90", "nvidia-cudnn-cu12": "9.10.2.21"}
    assert metadata.libraries("aarch64", "3.13") == {}
    assert (cuda_of(pins), cudnn_of(pins), floor_of(pins, "cuda")) == ("12.8", "9.10.2.21", None)
    assert metadata.extra("optree") == {"optree": ">=0.13.0"}
    assert metadata.specifiers("sympy") == [">=1.13.3"]
    assert metadata.specifiers("optree") == []
    assert parse_metadata(None).requires == ()


def test_bounds_of_ranges() -> None:
    pins = {"nvidia-cuda-runtime-cu12": "<13.0,>=12.5.82", "nvidia-cudnn-cu12": "<10.0,>=9.3.0.75"}
    assert (cuda_of(pins), floor_of(pins, "cuda"), floor_of(pins, "cudnn")) == (None, "12.5.82", "9.3.0.75")


def test_gpu_code_is_the_longest_list() -> None:
    library = b"\0sm_50\0uses sm_80 or sm_90;\0sm_70 sm_75 sm_80 compute_90a\0\xffsm_1"
    assert gpu_code(library) == b"sm_70 sm_75 sm_80 compute_90a"
    assert gpu_code(b"sm_50 alone") == b""


def test_names_of_libraries() -> None:
    library = b"\0libcudart.so.12\0libcudnn.so.9\0libcudart.so.12\0libcuda.so.1\0"
    assert json.loads(library_names(library)) == ["libcudart.so.12", "libcudnn.so.9"]


@pytest.mark.parametrize(
    "source",
    [
        b"import collections\nbuild_info = collections.OrderedDict([('is_cuda_build', True), ('cuda_version', '12.5')])",
        b"build_info = {'is_cuda_build': True, 'cuda_version': '12.5', 'other': 1}",
        b"is_cuda_build = True\ncuda_version_number = '12.5'\ndef f(): pass",
    ],
)
def test_every_form_of_build_info(source: bytes) -> None:
    assert build_info(source) == {"is_cuda_build": True, "cuda_version": "12.5"}


def test_code_is_not_run() -> None:
    assert assignments(b"cuda = print('no')\nhip: Optional[str] = None\na = b = 1") == {
        "cuda": "no",
        "hip": None,
        "a": 1,
        "b": 1,
    }
    assert build_info(b"") is None


def test_typed_tables_have_rows() -> None:
    for name in ("torch-index-variants", "tensorflow-tested", "cuda-images", "python"):
        assert read_input(name)["rows"]


# -- a whole index -------------------------------------------------------------------------------


def wheel(version: str, members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"torch-{version}.dist-info/METADATA", TORCH)
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


class _Handler(BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = self.files.get(self.path)
        wanted = self.headers.get("Range")
        if body is None:
            self.send_error(404)
            return
        first, last = 0, len(body) - 1
        if wanted is not None:
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first = int(start) if start else max(0, len(body) - int(end))
            last = min(int(end), last) if start else last
        part = body[first : last + 1]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    name = "torch-2.8.0-cp313-cp313-manylinux_2_28_x86_64.whl"
    code = bytes(range(256)) * 8000 + b"\0sm_70 sm_75 sm_80\0"  # longer than what is read at once
    content = wheel("2.8.0", {"torch/version.py": b"cuda = '12.8'\n", "torch/lib/libtorch_python.so": code})
    listing = {"files": [{"filename": name, "url": f"{base}/f/{name}", "upload-time": "2025-08-06T00:00:00Z"}]}
    _Handler.asked.clear()
    _Handler.files = {"/simple/torch/": json.dumps(listing).encode(), f"/f/{name}": content}
    for companion, demand in (("torchvision", "torch==2.8.0"), ("torchaudio", "torch")):
        other = f"{companion}-1.0-py3-none-any.whl"
        listing = {"files": [{"filename": other, "url": f"{base}/f/{other}", "upload-time": "2025-08-07T00:00:00Z"}]}
        metadata = f"Metadata-Version: 2.1\nName: {companion}\nVersion: 1.0\nRequires-Dist: {demand}\n"
        _Handler.files |= {f"/simple/{companion}/": json.dumps(listing).encode()}
        _Handler.files |= {f"/f/{other}.metadata": metadata.encode(), f"/f/{other}": b""}
    yield Index(f"{base}/simple/", tmp_path / "cache")
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_release_is_read_in_parts(index: Index) -> None:
    (row,) = COLLECTORS["torch"](Collector(index))
    assert row["wheels"] == {"linux_x86_64": {"python": ["3.13"], "glibc": "2.28"}}
    fact = row["default"]["linux_x86_64"]
    assert (fact["cuda"], fact["cudnn"], fact["triton"]) == ("12.8", "9.10.2.21", "==3.4.0")
    assert fact["kernels"] == ["sm_70", "sm_75", "sm_80"]
    assert (row["torchvision"], row["torchaudio"], row["torchaudio_open"]) == (["1.0"], [], ["1.0"])
    assert row["index_variants"] == ["cpu", "cu126", "cu128", "cu129"]


def test_what_was_read_is_kept(index: Index) -> None:
    first = COLLECTORS["torch"](Collector(index))
    asked = len(_Handler.asked)
    assert COLLECTORS["torch"](Collector(index)) == first
    assert len(_Handler.asked) == asked


def test_without_opening_wheels(index: Index) -> None:
    (row,) = COLLECTORS["torch"](Collector(index, reads_inside=False))
    assert row["default"]["linux_x86_64"]["kernels"] is None
    assert row["default"]["linux_x86_64"]["cuda"] == "12.8"
    assert COLLECTORS["torch"](Collector(index, since=Version("3"))) == []


# -- the real one --------------------------------------------------------------------------------


@pytest.mark.network
def test_a_small_package_of_the_real_index(tmp_path: Path) -> None:
    """triton's published releases are those of the table, on the same Pythons."""
    from cogc._data import load_table
    from scripts.build_matrix import known_pythons, package_rows
    from scripts.collector.index import index_url

    raw = {"rows": COLLECTORS["triton"](Collector(Index(index_url(), tmp_path)))}
    tables = {"triton": raw, "python": {"rows": read_input("python")["rows"]}}
    found = {(row["version"], row["arch"]): row for row in package_rows("triton", tables, known_pythons(tables))}
    for row in load_table("triton")["rows"]:
        now = found[row["version"], row["arch"]]
        assert (now["python"], now["glibc"], now["released"]) == (row["python"], row.get("glibc"), row["released"])
