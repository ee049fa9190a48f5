"""Every route of polls that reads a body, to be sent what such a route may be sent."""

import io
import json
from typing import Any, Final, NamedTuple

from tests.support.problem_checks import flaws_of
from tests.support.raw_http import send_raw
from tests.support.stack import LUNCH_OPTIONS, Answer, Polls

LUNCH: Final[dict[str, Any]] = {"title": "Lunch?", "options": LUNCH_OPTIONS}
JIRA: Final = {"workspace": "PLAT", "content": "PLAT-1"}
POLL_ROUTES: Final = ("create", "replace", "change", "batch", "contract create", "contract replace")
BODY_ROUTES: Final = (*POLL_ROUTES, "cast")


class Route(NamedTuple):
    """A route that reads a body, by the name of what it does, with a poll to do it to."""

    polls: Polls
    name: str
    poll_id: str

    @property
    def is_contract(self) -> bool:
        return self.name.startswith("contract")

    @property
    def path(self) -> str:
        """With the token in the query, where the contract has it."""
        if self.is_contract:
            place = f"token={self.polls.token}&type=polls&workspace=PLAT&content=PLAT-1"
            return f"/x1/{self.polls.endpoint}?{place}&pollId={self.poll_id}"
        paths = {"create": "", "batch": ":batch", "cast": f"/{self.poll_id}/votes/ada"}
        return "/v1/polls" + paths.get(self.name, f"/{self.poll_id}")

    @property
    def method(self) -> str:
        if self.name == "change":
            return "PATCH"
        return "PUT" if self.name in ("replace", "contract replace", "cast") else "POST"

    @property
    def headers(self) -> dict[str, str]:
        if self.is_contract:
            return {}
        return {"Authorization": f"Bearer {self.polls.token}", "Content-Type": "application/json"}

    async def send(self, body: Any) -> Answer:
        """The answer to this body."""
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        return await self.polls(self.method, self.path, data=data, headers=self.headers)

    async def send_without_end(self, piece: bytes) -> Answer:
        """The answer to a body in pieces, of which this is the first and none is the last."""
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n"
        return await send_raw(self.polls, head.encode() + piece)

    def around(self, poll: bytes) -> bytes:
        """The poll, where the body of this route has it."""
        if self.name == "create":
            return poll[:-1] + b', "location": ' + json.dumps(JIRA).encode() + b"}"
        if self.name == "batch":
            return b'{"items": [{"op": "create", "poll": ' + self._replace(name="create").around(poll) + b"}]}"
        return poll


async def route_to(polls: Polls, name: str) -> Route:
    """The route, with a poll that takes names, comments and second ballots."""
    poll = await polls.make(settings={"allowRevote": True, "allowComment": True, "saveParticipantNames": True})
    return Route(polls, name, poll["id"])


def refused(route: Route) -> int:
    """How what breaks a rule is refused; the contract has no 422."""
    return 400 if route.is_contract else 422


def status_of(answer: Answer) -> int:
    """Of a batch the status of its only item."""
    if answer.status == 200 and answer.body.startswith(b'{"committed"'):
        (outcome,) = answer.json["items"]
        return int(outcome["status"])
    return answer.status


def poll_with(**changes: Any) -> Any:
    """A poll, but for these fields."""
    return {**LUNCH, **changes}


def option_with(**changes: Any) -> Any:
    """A poll whose first option is as usual, but for these fields."""
    return poll_with(options=[{**LUNCH_OPTIONS[0], **changes}, LUNCH_OPTIONS[1]])


def settings_with(**changes: Any) -> Any:
    """A poll with these settings."""
    return poll_with(settings=changes)


def with_raw(value: Any, raw: str) -> bytes:
    """The value as JSON, in which `raw` stands for "RAW": what Python would not write."""
    return json.dumps(value).replace('"RAW"', raw).encode()


def wrong(answers: dict[str, tuple[bytes, Answer]], expected: dict[str, int]) -> dict[str, list[Any]]:
    """The cases that were answered otherwise, or badly."""
    found: dict[str, list[Any]] = {}
    for case, (sent, answer) in answers.items():
        status = status_of(answer)
        violations: list[Any] = flaws_of(answer, sent)
        if status != expected[case]:
            violations.append((status, answer.body[:300]))
        if violations:
            found[case] = violations
    return found
