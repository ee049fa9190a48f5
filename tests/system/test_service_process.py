"""A service as a process: errors at start, graceful shutdown, and no secrets in its output."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import aiohttp
import asyncpg
import pytest

from shared.contract.token import mint
from tests.support.databases import ClonedDatabase
from tests.support.guards import FakeGuard
from tests.support.postgres import wait_for_blocked
from tests.support.processes import authority_settings, polls_settings, run_service
from tests.support.secrets_in_output import find_secrets
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.own_database

UNREACHABLE = "postgresql://polls:hush@127.0.0.1:1/pollgate"


def _run(module: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", module],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_start_without_setting_fails_with_name_of_setting(output: Path) -> None:
    ended = _run("services.polls", {})

    assert ended.returncode == 1
    assert "token_authority_url".upper() in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_start_without_database_fails_without_the_password(redis_url: str) -> None:
    database = ClonedDatabase(UNREACHABLE, UNREACHABLE, UNREACHABLE)

    ended = await asyncio.to_thread(_run, "services.polls", polls_settings(database, redis_url, "http://127.0.0.1:1"))

    assert ended.returncode == 1
    assert "cannot connect to PostgreSQL at 127.0.0.1:1, tried for 10 s: Connection refused" in ended.stderr
    assert "correct POLLS_DATABASE_URL." in ended.stderr
    assert "hush" not in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_start_on_port_in_use_fails_with_name_of_port(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    settings = authority_settings(database, redis_url, tmp_path)
    async with run_service("token_authority", settings, output) as running:
        port = running.base.rpartition(":")[2]
        ended = await asyncio.to_thread(_run, "services.token_authority", {**settings, "TOKEN_AUTHORITY_PORT": port})

    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ended.stderr


async def test_start_with_another_key_encryption_key_fails_without_the_key(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    settings = authority_settings(database, redis_url, tmp_path)
    other = secrets.token_urlsafe(32)
    async with run_service("token_authority", settings, output):
        ended = await asyncio.to_thread(_run, "services.token_authority", {**settings, "KEY_ENCRYPTION_KEY": other})

    (line,) = [line for line in ended.stderr.splitlines() if "cannot start" in line]
    assert ended.returncode == 1
    assert line.startswith("token-authority cannot start: KEY_ENCRYPTION_KEY does not decrypt the signing key ")
    assert "Traceback" not in ended.stderr
    assert not [key for key in (other, settings["KEY_ENCRYPTION_KEY"]) if key in ended.stderr]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_request_in_progress_completes_before_service_stops(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path, number: signal.Signals
) -> None:
    async with run_service("token_authority", authority_settings(database, redis_url, tmp_path), output) as running:
        key = (tmp_path / "admin.key").read_text().strip()
        lock = await asyncpg.connect(database.admin_url)
        transaction = lock.transaction()
        await transaction.start()
        await lock.execute("LOCK TABLE token_authority.token IN ACCESS EXCLUSIVE MODE")
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
            body = {"name": "in flight", "scopes": ["polls:read:*"]}
            posting = asyncio.create_task(session.post(f"{running.base}/v1/tokens", json=body))
            await wait_for_blocked(database, 1)
            running.signal(number)
            await asyncio.sleep(0.3)
            await transaction.rollback()
            async with await posting as answer:
                assert answer.status == 201
        await lock.close()
        assert await asyncio.to_thread(running.process.wait, 10) == 0


async def test_revocation_in_progress_returns_its_state_when_service_stops(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    settings = {**authority_settings(database, redis_url, tmp_path), "REVOCATION_LEASE": "60"}
    async with run_service("token_authority", settings, output) as running, aiohttp.ClientSession() as session:
        authority = Authority(session, running.base)
        authority.admin_key = (tmp_path / "admin.key").read_text().strip()
        silent, issued = FakeGuard(authority), await authority.issue()
        await silent.follow()
        revoking = asyncio.create_task(authority.revoke(issued["id"]))
        while (await silent.sync()).json["head"] == 0:
            pass
        running.signal(signal.SIGTERM)
        answer = await revoking

        assert await asyncio.to_thread(running.process.wait, 10) == 0
    assert (answer["effective"], answer["guards"]) == (False, {"confirmed": 0, "expired": 0})
    assert answer["effective_by"] > answer["revoked_at"]


async def test_no_secret_is_in_responses_or_logs(
    database: ClonedDatabase, redis_url: str, tmp_path: Path, output: Path
) -> None:
    bodies: list[str] = []
    async with (
        run_service("token_authority", authority_settings(database, redis_url, tmp_path), output) as running,
        run_service("polls", polls_settings(database, redis_url, running.base), output) as serving,
        aiohttp.ClientSession() as session,
    ):
        authority = Authority(session, running.base)
        authority.admin_key = (tmp_path / "admin.key").read_text().strip()
        issued = await authority.issue("polls:read:PLAT")
        polls = Polls(session, serving.base)
        polls.endpoint, polls.token = await authority.get_endpoint(), issued["token"]
        assert (await polls.call("GET")).status == 200
        for token in (polls.token, mint("pgt"), authority.admin_key):
            bodies += [str(each) for each in await _careless_requests(polls, authority, token)]
            for port in (serving.base.rpartition(":")[2], running.base.rpartition(":")[2]):
                bodies += [await _send_raw(int(port), request) for request in _malformed_requests(token)]
        await authority.revoke(issued["id"])
        await polls.call("GET")
    logs = [serving.log.read_text(), running.log.read_text()]

    assert all('"route":"/x1/{endpoint}"' in log or "/v1/tokens" in log for log in logs)
    assert [find_secrets(text) for text in (*bodies, *logs) if find_secrets(text)] == []


async def _careless_requests(polls: Polls, authority: Authority, token: str) -> list[tuple[object, bytes]]:
    encoded = "".join(f"%{ord(character):02x}" for character in token)
    twice = quote(encoded)
    paths = [
        f"/x1/{polls.endpoint}?token={encoded}&type=polls",
        f"/x1/{polls.endpoint}?tok%65n={token}&token={encoded}",
        f"/x1/{polls.endpoint}?token={twice}",
        f"/x1/{polls.endpoint}?token={token}&type={token}&workspace={token}&content={encoded}",
        f"/x1/{token}?token={token}",
        f"/{encoded}",
        f"/x1/{polls.endpoint}?{token}",
        "/readyz",
    ]
    unexpected = {"Expect": token}
    headers = {"X-Request-ID": token, "User-Agent": token, "Referer": f"http://x/?token={token}"}
    answers = [await polls(method, path, headers=headers) for path in paths for method in ("GET", "DELETE", "PATCH")]
    answers += [await authority(method, path, headers=headers) for path in paths for method in ("GET", "POST")]
    answers.append(await authority.manage("POST", "/v1/tokens", {"name": "x", "scopes": [f"polls:{token}:*"]}))
    answers.append(await authority.manage("POST", "/v1/tokens", {"name": "x", "scopes": [], token: 1}))
    answers.append(await authority.manage("GET", f"/v1/tokens/{token}"))
    answers += [await each("GET", path, headers=unexpected) for each in (polls, authority) for path in ("/livez", "/x")]
    return [(dict(answer.headers), answer.body) for answer in answers]


def _malformed_requests(token: str) -> list[bytes]:
    return [
        f"GET /x1/a?token={token}\x01 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        f"GE(T /x1/a?token={token} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        f"GET /x1/a?token={token} HTTP/9.9\r\nHost: x\r\n\r\n".encode(),
        f"GET /x1/a HTTP/1.1\r\nHost: x\r\nBad Header {token}\r\n\r\n".encode(),
        f"GET /x1/a?token={token}&{'x' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        f"{token}\r\n\r\n".encode(),
        f"POST /x1/a?token={token} HTTP/1.1\r\nHost: x\r\nContent-Length: {token}\r\n\r\n".encode(),
        f"POST /x1/a?token={token} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{token}\r\n".encode(),
    ]


async def _send_raw(port: int, request: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    async with asyncio.timeout(15):
        answer = (await reader.read()).decode(errors="replace")
    writer.close()
    assert " 500 " not in answer.partition("\r\n")[0]
    return answer
