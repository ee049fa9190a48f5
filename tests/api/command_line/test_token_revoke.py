"""`pollgate token revoke`."""

import re

import pytest

from tests.support.command_line import CommandLine
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

BECAUSE = ("--reason", "unneeded")
EFFECTIVE = r"at .* UTC; effective everywhere after \d+ ms \(0 guards\)\.\n"


async def active_owners(pollgate: CommandLine) -> list[str]:
    """Return the owners of active tokens."""
    listed = await pollgate("token", "list", "--status", "active", "--sort", "owner", "--json")
    return [token["owner"] for token in listed.json]


@pytest.fixture
async def of_owners(authority: Authority) -> list[str]:
    """Issue tokens of ada, bot, bot and cleo. Return their ids."""
    return [(await authority.issue("polls:read:PLAT", owner=owner))["id"] for owner in ("ada", "bot", "bot", "cleo")]


async def test_token_revoke_by_id_with_reason(pollgate: CommandLine, of_owners: list[str]) -> None:
    revoked = await pollgate("token", "revoke", of_owners[0], "--reason", "other", "--text", "the project is over")

    shown = await pollgate("token", "show", of_owners[0])
    assert re.fullmatch(f"Revoked {of_owners[0]} {EFFECTIVE}", revoked.out)
    assert ": other: the project is over\n" in shown.out
    assert await active_owners(pollgate) == ["bot", "bot", "cleo"]


async def test_token_revoke_without_reason_exits_2(pollgate: CommandLine, of_owners: list[str]) -> None:
    refused = await pollgate("token", "revoke", of_owners[0])

    assert (refused.status, refused.out) == (2, "")
    assert "--reason" in refused.err
    assert len(refused.err.splitlines()) == 1


async def test_token_revoke_by_conditions_can_be_repeated(pollgate: CommandLine, of_owners: list[str]) -> None:
    revoked = await pollgate("token", "revoke", "--owner", "bot", "--status", "active", "--unused-for", "0s", *BECAUSE)
    again = await pollgate("token", "revoke", "--owner", "bot", "--scope", "PLAT", "--issued-before", "0s", *BECAUSE)

    assert re.fullmatch(f"Revoked 2 tokens {EFFECTIVE}", revoked.out)
    assert re.fullmatch(f"Nothing to revoke: 2 tokens already revoked, the last {EFFECTIVE}", again.out)
    assert await active_owners(pollgate) == ["ada", "cleo"]


async def test_token_revoke_dry_run_changes_nothing(pollgate: CommandLine, of_owners: list[str]) -> None:
    await pollgate("token", "revoke", of_owners[1], *BECAUSE)

    foreseen = await pollgate("token", "revoke", "--scope", "PLAT", "--dry-run", *BECAUSE)
    every = await pollgate("token", "revoke", "--all", "--dry-run", "--json", *BECAUSE)

    assert foreseen.out == "This would revoke 3 tokens (1 already revoked). Nothing was changed.\n"
    assert (every.json["revoked"], every.json["revocation"]) == (3, None)
    assert await active_owners(pollgate) == ["ada", "bot", "cleo"]


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
async def test_token_revoke_without_matching_tokens_exits_1(
    pollgate: CommandLine, of_owners: list[str], options: tuple[str, ...]
) -> None:
    none = await pollgate("token", "revoke", "--owner", "eve", *BECAUSE, *options)

    assert none.status == 1
    assert none.err == "pollgate: no token that this admin key sees meets these conditions; none was revoked\n"
    assert len(await active_owners(pollgate)) == 4


async def test_token_revoke_with_unknown_id_revokes_the_others_and_exits_1(
    pollgate: CommandLine, of_owners: list[str]
) -> None:
    revoked = await pollgate("token", "revoke", of_owners[0], "tok_AAAAAAAAAAAAAAAA", *BECAUSE)

    assert revoked.status == 1
    assert revoked.out.startswith("Revoked 1 token at ")
    assert "unknown ids, or ids of tokens that do not meet the conditions: tok_AAAAAAAAAAAAAAAA" in revoked.err
    assert await active_owners(pollgate) == ["bot", "bot", "cleo"]


async def test_token_revoke_by_conditions_asks_at_a_terminal(pollgate: CommandLine, of_owners: list[str]) -> None:
    revoke = ("token", "revoke", "--owner", "bot", *BECAUSE)

    declined = await pollgate(*revoke, stdin="\n", terminal=True)
    left = await active_owners(pollgate)
    agreed = await pollgate(*revoke, stdin="y\n", terminal=True)

    question = "This revokes 2 tokens permanently. Continue? [y/N] "
    assert declined == (1, "", f"{question}pollgate: nothing was revoked\n")
    assert len(left) == 4
    assert (agreed.status, agreed.err) == (0, question)
    assert await active_owners(pollgate) == ["ada", "cleo"]


@pytest.mark.parametrize("options", [("--owner", "ada"), ("--owner", "bot", "--yes")])
async def test_token_revoke_of_one_token_or_with_yes_does_not_ask(
    pollgate: CommandLine, of_owners: list[str], options: tuple[str, ...]
) -> None:
    revoked = await pollgate("token", "revoke", *options, *BECAUSE, terminal=True)

    assert (revoked.status, revoked.err) == (0, "")
    assert len(await active_owners(pollgate)) < len(of_owners)


async def test_token_revoke_all_without_terminal_requires_yes(pollgate: CommandLine, of_owners: list[str]) -> None:
    unsure = await pollgate("token", "revoke", "--all", *BECAUSE)
    left = await active_owners(pollgate)
    sure = await pollgate("token", "revoke", "--all", "--yes", *BECAUSE, "--json")

    assert (unsure.status, "--all requires --yes without a terminal" in unsure.err) == (2, True)
    assert len(left) == len(of_owners)
    assert (sure.json["revoked"], sure.json["revocation"]["effective"]) == (4, True)
    assert await active_owners(pollgate) == []


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ((), 2, "give ids of tokens, or a condition"),
        (("--all", "--owner", "ada"), 2, "--all cannot be combined with ids or conditions"),
        (("--unused-since", "1d", "--unused-for", "1d"), 2, "give either --unused-since or --unused-for"),
        (("pgt_" + "A" * 38,), 2, "an access token cannot be an argument"),
        (("tok_x", "--reason", "other"), 1, "--text: "),
    ],
)
async def test_token_revoke_with_invalid_arguments_exits_1_or_2(
    pollgate: CommandLine, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    refused = await pollgate("token", "revoke", *(() if "--reason" in arguments else BECAUSE), *arguments)

    assert (refused.status, refused.out) == (status, "")
    assert sentence in refused.err
    assert "pgt_" not in refused.err
