"""`pollgate token find`."""

import pytest

from shared.contract.token import mint
from tests.support.command_line import CommandLine
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services


async def test_token_find_reads_secret_from_standard_input(pollgate: CommandLine, authority: Authority) -> None:
    issued = await authority.issue(name="Weekly report")

    found = await pollgate("token", "find", stdin=f"{issued['token']}\n")
    as_json = await pollgate("token", "find", "--json", stdin=issued["token"])

    assert (found.status, found.err) == (0, "")
    assert issued["id"] in found.out
    assert "Weekly report" in found.out
    assert issued["token"] not in found.out
    assert (as_json.json["id"], as_json.json["secret"]["works"]) == (issued["id"], True)


async def test_token_find_says_why_secret_does_not_work(pollgate: CommandLine, authority: Authority) -> None:
    rotated, revoked = await authority.issue(), await authority.issue()
    await authority.manage("POST", f"/v1/tokens/{rotated['id']}/rotate", {"overlap_s": 0})
    await authority.revoke(revoked["id"])

    assert "no: another secret has replaced it" in (await pollgate("token", "find", stdin=rotated["token"])).out
    assert "no: the token is revoked" in (await pollgate("token", "find", stdin=revoked["token"])).out


async def test_token_find_without_matching_token_exits_1(pollgate: CommandLine, subtests: pytest.Subtests) -> None:
    for stdin, reason in (
        ("", "no access token: enter it at the prompt, or pass it on standard input"),
        (mint("pgt"), "has this secret"),
        ("pgt_mistyped", "mistyped or cut off"),
    ):
        with subtests.test(reason):
            found = await pollgate("token", "find", stdin=stdin)

            assert (found.status, found.out) == (1, "")
            assert reason in found.err
