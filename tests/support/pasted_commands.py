"""Paste the commands of a documentation page into a shell, as a reader does."""

import asyncio
import html
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from tests.support.stack import Caller

WAIT_S: Final = 20
_ARTICLE: Final = re.compile(r'<article id="operation-(\w+)">(.*?)</article>', re.DOTALL)
_COMMAND: Final = re.compile(r"<pre[^>]*><code>(curl .*?)</code></pre>", re.DOTALL)


class Printed(NamedTuple):
    """The output of a command, and the status of its response."""

    output: str
    status: str


def commands_of(page: str) -> dict[str, str]:
    """Return the command of each operation, by the operation's id."""
    found = {name: _COMMAND.search(text) for name, text in _ARTICLE.findall(page)}
    return {name: html.unescape(command[1]) for name, command in found.items() if command}


async def read_documented_statuses(service: Caller) -> dict[str, list[str]]:
    """Return the statuses of success that the OpenAPI document has for each operation, by its id."""
    paths = (await service("GET", "/openapi.json")).json["paths"]
    operations: list[Any] = [operation for methods in paths.values() for operation in methods.values()]
    return {
        each["operationId"]: [status for status in each["responses"] if status.startswith("2")] for each in operations
    }


async def paste(command: str, variables: Mapping[str, str]) -> Printed:
    """Run a curl command in a shell with these variables; of a stream, wait for the first event only."""
    is_stream = command.startswith("curl -N")
    options = "--silent --show-error " + ("--include" if is_stream else "--write-out '\\n%{http_code}'")
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", f'curl() {{ command curl {options} "$@"; }}\n{command}'),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "NO_PROXY": "*", **variables},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(WAIT_S):
            if is_stream:
                printed = await _read_first_event(process)
                return Printed(printed, printed.split()[1])
            printed = (await process.communicate())[0].decode()
            return Printed(*printed.rpartition("\n")[::2])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _read_first_event(process: asyncio.subprocess.Process) -> str:
    """Return what the command prints up to the first event. Raise `AssertionError` if it ends before."""
    assert process.stdout is not None
    printed = ""
    while line := (await process.stdout.readline()).decode():
        printed += line
        if line.startswith("event:"):
            return printed
    raise AssertionError(f"no event: {printed}")
