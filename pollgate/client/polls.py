'''A typed client of the polls API, for the command line and for other Python programs.

```python
from pollgate.client.poll_models import Location, NewPoll
from pollgate.client.polls import PollsClient

async def ask(url: str, token: str) -> float | None:
    """The average of two votes."""
    async with PollsClient(url, token) as polls:
        poll = await polls.create_poll(NewPoll(Location("PLAT", "PLAT-1"), template="stars"))
        await polls.cast_ballot(poll.id, "ada", ["4"])
        await polls.cast_ballot(poll.id, "bob", ["5"])
        async for each in polls.polls(workspace="PLAT", status="open"):
            print(each.id, each.title)
        results = await polls.results(poll.id)
        await polls.delete_poll(poll.id)
        return results.average
```

What can be sent again without harm is, a few times, where an answer is lost or the service asks to wait.
'''

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from pollgate.client.authority_models import Page
from pollgate.client.events import follow
from pollgate.client.poll_models import Ballot, NewPoll, Outcomes, Poll, PollEvent, Results, Status, Template
from pollgate.client.request_parts import each_page, given, participant_segment, query_of, segment
from pollgate.client.retries import Attempts, sent_again
from pollgate.client.transport import Answer, Failure, NoAnswer, Refused, Server, Transport

POLLS: Final = Server("polls service", "POLLS_URL", "http://127.0.0.1:8080", "PollsClient(…) as polls")
MAX_PAGE: Final = 100
EDIT_LIMIT_S: Final = 60.0
"""An edit or a deletion can go over a million ballots."""

T = TypeVar("T")


