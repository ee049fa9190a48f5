"""Run the two services in this process, with settings of the test, and call them over real HTTP."""

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
from aiohttp import web, web_app
from yarl import URL

from services.polls.app import build_app as build_polls
from services.polls.settings import PollsSettings
from services.token_authority.app import build_app as build_token_authority
from services.token_authority.settings import TokenAuthoritySettings
from shared.contract.token import mint
from shared.runtime.process.environment import RotatableText
from shared.runtime.process.serve import listen
from tests.support.databases import ClonedDatabase

CLIENT_SECRET = mint("pgs")
KEY_ENCRYPTION_KEY = secrets.token_urlsafe(32)
PARTICIPANT_KEY = secrets.token_urlsafe(32)
HOST = "127.0.0.1"
LUNCH_OPTIONS = [{"id": "y", "title": "Yes"}, {"id": "n", "title": "No"}]


class Answer(msgspec.Struct):
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Caller:
    """Sends requests to one base URL; `path` is sent as it is written, without requoting."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self.session = session
        self.base = base

    async def __call__(self, method: str, path: str, **options: Any) -> Answer:
        options.setdefault("timeout", aiohttp.ClientTimeout(total=20))
        async with self.session.request(method, URL(self.base + path, encoded=True), **options) as response:
            return Answer(response.status, response.headers, await response.read())


def basic_auth(client_id: str, secret: str) -> dict[str, str]:
    """Return the header for a service's credential (HTTP Basic)."""
    return {"Authorization": aiohttp.encode_basic_auth(client_id, secret)}


