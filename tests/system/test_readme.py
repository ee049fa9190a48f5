"""Every line of the README's tour works as it is pasted into a shell beside `make run`."""

import asyncio
import re
import signal
import sys
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.pollgate_up import Runner

README: Final = Path(__file__).parents[2] / "README.md"
PROGRAM: Final = f"'{sys.executable} -m pollgate'"
LINE_LIMIT_S: Final = 30
VALUES: Final = {
    "pgt_…": r"pgt_\w{38}",
    "tok_…": r"tok_\w{16}",
    "3a05760c-…": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "http://127.0.0.1:8080/x1/…": r"http://\S+/x1/\w{27}",
}
"""Patterns of the values that replace each placeholder of the README."""


class Step(NamedTuple):
    """A command of the README, and the lines of output below it."""

    command: str
    output: list[str]


def steps_of(page: str) -> list[Step]:
    """Return the commands of the tour."""
    tour = page[page.index("## A tour") : page.index("## The promise")]
    steps: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", tour, re.DOTALL):
        for line in filter(None, block.splitlines()):
            if line.startswith("$ "):
                steps.append(Step(line.removeprefix("$ "), []))
            elif line != "…":
                steps[-1].output.append(line)
    return steps


class Shell:
    """A shell with the aliases and variables of the lines before."""

    def __init__(self, process: asyncio.subprocess.Process, printed: str) -> None:
        self._process = process
        self.printed = printed

    async def run(self, command: str) -> tuple[int, str]:
        """Run a line. Return its exit status and its output."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\necho; echo finished:$?\n".encode())
        output = ""
        async with asyncio.timeout(LINE_LIMIT_S):
            while not (finished := re.search(r"\nfinished:(\d+)\n$", output)):
                output += (await self._process.stdout.readline()).decode()
        self.printed += output
        return int(finished[1]), output[: finished.start()]


def with_copied_values(command: str, printed: str) -> str:
    """Return the command with what the reader copies from the newest output."""
    for text, pattern in VALUES.items():
        if text in command:
            command = command.replace(text, re.findall(pattern, printed)[-1])
    return command


def pattern_of(line: str) -> str:
    """Return a pattern for a line of output: a `…` is any text, and times differ."""
    line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d+(?= ms)", "…", line)
    return ".*".join(re.escape(part) for part in line.split("…"))


ENDLESS: Final = {"pollgate poll watch": r" results ", "curl -N": r"^event:"}
"""Patterns of the output to wait for, by the beginning of each command that does not end."""


def find_endless(command: str) -> str | None:
    """Return the pattern to wait for if the command does not end."""
    return next((pattern for beginning, pattern in ENDLESS.items() if command.startswith(beginning)), None)


def end_after(pattern: str, command: str, file: Path) -> str:
    """Return a command that runs this one until its output has the pattern. It fails if this one ends before."""
    command = re.sub("^curl", "exec curl -sS", command.partition("#")[0])
    wait = f"while kill -0 $! && ! grep -q '{pattern}' {file}; do sleep 0.1; done"
    return f"echo > {file}; {command} > {file} & {wait}; cat {file}; kill $!"


async def test_every_line_of_tour_works(runner: Runner, tmp_path: Path) -> None:
    screen = await runner.start()
    process = await asyncio.create_subprocess_exec(
        *("bash", "-O", "expand_aliases"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**runner.environment, "POLLS_URL": f"http://127.0.0.1:{runner.ports[0]}"},
    )
    shell = Shell(process, screen)
    await shell.run("curl() { command curl -sS -w '\\nstatus:%{http_code}\\n' \"$@\"; }")

    for step in steps_of(README.read_text(encoding="utf-8")):
        command = with_copied_values(step.command, shell.printed)
        command = command.replace(":8080", f":{runner.ports[0]}").replace(".venv/bin/pollgate", PROGRAM)
        awaited = find_endless(step.command)
        if awaited:
            command = end_after(awaited, command, tmp_path / "output.txt")
        exit_status, output = await shell.run(command)

        assert exit_status == 0, f"{command}\n{output}"
        for line in step.output:
            assert re.search(pattern_of(line), output.replace(f":{runner.ports[0]}", ":8080")), f"{command}\n{output}"
        if awaited:
            assert re.search(awaited, output, re.MULTILINE), f"{command}\n{output}"
        elif "curl" in command:
            expected = "403" if any('"status":403' in line for line in step.output) else "20[01]"
            assert re.search(rf"status:{expected}", output), f"{command}\n{output}"

    process.terminate()
    await process.wait()
    assert await runner.stop(signal.SIGTERM) == 0
