"""`pollgate token change`, `disable`, `enable` and `rotate`."""

import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from shared.contract.token import is_well_formed
from tests.support.command_line import CommandLine, run_lossy_proxy
from tests.support.databases import ClonedDatabase
from tests.support.stack import Authority
from tests.support.token_fixtures import expire_token

pytestmark = pytest.mark.shared_services

EFFECTIVE = r"; effective everywhere after \d+ ms \(0 guards\)\.\n"


async def test_token_change_leaves_other_fields_unchanged(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue("polls:*:PLAT", name="old", owner="ada", rate_limit=60, metadata={"a": "b"})

    changed = await pollgate(
        *("token", "change", token["id"], "--name", "new", "--owner", "", "--scope", "polls:read:PLAT"),
        *("--expires-in", "7d", "--header-only", "--allowed-ip", "10.0.0.0/8", "--rate-limit", "30"),
    )

    now = (await authority.manage("GET", f"/v1/tokens/{token['id']}")).json
    assert re.fullmatch(f"Changed {token['id']}; it expires [-0-9: ]+ UTC{EFFECTIVE}", changed.out)
    assert (now["name"], now["owner"], now["scopes"]) == ("new", None, ["polls:read:PLAT"])
    assert (now["allow_query"], now["allowed_ips"], now["rate_limit"]) == (False, ["10.0.0.0/8"], 30)
    assert now["metadata"] == {"a": "b"}
    assert datetime.fromisoformat(now["expires_at"]) <= datetime.now(UTC) + timedelta(days=7)


async def test_token_change_of_description_does_not_wait(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()

    changed = await pollgate("token", "change", token["id"], "--description", "for the report")

    assert changed == (0, f"Changed {token['id']}.\n", "")


async def test_token_change_no_wait_prints_effective_by(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()

    changed = await pollgate("token", "change", token["id"], "--rate-limit", "5", "--no-wait")

    assert re.fullmatch(rf"Changed {token['id']}; effective everywhere by \S+ UTC at the latest\.\n", changed.out)


async def test_token_change_to_wider_scope_exits_1(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue("polls:read:PLAT")

    refused = await pollgate("token", "change", token["id"], "--scope", "ANY")

    assert refused.status == 1
    assert "--scope: 'polls:*:*' is beyond the scopes of the token" in refused.err


async def test_token_change_without_options_exits_2(pollgate: CommandLine) -> None:
    refused = await pollgate("token", "change", "tok_x")

    assert refused == (2, "", "pollgate: nothing to change; see `pollgate token change --help`\n")


async def test_token_disable_and_enable(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()

    disabled = await pollgate("token", "disable", token["id"], "--reason", "under investigation")
    while_disabled = await authority.introspect(token["token"])
    shown = await pollgate("token", "show", token["id"])
    enabled = await pollgate("token", "enable", token["id"], "--json")

    assert re.fullmatch(f"Disabled {token['id']}{EFFECTIVE}", disabled.out)
    assert not while_disabled.json["active"]
    assert ": under investigation\n" in shown.out
    assert (enabled.json["status"], enabled.json["effect"]["effective"]) == ("active", True)
    assert (await authority.introspect(token["token"])).json["active"]


async def test_token_disable_of_revoked_token_exits_1(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()
    await authority.revoke(token["id"])

    refused = await pollgate("token", "disable", token["id"])

    assert refused.status == 1
    assert "answered 409: The token is revoked, permanently" in refused.err


async def test_token_rotate_prints_new_secret_and_keeps_the_old_one(
    pollgate: CommandLine, authority: Authority
) -> None:
    token = await authority.issue()

    rotated = await pollgate("token", "rotate", token["id"], "--overlap", "12h", "--end-on-use")

    secret = rotated.out.partition("\n")[0]
    assert is_well_formed(secret, "pgt")
    assert re.search(
        r"\nEarlier secrets end with the first use of this one, and at .* at the latest; effective everywhere after",
        rotated.out,
    )
    assert rotated.err == ""
    assert (await authority.introspect(token["token"])).json["active"]
    assert (await authority.introspect(secret)).json["active"]
    assert not (await authority.introspect(token["token"])).json["active"]


async def test_token_rotate_with_overlap_0_ends_earlier_secrets(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()

    rotated = await pollgate("token", "rotate", token["id"], "--overlap", "0")

    assert "\nEarlier secrets have ended; effective everywhere after" in rotated.out
    assert not (await authority.introspect(token["token"])).json["active"]


async def test_token_rotate_with_lost_response_repeats_with_the_same_key(
    pollgate: CommandLine, authority: Authority
) -> None:
    token = await authority.issue()

    async with run_lossy_proxy(authority.base) as proxy:
        pollgate.use_authority(proxy.url, authority.admin_key)
        proxy.lost = 1
        rotated = await pollgate("token", "rotate", token["id"], "--overlap", "0", "--json")

    secrets = (await authority.manage("GET", f"/v1/tokens/{token['id']}")).json["secrets"]
    assert (await authority.introspect(rotated.json["token"])).json["active"]
    assert [secret["works"] for secret in secrets].count(True) == 1
    assert len(secrets) == 2


async def test_token_rotate_with_two_lost_responses_prints_command_and_exits_1(
    pollgate: CommandLine, authority: Authority
) -> None:
    token = await authority.issue()

    async with run_lossy_proxy(authority.base) as proxy:
        pollgate.use_authority(proxy.url, authority.admin_key)
        proxy.lost = 2
        lost = await pollgate("token", "rotate", token["id"], "--overlap", "2h", "--end-on-use")
        command = lost.err.rstrip().splitlines()[-1].strip()
        repeated = await pollgate(*shlex.split(command)[1:])

    secrets = (await authority.manage("GET", f"/v1/tokens/{token['id']}")).json["secrets"]
    assert (lost.status, lost.out) == (1, "")
    assert "The token may have been rotated; this command returns its new secret:\n" in lost.err
    assert command.startswith(f"pollgate token rotate {token['id']} --overlap 7200s --end-on-use --key ")
    assert (await authority.introspect(repeated.out.partition("\n")[0])).json["active"]
    assert len(secrets) == 2


async def test_token_rotate_with_invalid_key_exits_2(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()

    refused = await pollgate("token", "rotate", token["id"], "--key", "a b\n")

    assert refused == (2, "", "pollgate: --key: 1 to 255 printable ASCII characters without spaces are allowed\n")


async def test_token_disable_with_lost_response_exits_1(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()

    async with run_lossy_proxy(authority.base) as proxy:
        pollgate.use_authority(proxy.url, authority.admin_key)
        proxy.lost = 1
        lost = await pollgate("token", "disable", token["id"])

    assert lost.status == 1
    assert "does not answer: the server closed the connection" in lost.err
    assert lost.err.endswith("The change may have been made; repeat the command to be sure\n")


async def test_token_rotate_with_expiry_renews_expired_token(
    pollgate: CommandLine, authority: Authority, database: ClonedDatabase
) -> None:
    token = await authority.issue()
    await expire_token(database, token["id"])

    refused = await pollgate("token", "rotate", token["id"])
    invalid = await pollgate("token", "rotate", token["id"], "--expires-in", "0s")
    renewed = await pollgate("token", "rotate", token["id"], "--expires-in", "P90D")

    assert (refused.status, "has expired" in refused.err) == (1, True)
    assert (invalid.status, "--expires-in: must be 1 or more seconds" in invalid.err) == (1, True)
    assert renewed.status == 0
    assert renewed.out.count("\nThe token expires ") == 1


async def test_token_rotate_self_reads_token_from_environment_or_standard_input(
    pollgate: CommandLine, authority: Authority, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    monkeypatch.delenv("POLLGATE_TOKEN", raising=False)
    monkeypatch.delenv("POLLGATE_TOKEN_FILE", raising=False)
    monkeypatch.setenv("POLLGATE_ADMIN_KEY", "")
    for source in ("environment", "standard input"):
        with subtests.test(source=source):
            token = await authority.issue(self_rotation=True)
            if source == "environment":
                monkeypatch.setenv("POLLGATE_TOKEN", token["token"])

            stdin = "" if source == "environment" else f"{token['token']}\n"
            rotated = await pollgate("token", "rotate", "--self", "--overlap", "1h", stdin=stdin)

            monkeypatch.delenv("POLLGATE_TOKEN", raising=False)
            assert rotated.status == 0
            assert f"Store this secret of {token['id']} now" in rotated.out
            assert (await authority.introspect(rotated.out.partition("\n")[0])).json["active"]


async def test_token_rotate_self_without_self_rotation_exits_1(
    pollgate: CommandLine, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLLGATE_TOKEN", (await authority.issue())["token"])

    refused = await pollgate("token", "rotate", "--self")
    with_id = await pollgate("token", "rotate", "tok_x", "--self")
    without = await pollgate("token", "rotate")

    assert (refused.status, "Ask an administrator" in refused.err) == (1, True)
    assert (with_id.status, without.status) == (2, 2)


async def test_token_change_allows_self_rotation(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue()

    await pollgate("token", "change", token["id"], "--self-rotation")
    allowed = (await authority.manage("GET", f"/v1/tokens/{token['id']}")).json["self_rotation"]
    await pollgate("token", "change", token["id"], "--no-self-rotation")

    assert allowed is True
    assert (await authority.manage("GET", f"/v1/tokens/{token['id']}")).json["self_rotation"] is False


async def test_creation_with_lost_response_creates_once(
    pollgate: CommandLine, authority: Authority, subtests: pytest.Subtests
) -> None:
    commands = {
        "tokens": ("token", "create", "--name", "once", "--scope", "polls:read:PLAT"),
        "admin-keys": ("admin", "create", "--name", "once", "--role", "auditor"),
        "services": ("service", "create", "once"),
    }
    async with run_lossy_proxy(authority.base) as proxy:
        pollgate.use_authority(proxy.url, authority.admin_key)
        for kind, command in commands.items():
            for lost in (1, 2):
                with subtests.test(kind=kind, lost=lost):
                    key = ("--key", f"{kind}-{lost}")
                    before = len((await authority.manage("GET", f"/v1/{kind}")).json["items"])
                    words = command if kind != "services" else (*command[:2], f"once{lost}")
                    proxy.lost = lost
                    created = await pollgate(*words, *key)
                    if lost == 2:
                        assert (created.status, f"--key {key[1]}" in created.err) == (1, True)
                        created = await pollgate(*words, *key)

                    after = len((await authority.manage("GET", f"/v1/{kind}")).json["items"])
                    assert (created.status, after - before) == (0, 1)
