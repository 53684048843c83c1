"""What commands write for people."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios

import pytest

from cogc.commands._reporter import StandardErrorReporter

NOTICE = "The model runs on this machine, without a container (--engine local)."


def test_notices_fit_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    with os.fdopen(leader, "rb", 0) as screen, os.fdopen(follower, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        StandardErrorReporter().notice(NOTICE)
        shown = b""
        # A read may return a part of what was written.
        while shown.count(b"\n") < 2:
            shown += screen.read(1000)
    assert shown == b"The model runs on this machine, without a\r\ncontainer (--engine local).\r\n"


def test_notices_are_one_line_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    StandardErrorReporter().notice(NOTICE * 3)
    assert capsys.readouterr().err == NOTICE * 3 + "\n"
