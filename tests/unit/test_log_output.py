"""Lines about requests are written together, soon, in order, redacted, and never lost."""

import asyncio
import io
import json
import subprocess
import sys
from typing import Any

import msgspec

from shared.contract.token import SECRET_PATTERN, SECRET_START, mint
from shared.runtime.process.log_output import FLUSH_EVERY_S, MAX_WAITING, LogOutput
from shared.runtime.process.redaction import redactor

LOG_AND_FAIL = """
import asyncio
from shared.runtime.process.logs import configure_logs, log_request

async def serve():
    for route in ("/first", "/last"):
        log_request("id", "GET", route, 200, 0.001, {})
    raise RuntimeError("crashed")

configure_logs("sheep", lambda text: text)
asyncio.run(serve())
"""


class Fields(dict[str, object]):
    """A line with these fields."""

    def to_line(self) -> dict[str, object]:
        return self


def start_output() -> tuple[LogOutput, io.StringIO]:
    stream = io.StringIO()
    return LogOutput(stream, redactor(SECRET_PATTERN, SECRET_START)), stream


def lines_in(stream: io.StringIO) -> list[Any]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_lines_are_written_soon_and_in_order() -> None:
    output, stream = start_output()
    output.add(Fields({"number": 1}))
    output.add(Fields({"number": 2}))
    assert stream.getvalue() == ""

    await asyncio.sleep(FLUSH_EVERY_S + 0.1)

    assert lines_in(stream) == [{"number": 1}, {"number": 2}]


async def test_other_line_is_written_at_once_after_those_that_wait() -> None:
    output, stream = start_output()
    output.add(Fields({"number": 1}))

    output.write('{"number":2}\n')

    assert lines_in(stream) == [{"number": 1}, {"number": 2}]


async def test_only_so_many_lines_wait() -> None:
    output, stream = start_output()
    for number in range(MAX_WAITING):
        output.add(Fields({"number": number}))

    assert lines_in(stream) == [{"number": number} for number in range(MAX_WAITING)]


def test_line_without_event_loop_is_written_at_once() -> None:
    output, stream = start_output()

    output.add(Fields({"number": 1}))

    assert lines_in(stream) == [{"number": 1}]


def test_secret_in_a_line_is_redacted() -> None:
    output, stream = start_output()
    secret = mint("pgt")

    output.add(Fields({"plain": secret, "encoded": f"%70{secret[1:]}", "other": "kept"}))

    assert lines_in(stream) == [{"plain": "[redacted]", "encoded": "[redacted]", "other": "kept"}]


def test_text_that_is_no_unicode_loses_no_other_line() -> None:
    output, stream = start_output()

    output.add(Fields({"text": "\udcff"}))
    output.add(Fields({"number": 1}))

    assert lines_in(stream)[1:] == [{"number": 1}]


def test_lines_are_written_when_the_process_ends_by_an_exception() -> None:
    ended = subprocess.run([sys.executable, "-c", LOG_AND_FAIL], capture_output=True, text=True, check=False)

    routes = [msgspec.json.decode(line)["route"] for line in ended.stderr.splitlines() if line.startswith("{")]
    assert (ended.returncode, routes) == (1, ["/first", "/last"])