class PollsClient:
    """Use as `async with PollsClient(url, token) as polls`. The token goes into a header, never into a URL.

    Every call raises `Sentence` where it fails; a `Failure` has the `status`, and the `kind` of problem, by which a
    program can tell them apart. Conditions that are `None` are left out. `server` is how sentences name the service.
    """

    def __init__(self, url: str, token: str, *, server: Server = POLLS) -> None:
        self._transport = Transport(server, url, token)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    def polls(
        self,
        limit: int | None = None,
        *,
        workspace: str | None = None,
        content: str | None = None,
        container: str | None = None,
        status: Status | None = None,
        updated_since: datetime | None = None,
        with_results: bool = False,
    ) -> AsyncIterator[Poll]:
        """The polls that meet all the conditions, the oldest first, page after page; up to `limit` of them.

        `updated_since` has an offset; `content` needs `workspace`, and `container` both.
        """
        conditions = {
            "workspace": workspace,
            "content": content,
            "container": container,
            "status": status,
            "updatedSince": updated_since,
            "expand": "results" if with_results else None,
        }
        return self._pages("/v1/polls", Page[Poll], conditions, limit)

    async def poll(self, poll_id: str, *, with_results: bool = False) -> Poll:
        """One poll."""
        query = {"expand": "results"} if with_results else {}
        return self._with_etag(await self._ask("GET", _path(poll_id), query=query))

    async def create_poll(self, poll: NewPoll | Mapping[str, Any]) -> Poll:
        """A new poll, also given as the API has it. It is made once, however often that has to be sent."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        try:
            return self._with_etag(await self._ask("POST", "/v1/polls", body=poll, headers=headers))
        except NoAnswer as error:
            raise _unsure(error, "The poll may be made") from None

    async def replace_poll(self, poll: Poll, *, if_match: str | None = None, drop_votes: bool = False) -> Poll:
        """The poll of this id becomes what is given: read it, and write it back with other values.

        With `if_match=poll.etag` it is refused, with 412, where somebody has edited it meanwhile.
        """
        body = {name: getattr(poll, name) for name in ("title", "description", "options", "settings")}
        return await self._edited("PUT", poll.id, body, if_match=if_match, drop_votes=drop_votes)

    async def change_poll(
        self, poll_id: str, fields: Mapping[str, Any], *, if_match: str | None = None, drop_votes: bool = False
    ) -> Poll:
        """Give some fields of a poll other values (RFC 7396): a list is replaced, and `None` brings a default back.

        What would drop votes is refused, with 409, unless `drop_votes`; the answer's `effect` says what was dropped.
        """
        return await self._edited("PATCH", poll_id, fields, if_match=if_match, drop_votes=drop_votes)

    async def close_poll(self, poll_id: str, *, if_match: str | None = None) -> Poll:
        """Close a poll at this moment, by the service's clock."""
        made = await self.batch([given({"op": "close", "id": poll_id, "ifMatch": if_match})])
        outcome = made.items[0]
        if outcome.problem is not None or outcome.poll is None:
            problem = outcome.problem
            detail, kind = (problem.detail, problem.type.rpartition("/")[2]) if problem else ("", "")
            raise Refused(f"the polls service answered {outcome.status}: {detail}", outcome.status, kind)
        return msgspec.structs.replace(outcome.poll, etag=outcome.poll.etag or outcome.etag)

    async def delete_poll(self, poll_id: str, *, if_match: str | None = None) -> None:
        """Remove a poll with all its votes."""
        headers = given({"If-Match": if_match})
        await self._ended(_path(poll_id), "unknown-poll", headers=headers, limit_s=EDIT_LIMIT_S)

    async def batch(self, items: Sequence[Mapping[str, Any]], *, atomic: bool = False) -> Outcomes:
        """Make up to 100 changes, each with an outcome of its own; with `atomic`, all of them or none.

        Items are as the API has them: `{"op": "create", "poll": …}`, `{"op": "update", "id": …, "poll": …}`,
        `{"op": "close", "id": …}` and `{"op": "delete", "id": …}`.
        """
        headers, body = {"Idempotency-Key": secrets.token_hex(16)}, {"items": items, "atomic": atomic}
        answer = await self._ask("POST", "/v1/polls:batch", body=body, headers=headers, limit_s=EDIT_LIMIT_S)
        return self._transport.read(answer, Outcomes)

    async def results(self, poll_id: str, *, participant: str | None = None) -> Results:
        """What the votes of a poll come to; as `participant` may see it, who is vouched for."""
        query = query_of({"participant": participant})
        return self._transport.read(await self._ask("GET", f"{_path(poll_id)}/results", query=query), Results)

    async def results_csv(self, poll_id: str, *, participant: str | None = None) -> bytes:
        """The same as a table, in UTF-8, with a line for each option, in which no spreadsheet finds a formula."""
        query, headers = query_of({"participant": participant}), {"Accept": "text/csv"}
        return (await self._ask("GET", f"{_path(poll_id)}/results", query=query, headers=headers)).content

    async def cast_ballot(
        self,
        poll_id: str,
        participant: str,
        option_ids: Sequence[str],
        *,
        name: str | None = None,
        comment: str | None = None,
    ) -> Ballot:
        """Vote for a participant, or vote anew where the poll allows that.

        It is cast once, however often it has to be sent: where an answer is lost, and the next one says that the
        participant has voted, the ballot is read, and taken for this one where it is the same.
        """
        path, asked = _ballot(poll_id, participant), Ballot(participant, list(option_ids), name, comment)
        body = given({"optionIds": asked.option_ids, "name": name, "comment": comment})
        attempts = Attempts(lambda: self._transport.ask("PUT", path, body=body))
        try:
            answer = await sent_again(attempts)
        except NoAnswer as error:
            raise _unsure(error, "The ballot may be cast") from None
        except Refused as refusal:
            kept = await self._kept(poll_id, participant) if attempts.lost and refusal.status == 409 else None
            if kept is None or not _is_same(kept, asked):
                raise
            return kept
        return self._transport.read(answer, Ballot)

    async def ballot(self, poll_id: str, participant: str) -> Ballot:
        """A participant's ballot."""
        return self._transport.read(await self._ask("GET", _ballot(poll_id, participant)), Ballot)

    async def withdraw_ballot(self, poll_id: str, participant: str) -> None:
        """Take a participant's ballot back. Where a poll allows no second ballot, that one cannot vote again."""
        await self._ended(_ballot(poll_id, participant), "unknown-ballot")

    def ballots(self, poll_id: str, limit: int | None = None) -> AsyncIterator[Ballot]:
        """The ballots of a poll that keeps names, in the order of their participants' ids, page after page."""
        return self._pages(f"{_path(poll_id)}/votes", Page[Ballot], {}, limit)

    async def templates(self) -> list[Template]:
        """What a new poll can begin with."""
        return self._transport.read(await self._ask("GET", "/v1/templates"), Page[Template]).items

    async def events(self, poll_id: str) -> AsyncGenerator[PollEvent, None]:
        """What becomes of a poll, from how it is now on, for as long as it is there.

        Where the connection ends it is made anew, and what has changed meanwhile is told. Ends with `PollDeleted`.
        Raises `Sentence` where the token is refused, and where the service does not answer for a minute.
        """
        async with aclosing(follow(self._transport, f"{_path(poll_id)}/events")) as events:
            async for event in events:
                yield event

    async def _ask(self, method: str, path: str, **options: Any) -> Answer:
        """The answer to a request that can be sent again without harm."""
        return await sent_again(lambda: self._transport.ask(method, path, **options))

    async def _edited(self, method: str, poll_id: str, body: Any, *, if_match: str | None, drop_votes: bool) -> Poll:
        query, headers = {"dropVotes": "true"} if drop_votes else {}, given({"If-Match": if_match})

        async def send() -> Answer:
            return await self._transport.ask(
                method, _path(poll_id), query=query, body=body, headers=headers, limit_s=EDIT_LIMIT_S
            )

        try:
            return self._with_etag(await sent_again(send, also_after_loss=False))
        except NoAnswer as error:
            raise _unsure(error, "The poll may be edited") from None

    async def _ended(self, path: str, ended_kind: str, **options: Any) -> None:
        """Delete what is there; that it is gone is no failure where an answer was lost."""
        attempts = Attempts(lambda: self._transport.ask("DELETE", path, **options))
        try:
            await sent_again(attempts)
        except Refused as refusal:
            if not (attempts.lost and refusal.kind == ended_kind):
                raise

    async def _kept(self, poll_id: str, participant: str) -> Ballot | None:
        try:
            return await self.ballot(poll_id, participant)
        except Failure:
            return None

    def _with_etag(self, answer: Answer) -> Poll:
        poll = self._transport.read(answer, Poll)
        return msgspec.structs.replace(poll, etag=poll.etag or answer.headers.get("ETag"))

    def _pages(
        self, path: str, kind: type[Page[T]], conditions: Mapping[str, Any], limit: int | None
    ) -> AsyncIterator[T]:
        async def read(query: Mapping[str, str]) -> Page[T]:
            return self._transport.read(await self._ask("GET", path, query=query), kind)

        return each_page(read, conditions, limit, most=MAX_PAGE)


def _path(poll_id: str) -> str:
    return f"/v1/polls/{segment(poll_id, 'the list commands, as `pollgate poll list`')}"


def _ballot(poll_id: str, participant: str) -> str:
    return f"{_path(poll_id)}/votes/{participant_segment(participant)}"


def _unsure(error: NoAnswer, what: str) -> NoAnswer:
    told = f"{error}. {what} all the same: look before you try again"
    return NoAnswer(told, error.status, error.kind, error.retry_after_s)


def _is_same(kept: Ballot, asked: Ballot) -> bool:
    """Whether what is kept is what was asked for; a name that is not kept says nothing."""
    chosen = set(kept.option_ids) == set(asked.option_ids)
    return chosen and kept.comment == asked.comment and kept.name in (None, asked.name)
