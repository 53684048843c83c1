"""What builders say about ssh agents → diagnostics, also where nothing was checked before the build."""

from __future__ import annotations

import pytest

from cogc.backends.source_map import SourceMap
from cogc.engines.docker.build import BuildFailed
from cogc.engines.docker.build_failures import explain_failure
from cogc.ir.node import Cause
from cogc.ir.nodes import ImageBase, Stage
from cogc.source import Span


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("ERROR: failed to build: failed to solve: unset ssh forward key default", "default"),
        ('failed to solve: no SSH key "deploy" forwarded from the client', "deploy"),
        ('Error: building at STEP "RUN x": resolving mountpoints: ssh required but no ssh with id a found', "a"),
    ],
)
def test_an_agent_that_is_missing(text: str, agent: str) -> None:
    found = explain_failure(BuildFailed(text, None, None), SourceMap(), None)
    assert (found.code, found.message) == ("COG660", f"the ssh agent `{agent}` is needed and was not given")
    assert found.hint == f"cogc build --ssh {'default' if agent == 'default' else f'{agent}=SOCKET'}"


def test_an_image_that_two_stages_have_is_reported_where_the_user_chose_it() -> None:
    base = ImageBase(reference="python:3.12-slim-bookworm")
    chosen = Span("cog.yaml", 2, 19, 2, 25)
    stages = (
        Stage(name="base", base=base, steps=(), because=(Cause(kind="config", text="python 3.12", span=chosen),)),
        Stage(name="server", base=base, steps=()),
    )
    lines = SourceMap(tuple((stage, None) for stage in stages))
    text = "python:3.12-slim-bookworm: failed to do request: dial tcp: lookup registry: no such host"
    for line in (1, 2):
        assert explain_failure(BuildFailed(text, line, None), lines, None).span == chosen
