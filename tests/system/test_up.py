"""`pollgate up`: start from nothing, run, and stop without leaving processes."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.support.pollgate_up import Runner

POLL = b'{"title": "Lunch?", "options": [{"id": "1", "title": "Yes"}]}'


async def test_up_serves_polls_and_commands_over_a_restart(runner: Runner) -> None:
    screen = await runner.start()
    token, endpoint = _find(r"pgt_\w{38}", screen), _find(r"http://\S+/x1/\w{27}", screen)
    query = f"?token={token}&type=polls&workspace=PLAT&content=PLAT-1"
    async with aiohttp.ClientSession() as session:
        async with session.post(endpoint + query, data=POLL) as answer:
            assert answer.status == 200

        assert await runner.stop(signal.SIGINT) == 0
        assert runner.find_running_processes() == []
        screen = await runner.start()
        assert "pgt_" not in screen
        async with session.get(endpoint + query) as answer:
            assert [poll["title"] for poll in await answer.json()] == ["Lunch?"]

        listed = await runner.run("token", "list", "--json")
        token_id = _find(r"tok_\w+", listed.stdout)
        revoked = await runner.run("token", "revoke", token_id, "--reason", "unneeded")
        assert re.match(
            rf"Revoked {token_id} at .* UTC; effective everywhere after \d+ ms \(1 guard\)\.", revoked.stdout
        )
        async with session.get(endpoint + query) as answer:
            assert answer.status == 403

        refused = await runner.run("token", "create", "--name", "x", "--scope", "polls:fly:PLAT")
        assert refused.returncode == 1
        assert "--scope 'polls:fly:PLAT': at character 7" in refused.stderr
        made = await runner.run("token", "create", "--name", "x", "--scope", "polls:read:*")
        assert _find(r"pgt_\w{38}", made.stdout)
        shown = await runner.run("token", "show", _find(r"tok_\w+", made.stdout))
        assert "polls:read:*" in shown.stdout

        for owner in ("bot", "bot", "person"):
            await runner.run("token", "create", "--name", "x", "--scope", "polls:read:*", "--owner", owner)
        by_owner = await runner.run("token", "revoke", "--owner", "bot", "--reason", "owner_left", "--no-wait")
        assert re.match(r"Revoked 2 tokens at .* UTC; effective everywhere by \S+ UTC at the latest\.", by_owner.stdout)
        unknown = await runner.run("token", "revoke", "tok_AAAAAAAAAAAAAAAA", "--reason", "unneeded")
        assert (unknown.returncode, "Traceback" in unknown.stderr) == (1, False)
        misused = await runner.run("token", "revoke", "--all")
        assert (misused.returncode, len(misused.stderr.splitlines())) == (2, 1)
        verified = await runner.run("audit", "verify")
        assert verified.stdout.startswith("The audit log is intact: ")
        every = ("token", "revoke", "--all", "--yes", "--reason", "policy", "--json")
        the_rest = json.loads((await runner.run(*every)).stdout)
        assert (the_rest["revoked"], the_rest["revocation"]["effective"]) == (2, True)

    assert await runner.stop(signal.SIGTERM) == 0
    assert runner.find_running_processes() == []
    assert (runner.folder / "admin.key").stat().st_mode & 0o777 == 0o600
    assert (runner.folder / "secrets.json").stat().st_mode & 0o777 == 0o600


async def test_printed_commands_work_when_pasted_also_after_a_restart(runner: Runner) -> None:
    for number in (1, 2):
        screen = await runner.start()
        _, _, pasted = screen.partition("see the results:\n")
        script = "\n".join(line for line in pasted.splitlines() if line.startswith("  "))
        command = ["bash", "-c", f"set -e -o pipefail\n{script}"]
        environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

        ran = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

        assert ran.returncode == 0, ran.stderr
        assert '"participants":1' in ran.stdout
        assert "Lunch?" in ran.stdout
        assert re.search(r"^Revoked tok_\w+ at ", ran.stdout, re.MULTILINE), number
        assert await runner.stop(signal.SIGINT) == 0


async def test_up_prints_link_that_signs_in_on_each_start(runner: Runner) -> None:
    for _ in range(2):
        screen = await runner.start()
        page = f"http://127.0.0.1:{runner.ports[1]}/settings/"
        link = _find(rf"(?<=\nSign in once, within 10 minutes: ){re.escape(page)}sign-in/link\?code=\S+", screen)

        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            async with browser.get(link) as signed_in:
                assert (signed_in.status, signed_in.url.path) == (200, "/settings/tokens")
            async with browser.get(_find(rf"(?<=\nSettings page: ){page}", screen)) as shown:
                assert (shown.status, shown.url.path) == (200, "/settings/tokens")
        assert await runner.stop(signal.SIGINT) == 0


async def test_first_start_prints_voting_link_of_a_sample_poll(runner: Runner) -> None:
    screen = await runner.start()
    link = _find(r"(?<=\nVote in the sample poll: )http://127\.0\.0\.1:\d+/p/pgl_\w{38}", screen)
    manage = _find(r"(?<=\nManage polls, with a token: )\S+/manage", screen)

    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(link) as page:
            assert (page.status, "How do you like Pollgate?" in await page.text()) == (200, True)
        async with browser.get(manage) as signing_in:
            assert signing_in.status == 200
    assert await runner.stop(signal.SIGINT) == 0
    assert "/p/pgl_" not in await runner.start()


async def test_up_with_keys_list_and_rotate(runner: Runner) -> None:
    await runner.start()

    rotated = json.loads((await runner.run("keys", "rotate", "--json")).stdout)
    again = await runner.run("keys", "rotate")
    listed = await runner.run("keys", "list")
    keys = json.loads((await runner.run("keys", "list", "--json")).stdout)

    assert again.stdout.startswith(f"Published the key {rotated['kid']}, which signs from ")
    assert [key["state"] for key in keys] == ["signing", "next"]
    assert all(key["kid"] in listed.stdout for key in keys)
    assert await runner.stop(signal.SIGTERM) == 0


async def test_up_with_file_of_rotated_admin_key_starts_and_names_file(runner: Runner) -> None:
    await runner.start()
    (key,) = json.loads((await runner.run("admin", "list", "--json")).stdout)
    rotated = json.loads((await runner.run("admin", "rotate", key["id"], "--overlap", "0", "--json")).stdout)
    assert await runner.stop(signal.SIGINT) == 0

    screen = await runner.start()

    assert f"The admin key is in {runner.folder / 'admin.key'}, but it does not work" in screen
    (runner.folder / "admin.key").write_text(rotated["key"])
    assert (await runner.run("token", "list")).returncode == 0
    assert await runner.stop(signal.SIGINT) == 0


async def test_up_after_sigkill_stops_the_processes_left_running(runner: Runner) -> None:
    await runner.start()

    await runner.stop(signal.SIGKILL)
    assert runner.find_running_processes()
    screen = await runner.start()

    assert "Stopped polls, which an earlier run left running" in screen
    assert await runner.stop(signal.SIGINT) == 0
    assert runner.find_running_processes() == []


async def test_up_and_commands_with_errors_exit_1_with_one_line(runner: Runner, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier test may still end
        taken.bind(("127.0.0.1", runner.ports[0]))
        taken.listen()
        port_taken = await runner.run("up")
    (tmp_path / "file").write_text("")
    no_folder = await runner.run("up", "--dir", str(tmp_path / "file" / "below"))
    no_authority = await runner.run("token", "list")
    (runner.folder / "admin.key").write_text("pga_x")
    (runner.folder / "admin.key").chmod(0o600)
    refused = await runner.run("token", "list")

    assert f"cannot listen on 127.0.0.1:{runner.ports[0]}: Address already in use" in port_taken.stderr
    assert "POLLS_PORT=" in port_taken.stderr
    assert "cannot use the folder" in no_folder.stderr
    assert "no admin key: set POLLGATE_ADMIN_KEY" in no_authority.stderr
    assert "does not answer" in refused.stderr
    for ended in (port_taken, no_folder, no_authority, refused):
        assert ended.returncode == 1
        assert len(ended.stderr.strip().splitlines()) == 1


async def test_up_does_not_take_another_program_on_its_port_for_its_own(runner: Runner) -> None:
    log = runner.folder / "logs" / "token-authority.log"
    log.parent.mkdir(parents=True, mode=0o700)
    os.mkfifo(log)  # the authority's start waits until the pipe is read
    ended = asyncio.create_task(runner.run("up"))
    while not (runner.folder / "processes.json").exists():
        assert not ended.done(), ended.result()
        await asyncio.sleep(0.05)

    async with _answer_everything(runner.ports[1]):
        with await asyncio.to_thread(log.open) as pipe:
            log.unlink()
            up = await ended
            logged = await asyncio.to_thread(pipe.read)

    assert (up.returncode, "token-authority is up" in up.stdout) == (1, False)
    assert "token-authority does not start" in up.stderr
    assert f"cannot listen on 127.0.0.1:{runner.ports[1]}: Address already in use" in logged


async def test_up_on_a_folder_in_use_exits_1(runner: Runner) -> None:
    second = Runner(runner.folder)
    await runner.start()

    ended = await second.run("up")

    assert "another `pollgate up` is using" in ended.stderr
    assert await runner.stop(signal.SIGINT) == 0


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found.group()


async def test_up_exits_1_when_a_part_exits(runner: Runner) -> None:
    await runner.start()
    records = json.loads((runner.folder / "processes.json").read_text())

    os.kill(next(record["pid"] for record in records if record["name"] == "polls"), signal.SIGKILL)

    assert await asyncio.to_thread(runner.process.wait, 30) == 1
    assert "pollgate: polls exited unexpectedly: killed by signal 9" in runner.screen.read_text()
    assert runner.find_running_processes() == []


@asynccontextmanager
async def _answer_everything(port: int) -> AsyncGenerator[None, None]:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response()

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_up_does_not_start_on_a_restored_database_until_the_restore_is_finished(runner: Runner) -> None:
    token = _find(r"pgt_\w{38}", await runner.start())
    token_id = _find(r"tok_\w+", (await runner.run("token", "list", "--json")).stdout)
    data, backup = runner.folder / "postgres", runner.folder.with_name("backup")
    await runner.stop(signal.SIGINT)
    await asyncio.to_thread(subprocess.check_call, ["cp", "-a", str(data), str(backup)])
    await runner.start()
    await runner.run("token", "revoke", token_id, "--reason", "leaked")
    await runner.stop(signal.SIGINT)
    await asyncio.to_thread(subprocess.check_call, ["rm", "-r", str(data)])
    await asyncio.to_thread(subprocess.check_call, ["cp", "-a", str(backup), str(data)])

    refused = await runner.run("up")
    shown = await runner.run("restore", "status", "--dir", str(runner.folder), "--json")
    in_words = await runner.run("restore", "status", "--dir", str(runner.folder))
    finished = await runner.run("restore", "finish", "--dir", str(runner.folder))
    screen = await runner.start()

    assert token not in screen
    assert refused.returncode == 1
    assert "the database was restored" in refused.stderr
    assert "pollgate restore finish" in refused.stderr
    assert (shown.returncode, json.loads(shown.stdout)["journal"]["lacking"]) == (3, 1)
    assert in_words.stdout.endswith(f"\nNext: pollgate restore finish --dir {runner.folder}\n")
    assert finished.returncode == 0, finished.stderr
    assert (await runner.run("token", "show", token_id, "--json")).stdout.count('"revoked"') == 1
    while_running = await runner.run("restore", "status", "--dir", str(runner.folder))
    assert "another `pollgate up` is using" in while_running.stderr
