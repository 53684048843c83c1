"""What builders say about ssh agents → diagnostics, also where nothing was checked before the build."""

from __future__ import annotations

import pytest

from cogc.backends.source_map import SourceMap
from cogc.engines.docker.build import BuildFailed
from cogc.engines.docker.build_failures import explain_failure


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
