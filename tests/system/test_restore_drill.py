"""The drill: back up under load, revoke, restore, finish. Nothing works again that had ended when that was answered."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import pytest

from shared.runtime.process.clock import elapsed_s
from tests.faults.cluster_processes import ServiceProcess
from tests.support.databases import ClonedDatabase
from tests.support.dumps import create_backups, run_restore_command
from tests.support.ports import take_port
from tests.support.processes import authority_settings, polls_settings
from tests.support.stack import Authority

pytestmark = [pytest.mark.own_database, pytest.mark.timeout(150)]

LEASE_S: Final = 1.0
REQUEST_LIMIT_S: Final = 10.0
SETTLING_S: Final = 30.0
PLACES: Final = ("PLAT", "OTHER")


class Use(NamedTuple):
    """A request with a token for a workspace, and its status; 0 without a response."""

    secret: str
    workspace: str
    sent_at: float
    status: int


class End(NamedTuple):
    """Since when a secret must not work, for some workspaces."""

    secret: str
    workspaces: tuple[str, ...]
    since: float


class Load:
    """Uses every token for every workspace, all the time."""

    def __init__(self, session: aiohttp.ClientSession, replicas: list[ServiceProcess], endpoint: str) -> None:
        self.uses: list[Use] = []
        self.ends: list[End] = []
        self.secrets: list[str] = []
        self._session = session
        self._replicas = replicas
        self._endpoint = endpoint

    async def run(self) -> None:
        """Send requests until cancelled."""
        while True:
            for secret in self.secrets:
                await asyncio.gather(
                    *(self.use(secret, place, replica) for place in PLACES for replica in self._replicas)
                )
            await asyncio.sleep(0.1)

    async def use(self, secret: str, workspace: str, replica: ServiceProcess) -> int:
        """Send a request and return its status."""
        query = {"token": secret, "type": "polls", "workspace": workspace, "content": f"{workspace}-1"}
        sent_at, status = elapsed_s(), 0
        timeout = aiohttp.ClientTimeout(total=REQUEST_LIMIT_S)
        try:
            url = f"{replica.base}/x1/{self._endpoint}"
            async with self._session.get(url, params=query, timeout=timeout) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        self.uses.append(Use(secret, workspace, sent_at, status))
        return status

    async def use_once(self, secret: str, workspace: str = "PLAT") -> set[int]:
        """Use a secret at every replica, and return the statuses."""
        return {await self.use(secret, workspace, replica) for replica in self._replicas}

    def end(self, secret: str, *workspaces: str) -> None:
        """Record that a change was answered, after which the secret must not work there, or nowhere."""
        self.ends.append(End(secret, workspaces or PLACES, elapsed_s()))

    def find_violations(self) -> list[str]:
        """Return a line for each request that was accepted though its token had ended."""
        return [
            f"accepted {1000 * (use.sent_at - end.since):.0f} ms after the end, for {use.workspace}"
            for end in self.ends
            for use in self.uses
            if use.secret == end.secret
            and use.workspace in end.workspaces
            and use.sent_at > end.since
            and use.status == 200
        ]


class Stack:
    """An authority and two replicas of polls, as processes. The authority can move to a restored database."""

    def __init__(self, authority: ServiceProcess, replicas: list[ServiceProcess], admin: Authority) -> None:
        self.authority = authority
        self.replicas = replicas
        self.admin = admin

    async def manage(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request with the admin key. Return the body of its success."""
        answer = await self.admin.manage(method, path, body)
        assert answer.status in (200, 201, 204), answer.body
        return answer.json if answer.body else None


@asynccontextmanager
async def run_stack(
    settings: dict[str, str], database: ClonedDatabase, redis_url: str, folder: Path, output: Path
) -> AsyncGenerator[Stack, None]:
    port = take_port()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        authority = ServiceProcess("drilled-authority", "token_authority", port, settings, output)
        replicas = [
            ServiceProcess(
                f"drilled-polls-{number}",
                "polls",
                take_port(),
                polls_settings(database, redis_url, authority.base),
                output,
            )
            for number in range(2)
        ]
        for process in (authority, *replicas):
            stack.push_async_callback(asyncio.to_thread, process.end)
            process.start()
            await process.ready()
        admin = Authority(session, authority.base)
        admin.admin_key = await asyncio.to_thread((folder / "admin.key").read_text)
        admin.admin_key = admin.admin_key.strip()
        running = Stack(authority, replicas, admin)
        stack.push_async_callback(lambda: asyncio.to_thread(running.authority.end))
        yield running


class Drilled(NamedTuple):
    """What a drill has changed after the backup."""

    tokens: dict[str, Any]
    auditor_key: str
    service_secret: str


