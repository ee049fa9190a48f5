"""The `pollgate` command as a process: pipes that close, Ctrl-C, and output that is no terminal."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

import pytest

POLLGATE: Final = (sys.executable, "-m", "pollgate")
ENVIRONMENT: Final = {"POLLGATE_TOKEN": "x", "FORCE_COLOR": "", "PYTHONUNBUFFERED": ""}


def start(words: tuple[str, ...], stdout: int, environment: Mapping[str, str] = {}) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*POLLGATE, *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT, **environment},
        text=True,
    )


@pytest.mark.parametrize("words", [(), ("token", "create", "--help"), ("completion", "bash")], ids=" ".join)
def test_closed_pipe_ends_command_without_a_traceback(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start(words, writer)
    os.close(writer)

    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (1, "")


def test_ctrl_c_exits_130_without_a_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = start(("poll", "list"), subprocess.PIPE, {"POLLS_URL": url})
        connection, _ = silent.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)

    assert (process.returncode, output, errors) == (130, "", "")


def test_output_that_is_no_terminal_has_no_colours() -> None:
    process = start(("token", "--help"), subprocess.PIPE, {"TERM": "xterm-256color", "COLORTERM": "truecolor"})
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "\x1b" not in output
