"""Where the commands look for the two services, and as whom they ask."""

import pytest

from pollgate.client import AuthorityClient
from tests.support.command_line import CommandLine, forgetful_proxy
from tests.support.stack import Authority, Polls

pytestmark = pytest.mark.shared_services

NOBODYS_ID = "ee9107b5-5041-4c15-8c76-f14404fa1fad"


async def test_polls_is_asked_where_it_is_reached_from_here_and_named_as_it_is_from_elsewhere(
    integrator: CommandLine, polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    integrator.integrate("https://polls.example", polls.token)
    monkeypatch.setenv("POLLS_API_URL", polls.base)

    listed = await integrator("poll", "list")
    made = await integrator("token", "create", "--name", "x", "--scope", "polls:read:PLAT")

    assert (listed.status, listed.err) == (0, "")
    assert "\nIt works at https://polls.example/x1/" in made.out


async def test_what_is_wrong_with_where_polls_is_names_the_variable_that_says_it(
    integrator: CommandLine, polls: Polls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLLS_API_URL", "http://127.0.0.1:1")

    refused = await integrator("poll", "list")

    assert (refused.status, refused.err.endswith("; start it, or set POLLS_API_URL\n")) == (1, True)


async def test_a_url_with_a_path_is_told_to_be_the_services_root(
    integrator: CommandLine, polls: Polls, authority: Authority
) -> None:
    integrator.integrate(f"{polls.base}/v1/polls/", polls.token)
    integrator.manage(f"{authority.base}/v1", authority.admin_key)

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
        ("delete", NOBODYS_ID, "--yes"),
        ("withdraw", NOBODYS_ID, "--as", "ada"),
        ("results", NOBODYS_ID, "--csv"),
        ("watch", NOBODYS_ID),
    ],
)
async def test_what_is_sent_elsewhere_has_not_been_done(
    integrator: CommandLine, polls: Polls, command: tuple[str, ...]
) -> None:
    async with forgetful_proxy(polls.base) as proxy:
        proxy.turned_away = [307]
        integrator.integrate(proxy.url, polls.token)

        refused = await integrator("poll", *command)

    assert (refused.status, refused.out) == (1, "")
    assert refused.err.endswith("Set POLLS_URL to the URL of the polls service itself\n")
    assert len(proxy.asked) == 1


async def test_a_url_of_the_other_service_is_told_with_its_variable(
    integrator: CommandLine, polls: Polls, authority: Authority
) -> None:
    integrator.integrate(authority.base, polls.token)

    refused = await integrator("poll", "list")

    assert refused.status == 1
    assert refused.err.endswith(f": nothing is found at {authority.base}/v1/polls; check POLLS_URL\n")


async def test_a_secret_of_another_kind_is_never_sent(
    integrator: CommandLine, polls: Polls, authority: Authority
) -> None:
    async with forgetful_proxy(polls.base) as proxy:
        integrator.integrate(proxy.url, authority.admin_key)
        admin_key = await integrator("poll", "list")
        integrator.integrate(proxy.url, "pgs_" + "A" * 38)
        service_secret = await integrator("poll", "list")
        integrator.manage(proxy.url, polls.token)
        token = await integrator("token", "list")

    assert admin_key.err == (
        "pollgate: POLLGATE_TOKEN contains an admin key (pga_…), but an access token (pgt_…) is required; "
        "`pollgate token create` creates one\n"
    )
    assert (
        "POLLGATE_TOKEN contains a service's secret (pgs_…), but an access token (pgt_…) is required"
        in service_secret.err
    )
    assert "POLLGATE_ADMIN_KEY contains an access token (pgt_…), but an admin key (pga_…) is required" in token.err
    assert [ran.status for ran in (admin_key, service_secret, token)] == [1, 1, 1]
    assert proxy.asked == []


async def test_a_client_of_the_authority_says_that_it_works_within_its_block_alone(authority: Authority) -> None:
    client = AuthorityClient(authority.base, authority.admin_key)

    with pytest.raises(RuntimeError, match=r"`async with AuthorityClient\(…\) as client:`"):
        await client.list_sites()
