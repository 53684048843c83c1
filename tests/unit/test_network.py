"""What the tests try again, and what they do not."""

from __future__ import annotations

import base64
import subprocess

import pytest

from tests import network

NO_ANSWER = b"cause: failed to lookup address information: Try again"


@pytest.mark.parametrize(
    ("failures", "ran"),
    [
        ([], 1),
        ([NO_ANSWER], 2),
        ([NO_ANSWER, b'{"data":"' + base64.b64encode(NO_ANSWER) + b'","stream":2}'], 3),
        ([NO_ANSWER] * 5, 3),
        ([b"No matching distribution found", NO_ANSWER], 1),
    ],
)
def test_only_what_had_no_answer_for_a_name_is_tried_again(
    failures: list[bytes], ran: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "PAUSE_SECONDS", 0.0)
    done: list[subprocess.CompletedProcess[bytes]] = []

    def run() -> subprocess.CompletedProcess[bytes]:
        log = failures[len(done)] if len(done) < len(failures) else b""
        done.append(subprocess.CompletedProcess([], int(bool(log)), b"", log))
        return done[-1]

    assert network.patiently(run) is done[-1]
    assert len(done) == ran
