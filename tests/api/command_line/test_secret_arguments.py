"""A secret in the arguments is refused; `-` reads it from a prompt or standard input."""

import pytest

from shared.contract.token import Prefix, mint
from tests.support.command_line import CommandLine
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

Refusal = tuple[Prefix, str, str]
"""The prefix of a secret, and two parts of the error if it is an argument."""
ADMIN_KEY: Refusal = ("pga", "an admin key cannot be an argument", "`pollgate admin rotate` replaces it")
CLIENT_SECRET: Refusal = ("pgs", "a client secret cannot be an argument", "`pollgate service rotate` replaces it")
LINK: Refusal = ("pgl", "a voting link cannot be an argument", "`pollgate poll links --revoke` revokes it")
TOKEN: Refusal = ("pgt", "an access token cannot be an argument", "`pollgate token revoke -`")
ARGUMENTS: list[tuple[tuple[str, ...], Refusal]] = [
    (("token", "show"), TOKEN),
    (("token", "revoke", "--reason", "leaked"), TOKEN),
    (("token", "change", "tok_x", "--name"), TOKEN),
    (("token", "list", "--search"), TOKEN),
    (("admin", "revoke"), TOKEN),
    (("service", "show"), TOKEN),
    (("audit", "list", "--actor"), TOKEN),
    (("poll", "show"), ("pgt", "an access token cannot be an argument", "set POLLGATE_TOKEN, or POLLGATE_TOKEN_FILE")),
    (("admin", "revoke"), ADMIN_KEY),
    (("token", "show"), ADMIN_KEY),
    (("service", "rotate"), CLIENT_SECRET),
    (("poll", "links", "x", "--revoke"), LINK),
]


async def test_secret_as_argument_exits_2_and_is_not_repeated(
    integrator: CommandLine, authority: Authority, subtests: pytest.Subtests
) -> None:
    issued = await authority.issue()
    for words, (prefix, refusal, advice) in ARGUMENTS:
        secret = issued["token"] if prefix == "pgt" else mint(prefix)
        with subtests.test(" ".join(words), kind=refusal):
            for argument in (secret, f"x{secret}"):
                refused = await integrator(*words, argument)

                assert (refused.status, refused.out) == (2, "")
                assert f"pollgate: {refusal}, which the shell's history and the process list show: " in refused.err
                assert advice in refused.err
                assert secret not in refused.err
    assert (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json["status"] == "active"


@pytest.mark.parametrize("form", ["{}", "{}\n", "  {}\r\n"])
async def test_token_show_and_revoke_read_secret_from_standard_input(
    pollgate: CommandLine, authority: Authority, form: str
) -> None:
    issued = await authority.issue(name="found")
    stdin = form.format(issued["token"])

    shown = await pollgate("token", "show", "-", stdin=stdin)
    revoked = await pollgate("token", "revoke", "-", "--reason", "leaked", stdin=stdin)

    assert f"Id             {issued['id']}" in shown.out
    assert revoked.out.startswith(f"Revoked {issued['id']} at ")
    assert issued["token"] not in shown.out + shown.err + revoked.out + revoked.err
    after = (await authority.manage("GET", f"/v1/tokens/{issued['id']}")).json
    assert (after["status"], after["revoked_reason"]) == ("revoked", "leaked")


async def test_token_revoke_of_unknown_secret_exits_1(pollgate: CommandLine, subtests: pytest.Subtests) -> None:
    for stdin, reason in (
        ("", "no access token: enter it at the prompt, or pass it on standard input"),
        (mint("pgt"), "has this secret"),
        ("pgt_mistyped", "mistyped or cut off"),
    ):
        with subtests.test(reason):
            refused = await pollgate("token", "revoke", "-", "--reason", "leaked", stdin=stdin)

            assert (refused.status, refused.out) == (1, "")
            assert reason in refused.err


@pytest.mark.parametrize(
    "words", [("show",), ("revoke", "--reason", "leaked"), ("revoke", "tok_x", "--reason", "leaked")]
)
async def test_unknown_option_in_place_of_an_id_exits_2(pollgate: CommandLine, words: tuple[str, ...]) -> None:
    refused = await pollgate("token", *words, "--colour")

    assert (refused.status, refused.out) == (2, "")
    assert refused.err == "pollgate: Unknown option: --colour. See --help.\n"