async def change_everything(stack: Stack, load: Load, created: Drilled) -> None:
    """End and narrow tokens, a key and a service, and record for each secret since when it must not work."""
    tokens = created.tokens

    async def change(name: str, method: str, path: str, body: Any, *workspaces: str) -> None:
        await stack.manage(method, f"/v1/tokens/{tokens[name]['id']}{path}", body)
        load.end(tokens[name]["token"], *workspaces)

    await change("revoked", "POST", "/revoke", {"reason": "leaked"})
    await change("narrowed", "PATCH", "", {"scopes": ["polls:read:PLAT"]}, "OTHER")
    await change("disabled", "POST", "/disable", {})
    await change("rotated", "POST", "/rotate", {"overlap_s": 0})
    (auditor,) = [key for key in (await stack.manage("GET", "/v1/admin-keys"))["items"] if key["role"] == "auditor"]
    await stack.manage("DELETE", f"/v1/admin-keys/{auditor['id']}")
    await stack.manage("POST", "/v1/services/reports/disable")


async def create_all(stack: Stack) -> Drilled:
    names = ("kept", "revoked", "narrowed", "disabled", "rotated")
    tokens = {name: await stack.admin.issue("polls:read:*", name=name) for name in names}
    auditor = await stack.manage("POST", "/v1/admin-keys", {"name": "auditor", "role": "auditor"})
    service = await stack.manage("POST", "/v1/services", {"client_id": "reports"})
    return Drilled(tokens, auditor["key"], service["secret"])


async def wait_until_accepted(load: Load, secret: str) -> None:
    """Wait until every replica accepts a token again."""
    async with asyncio.timeout(SETTLING_S):
        while await load.use_once(secret) != {200}:
            await asyncio.sleep(0.1)


async def wait_until_restored(settings: dict[str, str], reported: int) -> Any:
    """Wait until the mode is entered, and guards have reported so many changes. Return the status."""
    async with asyncio.timeout(SETTLING_S):
        while True:
            shown = await run_restore_command(settings, "status", "--json")
            if shown.status == 3 and shown.json["reported"].get("polls", 0) >= reported:
                return shown.json
            await asyncio.sleep(0.2)


@pytest.fixture
def settings(database: ClonedDatabase, redis_url: str, tmp_path: Path) -> dict[str, str]:
    """Return the settings of an authority with a journal."""
    journal = str(tmp_path / "journal" / "journal.jsonl")
    return {
        **authority_settings(database, redis_url, tmp_path),
        "REVOCATION_LEASE": str(LEASE_S),
        "JOURNAL_FILE": journal,
    }


class Drill:
    """A drill up to the moment at which the authority may start on the restored database."""

    def __init__(self, stack: Stack, load: Load, created: Drilled, settings: dict[str, str]) -> None:
        self.stack = stack
        self.load = load
        self.created = created
        self.settings = settings

    async def introspect(self, name: str) -> int:
        """Return the status of an introspection."""
        return (await self.stack.admin.introspect(self.created.tokens[name]["token"])).status

    async def find_status_of_service(self) -> int:
        """Return the status for the service that was disabled."""
        return (await self.stack.admin.introspect("x", "reports", self.created.service_secret)).status

    async def find_status_of_admin_key(self) -> int:
        """Return the status for the admin key that was revoked."""
        headers = {"Authorization": f"Bearer {self.created.auditor_key}"}
        return (await self.stack.admin("GET", "/v1/admin-keys/own", headers=headers)).status


@asynccontextmanager
async def drill(
    settings: dict[str, str],
    database: ClonedDatabase,
    redis_url: str,
    postgres_url: str,
    folder: Path,
    output: Path,
    *,
    has_journal: bool = True,
    guards_survive: bool = True,
) -> AsyncGenerator[Drill, None]:
    """Back up under load, change tokens, restore, and yield before the authority starts on the restored database."""
    if not has_journal:
        settings = {**settings, "JOURNAL_FILE": ""}
    backups = await create_backups(postgres_url, folder)
    async with run_stack(settings, database, redis_url, folder, output) as stack:
        created = await create_all(stack)
        load = Load(stack.admin.session, stack.replicas, await stack.admin.get_endpoint())
        load.secrets = [token["token"] for token in created.tokens.values()]
        async with asyncio.TaskGroup() as group:
            running = group.create_task(load.run())
            try:
                await wait_until_accepted(load, created.tokens["kept"]["token"])
                dump = await backups.dump(database)
                await change_everything(stack, load, created)
                await stack.authority.kill()
                if not guards_survive:
                    for replica in stack.replicas:
                        await replica.kill()
                async with backups.restore(dump) as restored:
                    moved = {**settings, "TOKEN_AUTHORITY_DATABASE_URL": restored.token_authority_url}
                    stack.authority = ServiceProcess(
                        "restored-authority", "token_authority", stack.authority.port, moved, output
                    )
                    try:
                        yield Drill(stack, load, created, moved)
                    finally:
                        await asyncio.to_thread(stack.authority.end)
            finally:
                running.cancel()
        print(f"{len(load.uses)} requests, {sum(use.status == 200 for use in load.uses)} accepted", flush=True)


