"""`pollgate token change`, `disable`, `enable` and `rotate`."""

import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from shared.contract.token import is_well_formed
from tests.support.command_line import CommandLine, forgetful_proxy
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services

IN_FORCE = r"; in force everywhere after \d+ ms \(0 guards\)\.\n"


async def test_a_token_is_changed_in_the_fields_given_alone(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue("polls:*:PLAT", name="old", owner="ada", rate_limit=60, metadata={"a": "b"})

    changed = await pollgate(
        *("token", "change", token["id"], "--name", "new", "--owner", "", "--scope", "polls:read:PLAT"),
        *("--expires-in", "7d", "--header-only", "--allowed-ip", "10.0.0.0/8", "--rate-limit", "30"),
    )

    now = (await authority.manage("GET", f"/v1/tokens/{token['id']}")).json
    assert re.fullmatch(f"Changed {token['id']}{IN_FORCE}", changed.out)
    assert (now["name"], now["owner"], now["scopes"]) == ("new", None, ["polls:read:PLAT"])
    assert (now["allow_query"], now["allowed_ips"], now["rate_limit"]) == (False, ["10.0.0.0/8"], 30)
    assert now["metadata"] == {"a": "b"}
    assert datetime.fromisoformat(now["expires_at"]) <= datetime.now(UTC) + timedelta(days=7)


async def test_a_change_that_is_nothing_to_services_waits_for_nothing(
    pollgate: CommandLine, authority: Authority
) -> None:
    token = await authority.issue()

    changed = await pollgate("token", "change", token["id"], "--description", "for the report")

    assert changed == (0, f"Changed {token['id']}.\n", "")


async def test_a_change_without_waiting_says_by_when_it_is_in_force(
    pollgate: CommandLine, authority: Authority
) -> None:
    token = await authority.issue()

    changed = await pollgate("token", "change", token["id"], "--rate-limit", "5", "--no-wait")

    assert re.fullmatch(rf"Changed {token['id']}; in force everywhere by \S+ UTC at the latest\.\n", changed.out)


async def test_a_token_cannot_be_widened_and_is_told_why(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue("polls:read:PLAT")

    refused = await pollgate("token", "change", token["id"], "--scope", "ANY")

    assert refused.status == 1
    assert "/scopes: 'polls:*:*' is beyond the scopes of the token" in refused.err


async def test_a_change_of_nothing_is_told_so(pollgate: CommandLine) -> None:
    refused = await pollgate("token", "change", "tok_x")

    assert refused == (1, "", "pollgate: say what to change; `pollgate token change --help` lists it\n")


async def test_a_token_is_disabled_for_a_reason_and_enabled_again(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()

    disabled = await pollgate("token", "disable", token["id"], "--reason", "under investigation")
    while_disabled = await authority.introspect(token["token"])
    shown = await pollgate("token", "show", token["id"])
    enabled = await pollgate("token", "enable", token["id"], "--json")

    assert re.fullmatch(f"Disabled {token['id']}{IN_FORCE}", disabled.out)
    assert not while_disabled.json["active"]
    assert ": under investigation\n" in shown.out
    assert (enabled.json["status"], enabled.json["effect"]["effective"]) == ("active", True)
    assert (await authority.introspect(token["token"])).json["active"]


async def test_what_has_ended_cannot_be_disabled(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()
    await authority.revoke(token["id"])

    refused = await pollgate("token", "disable", token["id"])

    assert refused.status == 1
    assert "answered 409: The token is revoked or has expired" in refused.err


async def test_a_rotated_token_shows_its_new_secret_once_and_the_old_one_works_on(
    pollgate: CommandLine, authority: Authority
) -> None:
    token = await authority.issue()

    rotated = await pollgate("token", "rotate", token["id"], "--overlap", "12h", "--end-on-use")

    secret = rotated.out.partition("\n")[0]
    assert is_well_formed(secret, "pgt")
    assert re.search(r"\nThe secrets before it end at .* UTC at the latest; in force everywhere after", rotated.out)
    assert rotated.err == ""
    assert (await authority.introspect(token["token"])).json["active"]
    assert (await authority.introspect(secret)).json["active"]
    assert not (await authority.introspect(token["token"])).json["active"]


async def test_an_overlap_of_0_ends_the_secrets_before_at_once(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()

    rotated = await pollgate("token", "rotate", token["id"], "--overlap", "0")

    assert "\nThe secrets before it have ended; in force everywhere after" in rotated.out
    assert not (await authority.introspect(token["token"])).json["active"]


async def test_a_rotation_whose_answer_is_lost_is_repeated_under_the_same_key(
    pollgate: CommandLine, authority: Authority
) -> None:
    token = await authority.issue()

    async with forgetful_proxy(authority.base) as proxy:
        pollgate.manage(proxy.url, authority.admin_key)
        proxy.lost = 1
        rotated = await pollgate("token", "rotate", token["id"], "--overlap", "0", "--json")

    secrets = (await authority.manage("GET", f"/v1/tokens/{token['id']}")).json["secrets"]
    assert (await authority.introspect(rotated.json["token"])).json["active"]
    assert [secret["works"] for secret in secrets].count(True) == 1
    assert len(secrets) == 2


async def test_a_rotation_whose_answers_are_lost_is_repeated_by_the_command_that_is_printed(
    pollgate: CommandLine, authority: Authority
) -> None:
    token = await authority.issue()

    async with forgetful_proxy(authority.base) as proxy:
        pollgate.manage(proxy.url, authority.admin_key)
        proxy.lost = 2
        lost = await pollgate("token", "rotate", token["id"], "--overlap", "2h", "--end-on-use")
        command = lost.err.rstrip().splitlines()[-1].strip()
        repeated = await pollgate(*shlex.split(command)[1:])

    secrets = (await authority.manage("GET", f"/v1/tokens/{token['id']}")).json["secrets"]
    assert (lost.status, lost.out) == (1, "")
    assert "It may be rotated all the same; this asks for the new secret:\n" in lost.err
    assert command.startswith(f"pollgate token rotate {token['id']} --overlap 7200s --end-on-use --key ")
    assert (await authority.introspect(repeated.out.partition("\n")[0])).json["active"]
    assert len(secrets) == 2


async def test_a_key_that_cannot_be_sent_is_refused(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()

    refused = await pollgate("token", "rotate", token["id"], "--key", "a b\n")

    assert refused == (1, "", "pollgate: --key takes 1 to 255 printable characters without spaces\n")


async def test_a_change_whose_answer_is_lost_says_that_it_may_be_committed(
    pollgate: CommandLine, authority: Authority
) -> None:
    token = await authority.issue()

    async with forgetful_proxy(authority.base) as proxy:
        pollgate.manage(proxy.url, authority.admin_key)
        proxy.lost = 1
        lost = await pollgate("token", "disable", token["id"])

    assert lost.status == 1
    assert "does not answer (ServerDisconnectedError)" in lost.err
    assert lost.err.endswith("It may be committed all the same: ask again\n")
