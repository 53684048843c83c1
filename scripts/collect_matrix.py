"""Read facts about packages from the package index, as raw tables for `scripts/build_matrix.py`.

    python -m scripts.collect_matrix RAW_FOLDER                      everything
    python -m scripts.collect_matrix RAW_FOLDER --only torch,jax     some tables
    python -m scripts.collect_matrix RAW_FOLDER --metadata-only      without opening wheels: much less to read

The index is the one that pip is configured to use. It must serve the simple API, and parts of files: no wheel is read
whole. Without opening wheels it is not known which GPUs a release has code for, nor the CUDA of those that pin no
library. What was read of a file is kept in the cache, so that a second run asks for listings only.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from pathlib import Path
from typing import Any

from packaging.version import Version

from scripts.collector.cuda import collect_cuda
from scripts.collector.index import Index, index_url
from scripts.collector.packages import COLLECTORS, Collector, read_input

TYPED = ("cuda-images", "python")
TABLES = (*COLLECTORS, "cuda", *TYPED)
# Tables with a part that was typed from documents, and where that is.
TYPED_PARTS = {
    "torch": "torch-index-variants",
    "tensorflow": "tensorflow-tested",
    "tensorflow-gpu": "tensorflow-tested",
    "cuda": "cuda-drivers",
    **{name: name for name in TYPED},
}


def collected(name: str, collector: Collector) -> dict[str, Any]:
    """The members of a raw table."""
    if name in TYPED:
        return {"rows": read_input(name)["rows"]}
    return collect_cuda(collector) if name == "cuda" else {"rows": COLLECTORS[name](collector)}


def main(arguments: list[str]) -> int:
    """Write the raw tables; 0 when done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--only", metavar="NAME,…", help=f"some of {', '.join(TABLES)}")
    parser.add_argument("--since", default="0", metavar="VERSION", help="leave older releases out")
    parser.add_argument("--metadata-only", action="store_true", help="do not open wheels")
    parser.add_argument("--cache", type=Path, default=Path("~/.cache/cogc-collector").expanduser())
    options = parser.parse_args(arguments)
    names = options.only.split(",") if options.only else list(TABLES)
    if unknown := sorted(set(names) - set(TABLES)):
        parser.error(f"no such table: {', '.join(unknown)}")
    index = Index(index_url(), options.cache)
    collector = Collector(index, since=Version(options.since), reads_inside=not options.metadata_only)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in names:
        started = time.monotonic()
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        typed = {"transcribed": read_input(TYPED_PARTS[name])["transcribed"]} if name in TYPED_PARTS else {}
        table = {"collected": today, **typed, **collected(name, collector)}
        (options.out / f"{name}.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"{name}: {len(table.get('rows', ()))} rows, {time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
