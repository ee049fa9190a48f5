"""A value that a service refuses is named by the option that sets it, in every command and for every field."""

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
import pytest
from aiohttp import web
from cyclopts import App

from pollgate.cli.main import app
from shared.runtime.process.serve import listen
from tests.support.command_line import CommandLine, forward_request
from tests.support.stack import HOST, Authority, Polls

pytestmark = pytest.mark.shared_services

TOKEN_FIELDS: Final = (
    *("--name", "x", "--scope", "polls:read:PLAT", "--scope", "ANY", "--description", "d", "--owner", "ada"),
    *("--expires-in", "30d", "--header-only", "--allowed-ip", "10.0.0.0/8", "--allowed-ip", "10.1.0.0/16"),
    *("--rate-limit", "60", "--metadata", "team=payments"),
)
SETTINGS: Final = (
    *("--multiple", "--allow-revote", "--save-names", "--allow-comment", "--hide-numbers", "--results", "afterClose"),
    *("--ends", "2030-01-31", "--close-on-end"),
)
POLL_FIELDS: Final = ("--title", "Lunch?", "--description", "d", "--option", "Yes", "--option", "no=No", *SETTINGS)
PERIOD: Final = ("--created-after", "9d", "--created-before", "1d", "--used-after", "9d")
EXPIRY: Final = ("--expires-after", "1d", "--expires-before", "9d")
COMMANDS: Final[list[tuple[str, ...]]] = [
    ("token", "create", "--site", "SITE", *TOKEN_FIELDS),
    ("token", "change", "TOKEN", *TOKEN_FIELDS),
    ("token", "disable", "TOKEN", "--reason", "x", "--no-wait"),
    ("token", "enable", "TOKEN"),
    ("token", "rotate", "TOKEN", "--overlap", "1h", "--end-on-use", "--key", "k"),
    ("token", "revoke", "TOKEN", "--reason", "other", "--text", "x"),
    ("token", "revoke", "TOKEN", "tok_x", "--reason", "other", "--text", "x", "--no-wait"),
    (
        *("token", "revoke", "--reason", "other", "--text", "x", "--owner", "ada", "--site", "SITE", "--yes"),
        *("--scope", "PLAT", "--status", "active", "--issued-before", "1d", "--unused-since", "9d", "--dry-run"),
    ),
    ("token", "revoke", "--reason", "policy", "--all", "--dry-run"),
    (
        *("token", "list", "--search", "x", "--status", "active", "--owner", "ada", "--site", "SITE"),
        *("--scope", "PLAT", *PERIOD, "--unused-since", "9d", *EXPIRY, "--descending", "--limit", "5"),
    ),
    ("token", "show", "TOKEN"),
    ("token", "review", "--unused-days", "30", "--expiring-days", "7", "--kind", "unused", "--include-kept"),
    ("token", "keep", "TOKEN", "--kind", "unused", "--days", "30"),
    ("admin", "create", "--name", "x", "--role", "issuer", "--site", "SITE", "--scope", "ANY", "--scope", "polls:*:A"),
    ("admin", "change", "adm_x", "--name", "x", "--role", "issuer", "--site", "SITE", "--scope", "ANY", "--scope", "x"),
    ("admin", "rotate", "adm_x", "--overlap", "1h"),
    ("service", "create", "reports", "--name", "x", "--site", "SITE"),
    ("service", "change", "polls", "--name", "x", "--site", "SITE", "--site", "site_x"),
    ("service", "rotate", "polls", "--overlap", "1h"),
    (
        *("audit", "list", "--actor", "adm_x", "--action", "token.issue", "--subject", "token:tok_x"),
        *("--since", "9d", "--until", "1d", "--limit", "5"),
    ),
    ("audit", "export", "--actor", "adm_x", "--action", "token.issue", "--since", "9d", "--until", "1d"),
    (
        "poll",
        "create",
        *("--workspace", "PLAT", "--content", "1", "--container", "m", "--template", "stars"),
        *POLL_FIELDS,
    ),
    ("poll", "update", "POLL", *POLL_FIELDS, "--if-match", "1", "--drop-votes"),
    ("poll", "update", "POLL", "--close", "--if-match", "1"),
    ("poll", "list", "--workspace", "PLAT", "--content", "1", "--container", "m", "--status", "open", "--expand"),
    ("poll", "list", "--updated-since", "1d", "--limit", "5"),
    ("poll", "results", "POLL", "--as", "ada"),
    ("poll", "results", "POLL", "--as", "ada", "--csv"),
    ("poll", "vote", "POLL", "3", "4", "--as", "ada", "--name", "Ada", "--comment", "x"),
    ("poll", "delete", "POLL", "--yes", "--if-match", "1"),
    (
        *("poll", "link", "POLL", "--shared", "--label", "x", "--max-participants", "5", "--max-per-address", "none"),
        *("--expires", "9d"),
    ),
    ("poll", "link", "POLL", "--participant", "ada", "--name", "Ada", "--expires", "9d"),
    ("poll", "link", "POLL", "--participants", "FILE", "--expires", "9d"),
    (
        *("poll", "links", "POLL", "--kind", "personal", "--status", "active", "--participant", "ada"),
        *("--created-by", "tok_x", "--limit", "5"),
    ),
    (
        *("poll", "links", "POLL", "--revoke-all", "--kind", "personal", "--participant", "ada"),
        *("--created-by", "tok_x", "--yes"),
    ),
    ("poll", "links", "POLL", "--revoke", "LINK"),
]
NEVER_SENT: Final[dict[tuple[str, str], str]] = {
    ("POST", "/v1/polls"): r"/settings",
    (
        "PATCH",
        "/v1/polls/{id}",
    ): r"/settings|/(id|location|status|createdAt|updatedAt|etag|results|effect|changedAfterVotes)(/.*)?",
    ("POST", "/v1/polls:batch"): r"/atomic|/items|/items/0|/items/0/(op|poll|dropVotes)(/.*)?",
}
"""Pointers that the command never sends a wrong value for: objects that it creates, and what only a file can set."""
WITHOUT_FIELDS: Final = {
    *(("admin", each) for each in ("list", "revoke", "whoami")),
    *(("service", each) for each in ("list", "show", "disable", "enable")),
    *(("keys", each) for each in ("list", "rotate")),
    *(("poll", each) for each in ("audit", "comments", "export", "show", "templates", "watch", "withdraw")),
    *(("site", "list"), ("audit", "verify"), ("token", "find"), ("token", "complete-review")),
}
"""Commands whose requests have no field or parameter that an option sets."""
COMPOUND: Final = re.compile(r"[a-z]+(?:_[a-z]+|[A-Z][a-z]+)+")


