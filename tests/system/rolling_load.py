"""Clients of a stack whose replicas are replaced: 200 requests per second, followers of events, and revocations.

Every unexpected response or lost connection is a failure. No request is sent twice. A 503 of a service, not of the
proxy, is counted apart if the machine was too busy at that time.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import aiohttp

from shared.runtime.process.clock import elapsed_s
from tests.support.page_client import Page
from tests.support.sse_client import Follower
from tests.support.stack import Answer, Authority, Polls
from tests.support.voter import Voter, create_link
from tests.system.stalls import Stalls

RATE: Final = 200
MAX_RUNNING: Final = 16
"""The most requests at a time. On a busy machine, this makes the rate lower instead of the requests too slow."""
RETRY_S: Final = 0.2
VOTERS: Final = 20
FOLLOWERS: Final = 4
REVOKE_EVERY_S: Final = 0.3
SETTINGS: Final = {"allowRevote": True}


class RollingLoad:
    """Calls both services through the proxy. `failures` has a line for each request that was not served."""

    def __init__(self, authority: Authority, polls: Polls, replicas: Sequence[str], stalls: Stalls) -> None:
        self.sent: Counter[str] = Counter()
        self.failures: list[str] = []
        self.too_busy = 0
        self.accepted_after_revocation: list[str] = []
        self.revocations = 0
        self.started_at = elapsed_s()
        self.resumed_streams = 0
        self._authority = authority
        self._polls = polls
        self._stalls = stalls
        self._replicas = [Polls(polls.session, base) for base in replicas]
        self._poll: Any = None
        self._voters: list[tuple[Voter, Page]] = []
        self._stop = asyncio.Event()
        self._last: int | None = None

    async def prepare(self) -> None:
        """Create a token, a poll and a voting link, and open the link in several browsers."""
        self._polls.endpoint = await self._authority.get_endpoint()
        self._polls.token = (await self._authority.issue())["token"]
        self._poll = await self._polls.create_poll(settings=SETTINGS)
        link = await create_link(self._polls, self._poll["id"])
        for number in range(VOTERS):
            voter = Voter(self._polls, **{"X-Forwarded-For": f"192.0.2.{number}"})
            self._voters.append((voter, await voter.open(link)))

    async def run(self, replace: Callable[[], Awaitable[None]]) -> None:
        """Send requests while `replace` runs. Then wait until every follower has seen the last vote."""
        self.started_at = elapsed_s()
        async with asyncio.TaskGroup() as followers:
            for _ in range(FOLLOWERS):
                followers.create_task(self._follow())
            async with asyncio.TaskGroup() as senders:
                senders.create_task(self._send_requests())
                senders.create_task(self._revoke())
                await replace()
                self._stop.set()
            results = await self._polls.get_results(self._poll["id"])
            self._last = results["votes"] + 1
            await self._expect("vote", 201, self._polls.vote(self._poll["id"], "the last one", "y"))

    async def _send_requests(self) -> None:
        number, next_at, running = 0, elapsed_s(), asyncio.Semaphore(MAX_RUNNING)
        async with asyncio.TaskGroup() as group:
            while not self._stop.is_set():
                await running.acquire()
                sending = group.create_task(self._send(_KINDS[number % len(_KINDS)], number))
                sending.add_done_callback(lambda _: running.release())
                number, next_at = number + 1, max(next_at + 1 / RATE, elapsed_s())
                await asyncio.sleep(next_at - elapsed_s())

    async def _send(self, kind: str, number: int) -> None:
        polls, poll_id = self._polls, self._poll["id"]
        match kind:
            case "read":
                await self._expect(kind, 200, polls.v1("GET", f"/polls/{poll_id}/results"))
            case "contract":
                await self._expect(kind, 200, polls.call("GET"))
            case "vote":
                await self._expect(kind, 201, polls.vote(poll_id, f"participant-{number}", "y"))
            case "create":
                place = {"workspace": "PLAT", "content": f"PLAT-{number}"}
                body = {"title": "Another", "location": place, "options": self._poll["options"]}
                await self._expect(kind, 201, polls.v1("POST", "/polls", body))
            case "page":
                voter, page = self._voters[number % VOTERS]
                await self._expect(kind, 303, voter.vote(page, "Yes"))
            case _:
                voter, page = self._voters[number % VOTERS]
                await self._expect(kind, 200, voter.get(page.path))

    async def _expect(self, kind: str, status: int, sending: Awaitable[Answer | Page]) -> Answer | Page | None:
        self.sent[kind] += 1
        sent_at = elapsed_s()
        try:
            answer = await sending
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._fail(kind, sent_at, f"{type(error).__name__}: {error}")
            return None
        if answer.status == status:
            return answer
        shown = answer.body.decode() if isinstance(answer, Answer) else answer.text
        self._refuse(kind, sent_at, answer, shown)
        return None

    def _refuse(self, kind: str, sent_at: float, answer: "Answer | Page | aiohttp.ClientResponse", shown: str) -> None:
        is_of_service = "X-Request-ID" in answer.headers
        if answer.status == 503 and is_of_service and self._stalls.explain(sent_at, elapsed_s()):
            self.too_busy += 1
        else:
            self._fail(kind, sent_at, f"{answer.status}: {shown[:300]}")

    def _fail(self, kind: str, sent_at: float, reason: str) -> None:
        self.failures.append(f"{kind} after {elapsed_s() - sent_at:.1f} s: {reason}")

    async def _revoke(self) -> None:
        """Revoke tokens that are in use. After each response that it is effective, no replica may accept the token."""
        while not self._stop.is_set():
            issued = await self._expect(
                "issue", 201, self._manage("/v1/tokens", {"name": "x", "scopes": ["polls:*:*"]})
            )
            if isinstance(issued, Answer):
                await self._revoke_one(issued.json["id"], issued.json["token"])
            with suppress(TimeoutError):
                async with asyncio.timeout(REVOKE_EVERY_S):
                    await self._stop.wait()

    async def _revoke_one(self, token_id: str, token: str) -> None:
        holder = self._polls.with_token(token)
        for _ in range(4):
            await self._expect("use", 200, holder.v1("GET", "/polls", limit="1"))
        while True:
            path = f"/v1/tokens/{token_id}/revoke"
            revoked = await self._expect("revoke", 200, self._manage(path, {"reason": "unneeded"}))
            if not isinstance(revoked, Answer):
                return
            if revoked.json["effective"]:
                break
        self.revocations += 1
        for _ in range(4):
            await self._expect("refusal", 401, holder.v1("GET", "/polls", limit="1"))
        for caller in (self._polls, *self._replicas):
            with suppress(aiohttp.ClientError, OSError):  # it is being replaced
                if (await caller.with_token(token).v1("GET", "/polls", limit="1")).status == 200:
                    self.accepted_after_revocation.append(f"{token_id} at {caller.base}")

    def _manage(self, path: str, body: Any) -> Awaitable[Answer]:
        return self._authority.manage("POST", path, body)

    async def _follow(self) -> None:
        """Follow the poll over reconnections, until the results of the last vote have arrived."""
        seen = Seen()
        while self._last is None or seen.votes != self._last:
            self.sent["follow"] += 1
            sent_at = elapsed_s()
            headers = {"Authorization": f"Bearer {self._polls.token}", "Last-Event-ID": seen.id}
            url = f"{self._polls.base}/v1/polls/{self._poll['id']}/events"
            try:
                async with self._polls.session.get(url, headers=headers) as response:
                    if response.status != 200:
                        self._refuse("follow", sent_at, response, await response.text())
                        await asyncio.sleep(RETRY_S)
                    else:
                        await self._read_events(Follower(response), seen)
            except EOFError:
                self.resumed_streams += 1
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                self._fail("follow", sent_at, f"{type(error).__name__}: {error}")

    async def _read_events(self, follower: Follower, seen: "Seen") -> None:
        """Read until the results of the last vote. Raise `EOFError` if the stream ends before."""
        while self._last is None or seen.votes != self._last:
            event = await follower.next(30)
            seen.id = event.id
            if event.name == "results":
                if event.data["votes"] < seen.votes:
                    self.failures.append(f"follow: {event.data['votes']} votes after {seen.votes}")
                seen.votes = event.data["votes"]


class Seen:
    """What a follower has received: the id of the last event, and the number of votes."""

    id = ""
    votes = -1


_KINDS: Final = ("read", "vote", "contract", "page", "read", "show", "vote", "create", "contract", "read")