StartDrill = Callable[..., AbstractAsyncContextManager[Drill]]


@pytest.fixture
def start_drill(
    settings: dict[str, str], database: ClonedDatabase, redis_url: str, postgres_url: str, tmp_path: Path, output: Path
) -> StartDrill:
    """Return `drill`, for which only its options are left to choose."""
    return partial(drill, settings, database, redis_url, postgres_url, tmp_path, output)


async def start(drilled: Drill) -> None:
    """Start the authority on the restored database."""
    drilled.stack.authority.start()
    await drilled.stack.authority.ready()


async def test_restored_database_with_journal_accepts_nothing_that_had_ended(
    start_drill: StartDrill,
) -> None:
    async with start_drill() as drilled:
        await start(drilled)
        in_mode = [await drilled.introspect(name) for name in ("kept", "revoked")]
        admin = (await drilled.stack.admin.manage("GET", "/v1/tokens")).status
        ready = await drilled.stack.admin("GET", "/readyz")
        shown = await run_restore_command(drilled.settings, "status")
        finished = await run_restore_command(drilled.settings, "finish", "--json")

        await wait_until_accepted(drilled.load, drilled.created.tokens["kept"]["token"])
        refused = {
            name: await drilled.load.use_once(drilled.created.tokens[name]["token"])
            for name in ("revoked", "disabled", "rotated")
        }
        narrowed = [await drilled.load.use_once(drilled.created.tokens["narrowed"]["token"], each) for each in PLACES]
        service, key = await drilled.find_status_of_service(), await drilled.find_status_of_admin_key()
        record = (await drilled.stack.manage("GET", "/v1/audit?action=restore.finish"))["items"][-1]

    assert (in_mode, admin) == ([503, 503], 503)
    assert ready.status == 503
    assert "restored" in ready.json["checks"]["restoration"]
    assert (shown.status, finished.status) == (3, 0), finished.err
    assert "pollgate restore finish" in shown.out
    assert refused == {name: {403} for name in refused}
    assert narrowed == [{200}, {403}]
    assert (service, key) == (401, 401)
    assert record["after"]["journal"]["tokens revoked"] == 1
    assert drilled.load.find_violations() == []


@pytest.mark.slow
async def test_restored_database_without_journal_is_noticed_by_guards_and_requires_a_choice(
    start_drill: StartDrill,
) -> None:
    async with start_drill(has_journal=False) as drilled:
        await start(drilled)
        await wait_until_restored(drilled.settings, reported=4)
        by_journal = await run_restore_command(drilled.settings, "finish")
        unconfirmed = await run_restore_command(drilled.settings, "finish", "--accept-risk", "Ada", stdin="yes\n")
        sentence = "revoked tokens may work again\n"
        finished = await run_restore_command(
            drilled.settings, "finish", "--accept-risk", "Ada", "--json", stdin=sentence
        )

        await wait_until_accepted(drilled.load, drilled.created.tokens["kept"]["token"])
        refused = {
            name: await drilled.load.use_once(drilled.created.tokens[name]["token"])
            for name in ("revoked", "disabled", "rotated", "narrowed")
        }
        record = (await drilled.stack.manage("GET", "/v1/audit?action=restore.finish"))["items"][-1]

    assert by_journal.status == 4
    assert "--revoke-working-tokens" in by_journal.err
    assert unconfirmed.status == 1
    assert finished.status == 0, finished.err
    assert refused == {name: {403} for name in refused}
    assert "Ada" in record["after"]["how"]
    assert drilled.load.find_violations() == []


@pytest.mark.slow
async def test_restored_database_that_nothing_can_notice_requires_begin_and_a_choice(
    start_drill: StartDrill,
) -> None:
    async with start_drill(has_journal=False, guards_survive=False) as drilled:
        before = await run_restore_command(drilled.settings, "status")
        begun = await run_restore_command(drilled.settings, "begin", "--reason", "the drill")
        await start(drilled)
        for replica in drilled.stack.replicas:
            replica.start()
            await replica.ready()
        in_mode = await drilled.introspect("kept")
        by_journal = await run_restore_command(drilled.settings, "finish")
        finished = await run_restore_command(drilled.settings, "finish", "--revoke-working-tokens", "--json")
        after = await run_restore_command(drilled.settings, "status")
        new = await drilled.stack.admin.issue("polls:read:*", name="new")
        await wait_until_accepted(drilled.load, new["token"])
        refused = {name: await drilled.load.use_once(token["token"]) for name, token in drilled.created.tokens.items()}

    assert (before.status, begun.status, in_mode, by_journal.status) == (0, 0, 503, 4)
    assert (finished.status, after.status) == (0, 0), finished.err
    assert finished.json["revoked_tokens"] == len(refused)
    assert refused == {name: {403} for name in refused}
    assert drilled.load.find_violations() == []
