"""The wheel with its base requirements alone, in a virtual environment of its own."""

import asyncio
import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.stack import Polls

pytestmark = pytest.mark.shared_services

ROOT = Path(__file__).parents[3]
PROGRAM = """
import asyncio
import os

from pollgate.client import Location, NewPoll, NotFound, PollsClient


async def main() -> float | None:
    async with PollsClient(os.environ["POLLS_URL"], os.environ["POLLGATE_TOKEN"]) as client:
        poll = await client.create_poll(NewPoll(Location("PLAT", "PLAT-1"), template="stars"))
        ballot = await client.cast_ballot(poll.id, "ada", ["4"])
        try:
            await client.get_ballot(poll.id, "bob")
        except NotFound as error:
            print(ballot.option_ids, error.type)
        return (await client.get_results(poll.id)).average


print(asyncio.run(main()))
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that finds no module of this checkout."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MYPY"))}
    return subprocess.run(
        command, cwd=cwd, env={**inherited, **environment}, capture_output=True, text=True, timeout=80, check=False
    )


def requirements(names: Iterable[str]) -> Iterator[Distribution]:
    """Yield the installed distributions of these names, and of all that they require."""
    seen, queue = set(), list(names)
    while queue:
        installed = distribution(queue.pop())
        if installed.name in seen:
            continue
        seen.add(installed.name)
        yield installed
        required = map(Requirement, installed.requires or ())
        queue.extend(each.name for each in required if each.marker is None or each.marker.evaluate({"extra": ""}))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


def install(wheel: Path, folder: Path, *extras: str) -> Path:
    """Create a virtual environment with the wheel and the requirements of these extras. Return its Python."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    command = (sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps", "--python", python, wheel)
    installed = run(*command, cwd=folder)
    assert installed.returncode == 0, installed.stderr
    site = next((folder / "lib").glob("python*/site-packages"))
    (metadata,) = site.glob("pollgate-*.dist-info")
    required = map(Requirement, Distribution.at(metadata).requires or ())
    names = [
        each.name
        for each in required
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]
    for each in requirements(names):
        for file in each.files or ():
            if ".." not in file.parts:
                target = site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(str(each.locate_file(file)))
    return python


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment in which only `pollgate` is installed."""
    return install(wheel, tmp_path_factory.mktemp("client"))


async def test_client_alone_runs_a_program(python: Path, polls: Polls, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)

    settings = {"POLLS_URL": polls.base, "POLLGATE_TOKEN": polls.token}
    ran = await asyncio.to_thread(lambda: run(python, "program.py", cwd=tmp_path, **settings))

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "['4'] unknown-ballot\n4.0\n"


def test_client_alone_needs_no_package_of_the_services(python: Path) -> None:
    site = next((python.parents[1] / "lib").glob("python*/site-packages"))
    packages = {each.name for each in site.iterdir()}

    assert {"aiohttp", "msgspec", "pollgate"} <= packages
    assert packages.isdisjoint({"asyncpg", "redis", "jinja2", "structlog", "cyclopts", "rich", "jwt"})


@pytest.mark.parametrize("command", ["pollgate", "-m"])
def test_command_without_cli_extra_exits_1_with_install_command(python: Path, tmp_path: Path, command: str) -> None:
    words = (python, "-m", "pollgate") if command == "-m" else (python.with_name(command),)

    ran = run(*words, "poll", "list", cwd=tmp_path)

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "pollgate: the command line is not installed; run: pip install 'pollgate[cli]'\n"


@pytest.mark.slow
def test_command_with_cli_extra_runs_and_names_extras_of_the_stack(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, tmp_path / "cli", "cli")

    helped = run(python, "-m", "pollgate", "poll", "--help", cwd=tmp_path)
    refused = run(
        python, "-m", "pollgate", "poll", "list", cwd=tmp_path, POLLS_URL="http://127.0.0.1:1", POLLGATE_TOKEN="x"
    )
    stack = [
        run(python, "-m", "pollgate", *words, cwd=tmp_path)
        for words in (("up",), ("migrate",), ("serve", "polls"), ("secrets", "x"))
    ]

    assert (helped.returncode, helped.stderr) == (0, "")
    assert refused.stderr.startswith(
        "pollgate: the polls service at http://127.0.0.1:1 (from POLLS_URL) does not answer"
    )
    assert [ran.returncode for ran in stack] == [1, 1, 1, 1]
    assert "pip install 'pollgate[cli,server,embedded]'" in stack[0].stderr
    for ran in stack[1:]:
        assert ran.stderr == "pollgate: this command needs more packages; run: pip install 'pollgate[cli,server]'\n"


@pytest.mark.slow
def test_client_alone_passes_strict_type_checks(python: Path, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM)
    for number, example in enumerate(guide.split("```python\n")[1:]):
        (tmp_path / f"example_{number}.py").write_text(example.partition("```")[0])
    (tmp_path / "wrong.py").write_text("from pollgate.client import PollsClient\nPollsClient(1, b'x')\n")
    command = (sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=/dev/null")

    right = run(*command, "--python-executable", python, *sorted(tmp_path.glob("[ep]*.py")), cwd=tmp_path)
    wrong = run(*command, "--python-executable", python, "wrong.py", cwd=tmp_path)

    assert right.returncode == 0, right.stdout
    assert wrong.stdout.count("[arg-type]") == 2
