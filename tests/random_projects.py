"""Random projects that are valid: configurations, and names of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

names = st.text("abcXYZ_-. []!*é", min_size=1, max_size=8).filter(
    lambda name: name.strip("./ ") and name[0] not in "./ "
)
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12)
random_commands = st.builds("echo {}".format, words).filter(lambda text: "<<" not in text and not text.endswith("\\"))
mounts = st.one_of(
    st.just({"type": "secret", "id": "s", "target": "/secret"}),
    st.just({"type": "secret", "id": "t", "env": "TOKEN"}),
    st.builds(lambda name: {"type": "cache", "target": f"/cache/{name}"}, st.sampled_from(["a", "b"])),
    st.just({"type": "bind", "source": "predict.py", "target": "/mounted"}),
)
random_files = st.dictionaries(names.map("f{}".format), st.just("text"), max_size=3)
random_weights = st.dictionaries(names.map("w{}/big.bin".format), st.just(20_000_000), max_size=2)


def random_configs(
    commands: st.SearchStrategy[str], system_packages: Sequence[str]
) -> st.SearchStrategy[dict[str, Any]]:
    """What a cog.yaml says, with these commands in `build.run` and some of these packages."""
    runs = st.one_of(commands, st.fixed_dictionaries({"command": commands, "mounts": st.lists(mounts, max_size=2)}))
    build = st.fixed_dictionaries(
        {"python_version": st.sampled_from(["3.11", "3.13"])},
        optional={
            "run": st.lists(runs, max_size=3),
            "system_packages": st.lists(st.sampled_from(system_packages), unique=True),
            "python_packages": st.lists(st.sampled_from(["six==1.16.0", "toml==0.10.2"]), unique=True),
            "user": st.sampled_from(["app", "1000", "app:staff"]),
        },
    )
    variables = st.builds("V{}={}".format, st.integers(0, 3), words)
    return st.fixed_dictionaries(
        {"build": build, "predict": st.just("predict.py:Predictor")},
        optional={"environment": st.lists(variables, max_size=3, unique_by=lambda variable: variable[:2])},
    )
