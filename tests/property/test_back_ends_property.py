"""Random projects: the Dockerfile and the graph of LLB say the same, read by a small interpreter of each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.both_back_ends import assert_both_say_the_same
from tests.builds import compiled
from tests.examples import examples
from tests.random_projects import random_commands, random_configs, random_files, random_weights

pytestmark = pytest.mark.property

PREDICT = "class Predictor:\n    def predict(self, x: str) -> str:\n        return x\n"
CONFIGS = random_configs(random_commands, ("ffmpeg", "libgl1", "zstd"))


@settings(examples(25), suppress_health_check=[HealthCheck.too_slow])
@given(CONFIGS, random_files, random_weights)
def test_both_back_ends_say_the_same(config: dict[str, Any], more: dict[str, str], large: dict[str, int]) -> None:
    compilation = compiled(json.dumps(config), {"predict.py": PREDICT, **more}, sizes=large)
    if compilation.resolved is not None:  # else a value that cog.yaml does not take
        assert_both_say_the_same(compilation.resolved, compilation.staged, json.dumps(config).encode())
