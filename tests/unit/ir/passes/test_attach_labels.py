from __future__ import annotations

import json

from cogc import __version__
from cogc.ir.nodes import Label
from cogc.ir.passes.attach_labels import config_label
from tests.builds import resolved_build


def labels(text: str, files: dict[str, str] | None = None) -> dict[str, str]:
    steps = resolved_build(text, files).stages[-1].steps
    return {name: value for step in steps if isinstance(step, Label) for name, value in step.labels}


def test_every_image_says_who_made_it_and_with_which_matrix() -> None:
    found = labels("")
    assert found["run.cog.version"] == __version__
    assert found["run.cog.has_init"] == "true"
    assert found["run.cogc.matrix"] == resolved_build("").resolution.matrix
    assert "run.cog.openapi_schema" not in found


def test_the_configuration_has_versions_resolved_and_nothing_empty() -> None:
    text = "build: {gpu: true, python_packages: ['torch==2.3']}\nimage: a/b"
    assert json.loads(config_label(resolved_build(text))) == {
        "build": {"gpu": True, "python_version": "3.12", "python_packages": ["torch==2.3"], "cuda": "12.1"},
        "image": "a/b",
    }


def test_secrets_are_listed_without_values() -> None:
    text = "build: {run: [x, {command: y, mounts: [{type: secret, id: a, target: /a}, {type: cache, target: /c}]}]}"
    build = json.loads(config_label(resolved_build(text)))["build"]
    assert build["run"] == [
        {"command": "x"},
        {"command": "y", "mounts": [{"type": "secret", "id": "a", "target": "/a"}]},
    ]


def test_the_schema_is_a_label_of_its_own() -> None:
    code = "from cog import BasePredictor\n\nclass P(BasePredictor):\n    def predict(self, a: int) -> str: ...\n"
    found = labels("predict: predict.py:P", {"predict.py": code})
    assert json.loads(found["run.cog.openapi_schema"])["openapi"]
