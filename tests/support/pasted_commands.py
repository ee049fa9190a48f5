"""Paste the commands of a documentation page into a shell, as a reader does."""

import asyncio
import html
import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

WAIT_S: Final = 20
_ARTICLE: Final = re.compile(r'<article id="operation-(\w+)">(.*?)</article>', re.DOTALL)
_COMMAND: Final = re.compile(r"<pre[^>]*><code>(curl .*?)</code></pre>", re.DOTALL)


class Printed(NamedTuple):
    """What a command printed, and the status of the response if it is a curl command."""

    output: str
    status: str


def commands_of(page: str) -> dict[str, str]:
    """Return the command of each operation, by the operation's id."""
    found = {name: _COMMAND.search(text) for name, text in _ARTICLE.findall(page)}
    return {name: html.unescape(command[1]) for name, command in found.items() if command}


async def paste(command: str, variables: Mapping[str, str]) -> Printed:
    """Run a curl command in a shell with these variables; of a stream, wait for the first event only."""
    options = "--silent --show-error --write-out '\\n%{http_code}'"
    if command.startswith("curl -N"):
        options = "--silent --include --max-time 3"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euc", f'curl() {{ command curl {options} "$@"; }}\n{command}'),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "NO_PROXY": "*", **variables},
    )
    async with asyncio.timeout(WAIT_S):
        printed = (await process.communicate())[0].decode()
    if command.startswith("curl -N"):
        return Printed(printed, printed.split()[1])
    return Printed(*printed.rpartition("\n")[::2])