class Authority(Caller):
    """A client of the token authority with an admin key."""

    admin_key: str = ""

    @property
    def admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.admin_key}"}

    async def manage(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request with the admin key."""
        headers = {**self.admin, "Content-Type": "application/json"}
        return await self(method, path, headers=headers, data=None if body is None else msgspec.json.encode(body))

    async def issue(self, *scopes: str, name: str = "a token", **fields: Any) -> Any:
        """Issue a token and return the body of the 201. Without scopes, the token may do everything everywhere."""
        answer = await self.manage("POST", "/v1/tokens", {"name": name, "scopes": scopes or ["polls:*:*"], **fields})
        assert answer.status == 201, answer.body
        return answer.json

    async def revoke(self, token_id: str, **query: str) -> Any:
        """Revoke a token and return the body of the 200."""
        answer = await self.manage("POST", f"/v1/tokens/{token_id}/revoke?{urlencode(query)}", {"reason": "unneeded"})
        assert answer.status == 200, answer.body
        return answer.json

    async def introspect(self, token: str, client_id: str = "polls", secret: str = CLIENT_SECRET) -> Answer:
        """Introspect a token as a service."""
        return await self("POST", "/oauth2/introspect", data={"token": token}, headers=basic_auth(client_id, secret))

    async def get_endpoint(self) -> str:
        """Return the endpoint id of the default site."""
        return str((await self.manage("GET", "/v1/sites")).json["items"][0]["endpoint_id"])


class Polls(Caller):
    """A client of the polls service with one token, for polls at one place."""

    endpoint: str = ""
    token: str = ""
    place: Mapping[str, str] = {"workspace": "PLAT", "content": "PLAT-1"}

    def at_place(self, **place: str) -> Self:
        """Return a client with the same token for another place."""
        other = type(self)(self.session, self.base)
        other.endpoint, other.token, other.place = self.endpoint, self.token, place
        return other

    def with_token(self, token: str) -> Self:
        """Return a client with another token for the same place."""
        other = self.at_place(**self.place)
        other.token = token
        return other

    async def call(self, method: str, body: Any = None, **query: str) -> Answer:
        """Send a request of the contract under `/x1`; `body` is sent as JSON unless it is bytes."""
        parameters: dict[str, str | None] = {"token": self.token, "type": "polls", **self.place, **query}
        path = f"/x1/{self.endpoint}?{urlencode({k: v for k, v in parameters.items() if v is not None})}"
        data = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        return await self(method, path, data=data)

    async def v1(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> Answer:
        """Send a request under `/v1`, with the token as bearer; `body` is sent as JSON unless it is bytes."""
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **(headers or {})}
        data = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
        return await self(method, f"/v1{path}" + (f"?{urlencode(query)}" if query else ""), data=data, headers=sent)

    async def create_poll(self, **fields: Any) -> Any:
        """Create a poll at this place, by default with two options, and return the body of the 201."""
        usual = {} if "template" in fields else {"title": "Lunch?", "options": LUNCH_OPTIONS}
        body = {"location": dict(self.place), **usual, **fields}
        answer = await self.v1("POST", "/polls", body)
        assert answer.status == 201, answer.body
        return answer.json

    async def vote(self, poll_id: str, participant: str, *option_ids: str, **fields: Any) -> Answer:
        """Cast a participant's ballot."""
        path = f"/polls/{poll_id}/votes/{quote(participant, safe='')}"
        return await self.v1("PUT", path, {"optionIds": option_ids, **fields})

    async def list_pages(self, path: str, **query: Any) -> AsyncGenerator[Any, None]:
        """Yield each page of a list under `/v1`, up to and including the last page."""
        cursor: dict[str, str] = {}
        while True:
            answer = await self.v1("GET", path, **{**query, **cursor})
            assert answer.status == 200, answer.body
            yield answer.json
            if answer.json["next"] is None:
                return
            cursor = {"cursor": answer.json["next"]}

    async def get_results(self, poll_id: str, **query: Any) -> Any:
        """Return the body of the 200 with the results of a poll."""
        answer = await self.v1("GET", f"/polls/{poll_id}/results", **query)
        assert answer.status == 200, answer.body
        return answer.json


@asynccontextmanager
async def run_token_authority(
    database: ClonedDatabase, redis_url: str | RotatableText, folder: Path, **settings: Any
) -> AsyncGenerator[Authority, None]:
    """Run a token authority during the block, by default on any port; yield a client with its admin key."""
    key_file = folder / "admin.key"
    complete = TokenAuthoritySettings(
        **{
            "token_authority_database_url": RotatableText(database.token_authority_url),
            "redis_url": RotatableText(redis_url) if isinstance(redis_url, str) else redis_url,
            "service_credentials": f"polls:{CLIENT_SECRET}",
            "key_encryption_key": KEY_ENCRYPTION_KEY,
            "admin_key_file": str(key_file),
            "token_authority_port": 0,
            "database_pool_size": 4,
            "open_requests_per_minute": 1_000_000,
            **settings,
        }
    )
    async with _serve(build_token_authority(complete), complete.token_authority_port) as (session, base):
        authority = Authority(session, base)
        authority.admin_key = key_file.read_text().strip()
        yield authority


@asynccontextmanager
async def run_polls_service(
    database: ClonedDatabase,
    redis_url: str | RotatableText,
    authority_url: str,
    limits: Mapping[str, float] = {},
    **settings: Any,
) -> AsyncGenerator[Polls, None]:
    """Run a polls service during the block; yield a client without a token. `limits` go to its `build_app`."""
    complete = PollsSettings(
        **{
            "polls_database_url": RotatableText(database.polls_url),
            "redis_url": RotatableText(redis_url) if isinstance(redis_url, str) else redis_url,
            "token_authority_url": authority_url,
            "introspection_client_secret": CLIENT_SECRET,
            "participant_key": PARTICIPANT_KEY,
            "database_pool_size": 4,
            **settings,
        }
    )
    async with _serve(build_polls(complete, **limits)) as (session, base):
        yield Polls(session, base)


@asynccontextmanager
async def _serve(app: web.Application, port: int = 0) -> AsyncGenerator[tuple[aiohttp.ClientSession, str], None]:
    """Serve `app` during the block; yield a session and the base URL."""
    try:
        async with listen(app, HOST, port) as listening, aiohttp.ClientSession() as session:
            yield session, f"http://{HOST}:{listening}"
    finally:
        # aiohttp keeps the middlewares of the last 1,024 routes, and so up to a hundred applications. The garbage
        # collector would stop the process for more than a second to look at them all.
        web_app._cached_build_middleware.cache_clear()
