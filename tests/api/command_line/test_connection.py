"""The URLs and credentials that commands use."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pollgate.cli import authority_session
from pollgate.client import AuthorityClient
from tests.support.command_line import CommandLine, run_lossy_proxy
from tests.support.stack import HOST, Authority, Polls

pytestmark = pytest.mark.shared_services

UNKNOWN_ID = "ee9107b5-5041-4c15-8c76-f14404fa1fad"


async def test_polls_api_url_is_used_for_requests_and_polls_url_is_printed(
    integrator: CommandLine, polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    integrator.use_polls("https://polls.example", polls.token)
    monkeypatch.setenv("POLLS_API_URL", polls.base)

    listed = await integrator("poll", "list")
    made = await integrator("token", "create", "--name", "x", "--scope", "polls:read:PLAT")

    assert (listed.status, listed.err) == (0, "")
    assert "\nIt works at https://polls.example/x1/" in made.out


async def test_unreachable_polls_api_url_is_named_and_exits_1(
    integrator: CommandLine, polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLLS_API_URL", "http://127.0.0.1:1")

    refused = await integrator("poll", "list")

    assert (refused.status, refused.err.endswith("; start it, or set POLLS_API_URL\n")) == (1, True)


async def test_url_with_a_path_exits_1_with_the_root_as_advice(
    integrator: CommandLine, polls: Polls, authority: Authority
) -> None:
    integrator.use_polls(f"{polls.base}/v1/polls/", polls.token)
    integrator.use_authority(f"{authority.base}/v1", authority.admin_key)

    of_polls = await integrator("poll", "list", "--status", "open")
    of_authority = await integrator("token", "list")

    assert of_polls.err == (
        f"pollgate: the polls service answered 404: nothing is found at {polls.base}/v1/polls/v1/polls; "
        "check POLLS_URL, which is the root of the polls service, without a path, such as http://127.0.0.1:8080\n"
    )
    assert "nothing is found at" in of_authority.err
    assert "check TOKEN_AUTHORITY_URL, which is the root of the token authority" in of_authority.err
    assert (of_polls.status, of_authority.status) == (1, 1)


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("delete", UNKNOWN_ID, "--yes"),
        ("withdraw", UNKNOWN_ID, "--as", "ada"),
        ("results", UNKNOWN_ID, "--csv"),
        ("watch", UNKNOWN_ID),
    ],
)
async def test_redirect_is_not_followed_and_exits_1(
    integrator: CommandLine, polls: Polls, command: tuple[str, ...]
) -> None:
    async with run_lossy_proxy(polls.base) as proxy:
        proxy.refusals = [307]
        integrator.use_polls(proxy.url, polls.token)

        refused = await integrator("poll", *command)

    assert (refused.status, refused.out) == (1, "")
    assert refused.err.endswith("Set POLLS_URL to the URL of the polls service itself\n")
    assert len(proxy.requests) == 1


async def test_url_of_the_other_service_exits_1(integrator: CommandLine, polls: Polls, authority: Authority) -> None:
    integrator.use_polls(authority.base, polls.token)

    refused = await integrator("poll", "list")

    assert refused.status == 1
    assert refused.err.endswith(f": nothing is found at {authority.base}/v1/polls; check POLLS_URL\n")


async def test_secret_of_another_kind_is_not_sent_and_exits_1(
    integrator: CommandLine, polls: Polls, authority: Authority
) -> None:
    async with run_lossy_proxy(polls.base) as proxy:
        integrator.use_polls(proxy.url, authority.admin_key)
        admin_key = await integrator("poll", "list")
        integrator.use_polls(proxy.url, "pgs_" + "A" * 38)
        service_secret = await integrator("poll", "list")
        integrator.use_authority(proxy.url, polls.token)
        token = await integrator("token", "list")

    assert admin_key.err == (
        "pollgate: POLLGATE_TOKEN contains an admin key (pga_…), but an access token (pgt_…) is required; "
        "`pollgate token create` creates one\n"
    )
    assert (
        "POLLGATE_TOKEN contains a client secret (pgs_…), but an access token (pgt_…) is required" in service_secret.err
    )
    assert "POLLGATE_ADMIN_KEY contains an access token (pgt_…), but an admin key (pga_…) is required" in token.err
    assert [ran.status for ran in (admin_key, service_secret, token)] == [1, 1, 1]
    assert proxy.requests == []


async def test_authority_client_outside_block_raises_runtime_error(authority: Authority) -> None:
    client = AuthorityClient(authority.base, authority.admin_key)

    with pytest.raises(RuntimeError, match=r"`async with AuthorityClient\(…\) as client:`"):
        await client.list_sites()


def serve_bytes(answer: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a server that sends these bytes to each client."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        await writer.drain()
        writer.close()

    return respond


HTML = b"HTTP/1.1 %d X\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>"
SERVERS = [
    ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "the server speaks HTTP, not HTTPS: use http://127.0.0.1:"),
    (
        "http",
        b"\x15\x03\x03\x00\x02\x02\x46",
        "the server does not speak HTTP, but perhaps HTTPS: use https://127.0.0.1:",
    ),
    ("http", b"", "the server closed the connection"),
    ("http", HTML % 502, "answered 502, but not as a token authority does; perhaps a proxy did."),
    ("http", HTML % 403, "answered 403, but not as a token authority does; perhaps a proxy did."),
    ("http", HTML % 200, "is not a token authority of this release; check TOKEN_AUTHORITY_URL"),
]


async def test_response_of_another_server_exits_1_and_names_setting(
    pollgate: CommandLine, authority: Authority, subtests: pytest.Subtests
) -> None:
    for scheme, answer, sentence in SERVERS:
        server = await asyncio.start_server(serve_bytes(answer), HOST, 0)
        url = f"{scheme}://{HOST}:{server.sockets[0].getsockname()[1]}"
        pollgate.use_authority(url, authority.admin_key)
        async with server:
            refused = await pollgate("admin", "whoami")
        with subtests.test(sentence):
            assert (refused.status, refused.out) == (1, "")
            assert sentence in refused.err
            assert f"{url} (from TOKEN_AUTHORITY_URL)" in refused.err
            assert len(refused.err.splitlines()) == 1


async def test_address_that_does_not_answer_is_named_with_its_setting_and_exits_1(
    pollgate: CommandLine, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    pollgate.use_authority("http://no-such-host.invalid", authority.admin_key)
    unknown = await pollgate("admin", "whoami")
    pollgate.use_authority("http://127.0.0.1:1", authority.admin_key)
    closed = await pollgate("admin", "whoami")
    monkeypatch.delenv("TOKEN_AUTHORITY_URL")
    monkeypatch.setattr(
        authority_session, "AUTHORITY", authority_session.AUTHORITY._replace(example="http://127.0.0.1:2")
    )
    default = await pollgate("admin", "whoami")

    assert unknown.err == (
        "pollgate: the token authority at http://no-such-host.invalid (from TOKEN_AUTHORITY_URL) does not answer: "
        "the name of the host is unknown; check TOKEN_AUTHORITY_URL\n"
    )
    assert closed.err == (
        "pollgate: the token authority at http://127.0.0.1:1 (from TOKEN_AUTHORITY_URL) does not answer: "
        "the connection was refused; start it, or set TOKEN_AUTHORITY_URL\n"
    )
    assert "at http://127.0.0.1:2 (the default) does not answer: the connection was refused; start it" in default.err
    assert [ran.status for ran in (unknown, closed, default)] == [1, 1, 1]