class Operation(NamedTuple):
    """An operation of a service, by its method and the template of its path."""

    method: str
    path: str
    body: Mapping[str, Any]

    def matches(self, method: str, path: str) -> bool:
        pattern = re.sub(r"\{\w+\}", "[^/]+", self.path)
        return method == self.method and re.fullmatch(pattern, path) is not None

    @property
    def pointers(self) -> list[str]:
        """The JSON pointers of all fields that a command can send."""
        never = re.compile(NEVER_SENT.get((self.method, self.path)) or "(?!)")
        return [each for each in dict.fromkeys(_list_pointers(self.body, "")) if not never.fullmatch(each)]


class RefusingProxy:
    """Forward requests, and refuse one with 422 and an error for each of its fields and parameters."""

    def __init__(self, session: aiohttp.ClientSession, url: str, operations: list[Operation]) -> None:
        self._session, self._service, self._operations = session, url, operations
        self.url = ""
        self.refused_number = 0
        self.requests = 0
        self.locations: list[str] = []

    async def forward(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.requests != self.refused_number:
            return await forward_request(self._session, self._service, request)
        operation = next(each for each in self._operations if each.matches(request.method, request.path))
        self.locations = [*operation.pointers, *(name for name in request.query if name != "limit")]
        errors = [
            {"pointer" if location[0] == "/" else "parameter": location, "detail": f"see {location.rpartition('/')[2]}"}
            for location in self.locations
        ]
        return web.json_response(
            {"type": "/docs/problems/x", "title": "Refused", "detail": "", "errors": errors}, status=422
        )


def _list_pointers(schema: Mapping[str, Any], pointer: str) -> Iterator[str]:
    if pointer:
        yield pointer
    for name in ("anyOf", "oneOf"):
        for one in schema.get(name, ()):
            yield from _list_pointers(one, pointer)
    for name, inner in schema.get("properties", {}).items():
        yield from _list_pointers(inner, f"{pointer}/{name}")
    if "items" in schema:
        yield from _list_pointers(schema["items"], f"{pointer}/0")


def _resolve_references(schema: Any, document: Any) -> Any:
    """Return a schema without references."""
    if isinstance(schema, list):
        return [_resolve_references(each, document) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _resolve_references(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    return {name: _resolve_references(each, document) for name, each in schema.items()}


def _read_operations(document: Any) -> list[Operation]:
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
            schemas = [media_type["schema"] for media_type in content.values()]
            found.append(Operation(method.upper(), path, _resolve_references(schemas[0] if schemas else {}, document)))
    return found


@asynccontextmanager
async def refuse_requests(url: str) -> AsyncGenerator[RefusingProxy, None]:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/openapi.json") as answer:
            operations = _read_operations(msgspec.json.decode(await answer.read()))
        proxy = RefusingProxy(session, url, operations)
        service = web.Application()
        service.router.add_route("*", "/{path:.*}", proxy.forward)
        async with listen(service, HOST, 0) as port:
            proxy.url = f"http://{HOST}:{port}"
            yield proxy


def names_of(words: tuple[str, ...]) -> set[str]:
    """Return the options and the arguments of a command."""
    command: App = app[words[0]][words[1]]
    arguments = command.assemble_argument_collection()
    positional = {"TOKEN_ID", "ID", "OPTION", "CLIENT_ID"}
    return {name for argument in arguments for name in argument.names} | positional


def test_every_command_is_tried() -> None:
    groups = ("token", "admin", "service", "audit", "keys", "poll", "site")
    every = {(group, name) for group in groups for name in app[group].resolved_commands() if name[0] != "-"}

    assert every - WITHOUT_FIELDS == {(words[0], words[1]) for words in COMMANDS}


async def test_every_refused_field_is_named_by_an_option_of_the_command(
    integrator: CommandLine, authority: Authority, polls: Polls, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    site = (await integrator("site", "list", "--json")).json[0]["id"]
    token, poll = (await authority.issue())["id"], await polls.create_poll(template="stars")
    link = (await polls.v1("POST", f"/polls/{poll['id']}/links", {"kind": "shared"})).json["id"]
    file = tmp_path / "team.csv"
    file.write_text("participant,name\nada,Ada\n")
    known = {"SITE": site, "TOKEN": token, "POLL": poll["id"], "LINK": link, "FILE": str(file)}
    async with refuse_requests(authority.base) as authority_proxy, refuse_requests(polls.base) as polls_proxy:
        integrator.use_authority(authority_proxy.url, authority.admin_key)
        integrator.use_polls(polls_proxy.url, polls.token)
        for words in COMMANDS:
            service = polls_proxy if words[0] == "poll" else authority_proxy
            for number in count(1):
                service.refused_number, service.requests, service.locations = number, 0, []
                ran = await integrator(*(known.get(word, word) for word in words))
                if service.requests < number:
                    break
                with subtests.test(" ".join(words), request=number):
                    assert (ran.status, ran.out) == (1, ""), ran.err
                    if not service.locations:
                        continue
                    assert not re.search(r"(?<![\w.])/[a-z]", ran.err), ran.err
                    lines = ran.err.partition("answered 422: ")[2].splitlines()
                    assert len(lines) == len(service.locations), ran.err
                    for line in lines:
                        option, _, detail = line.partition(": see ")
                        assert set(re.findall(r"--[a-z-]+|\b[A-Z]{2}[A-Z_]*\b", option)) & names_of(words), line
                        assert not COMPOUND.search(detail), line
            service.refused_number = 0
