"""Every route of the polls service that reads a body, and bodies to send to it."""

import io
import json
from typing import Any, Final, NamedTuple

from tests.support.problem_checks import find_violations
from tests.support.raw_http import send_raw
from tests.support.stack import LUNCH_OPTIONS, Answer, Polls

LUNCH: Final[dict[str, Any]] = {"title": "Lunch?", "options": LUNCH_OPTIONS}
JIRA: Final = {"workspace": "PLAT", "content": "PLAT-1"}
POLL_ROUTES: Final = ("create", "replace", "change", "batch", "contract create", "contract replace")
BODY_ROUTES: Final = (*POLL_ROUTES, "cast")


class Route(NamedTuple):
    """A route that reads a body, by a name, with an existing poll for it."""

    polls: Polls
    name: str
    poll_id: str

    @property
    def is_contract(self) -> bool:
        return self.name.startswith("contract")

    @property
    def path(self) -> str:
        """The path; under the contract with the query, which contains the token."""
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
        """Send the body and return the response."""
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        return await self.polls(self.method, self.path, data=data, headers=self.headers)

    async def send_without_end(self, piece: bytes) -> Answer:
        """Send the first piece of a chunked body that does not end, and return the response."""
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n"
        return await send_raw(self.polls, head.encode() + piece)

    def wrap(self, poll: bytes) -> bytes:
        """Return a body for this route with the poll in it."""
        if self.name == "create":
            return poll[:-1] + b', "location": ' + json.dumps(JIRA).encode() + b"}"
        if self.name == "batch":
            return b'{"items": [{"op": "create", "poll": ' + self._replace(name="create").wrap(poll) + b"}]}"
        return poll


async def create_route(polls: Polls, name: str) -> Route:
    """Return the route with a new poll that allows names, comments and repeated votes."""
    poll = await polls.create_poll(settings={"allowRevote": True, "allowComment": True, "saveParticipantNames": True})
    return Route(polls, name, poll["id"])


def invalid_body_status(route: Route) -> int:
    """Return the status for a body that breaks a rule. The contract has no 422."""
    return 400 if route.is_contract else 422


def status_of(answer: Answer) -> int:
    """Return the status of the response; for a batch, the status of its only item."""
    if answer.status == 200 and answer.body.startswith(b'{"committed"'):
        (outcome,) = answer.json["items"]
        return int(outcome["status"])
    return answer.status


def poll_with(**changes: Any) -> Any:
    """Return a valid poll with these fields changed."""
    return {**LUNCH, **changes}


def option_with(**changes: Any) -> Any:
    """Return a valid poll with these fields of its first option changed."""
    return poll_with(options=[{**LUNCH_OPTIONS[0], **changes}, LUNCH_OPTIONS[1]])


def settings_with(**changes: Any) -> Any:
    """Return a valid poll with these settings."""
    return poll_with(settings=changes)


def with_raw(value: Any, raw: str) -> bytes:
    """Return the value as JSON, with `raw` in place of "RAW", for JSON that Python does not write."""
    return json.dumps(value).replace('"RAW"', raw).encode()


def find_unexpected(answers: dict[str, tuple[bytes, Answer]], expected: dict[str, int]) -> dict[str, list[Any]]:
    """Return the cases with another status than expected, or with violations."""
    found: dict[str, list[Any]] = {}
    for case, (sent, answer) in answers.items():
        status = status_of(answer)
        violations: list[Any] = find_violations(answer, sent)
        if status != expected[case]:
            violations.append((status, answer.body[:300]))
        if violations:
            found[case] = violations
    return found
