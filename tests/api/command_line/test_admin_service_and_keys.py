"""`pollgate admin`, `pollgate service` and `pollgate keys`."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shared.contract.token import is_well_formed
from tests.support.command_line import CommandLine
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services


def find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found.group()


async def test_admin_create_with_scope_limits_tokens_of_new_key(pollgate: CommandLine, authority: Authority) -> None:
    made = await pollgate("admin", "create", "--name", "payments", "--role", "issuer", "--scope", "polls:*:PAY")

    secret = find(r"pga_\w{38}", made.out)
    pollgate.use_authority(authority.base, secret)
    whoami = await pollgate("admin", "whoami")
    within = await pollgate("token", "create", "--name", "x", "--scope", "polls:read:PAY/PAY-1")
    beyond = await pollgate("token", "create", "--name", "x", "--scope", "ANY")
    assert is_well_formed(secret, "pga")
    assert "payments" in whoami.out
    assert secret not in whoami.out
    assert (within.status, beyond.status) == (0, 1)
    assert "answered 403: The scope 'polls:*:*' is beyond your limits" in beyond.err


async def test_site_list_prints_ids_and_endpoints(pollgate: CommandLine, authority: Authority) -> None:
    listed, as_json = await pollgate("site", "list"), await pollgate("site", "list", "--json")

    (site,) = as_json.json
    assert site["endpoint_id"] == await authority.get_endpoint()
    assert f"My site  {site['id']}  {site['endpoint_id']}" in listed.out


async def test_admin_list_rotate_and_revoke_a_key(pollgate: CommandLine, authority: Authority) -> None:
    site = (await pollgate("token", "create", "--name", "x", "--scope", "ANY", "--json")).json["site"]
    made = await pollgate("admin", "create", "--name", "auditor", "--role", "auditor", "--site", site, "--json")

    rotated = await pollgate("admin", "rotate", made.json["id"], "--overlap", "0", "--json")
    revoked = await pollgate("admin", "revoke", made.json["id"])
    listed = await pollgate("admin", "list", "--json")

    key = next(key for key in listed.json if key["id"] == made.json["id"])
    assert (key["name"], key["role"], key["sites"]) == ("auditor", "auditor", [site])
    assert key["hint"] == f"pga_…{rotated.json['key'][-4:]}"
    assert key["revoked_at"]
    assert revoked.out == f"Revoked {made.json['id']}; it no longer works.\n"
    pollgate.use_authority(authority.base, rotated.json["key"])
    refused = await pollgate("admin", "whoami")
    assert (refused.status, "answered 401: Unknown admin key." in refused.err) == (1, True)


async def test_admin_change_narrows_a_key_and_leaves_other_fields_unchanged(pollgate: CommandLine) -> None:
    made = await pollgate("admin", "create", "--name", "pay", "--role", "issuer", "--scope", "polls:*:PAY", "--json")
    key_id = made.json["id"]

    changed = await pollgate("admin", "change", key_id, "--role", "auditor", "--scope", "polls:read:PAY")
    renamed = await pollgate("admin", "change", key_id, "--name", "Payments", "--json")
    widened = await pollgate("admin", "change", key_id, "--scope", "polls:read:PAY", "--scope", "ANY")
    unchanged = await pollgate("admin", "change", key_id)

    fields = (renamed.json["name"], renamed.json["role"], renamed.json["scopes"])
    assert (changed.status, "polls:read:PAY" in changed.out) == (0, True)
    assert fields == ("Payments", "auditor", ["polls:read:PAY"])
    assert (widened.status, widened.out) == (1, "")
    assert "--scope: 'polls:*:*' is beyond the scopes of the admin key" in widened.err
    assert (unchanged.status, unchanged.out) == (2, "")
    assert "nothing to change; see `pollgate admin change --help`" in unchanged.err


async def test_admin_revoke_of_last_admin_exits_1(pollgate: CommandLine) -> None:
    own = (await pollgate("admin", "whoami", "--json")).json

    refused = await pollgate("admin", "revoke", own["id"])

    assert (refused.status, refused.out) == (1, "")
    assert "answered 409: This is the last admin key in the role admin" in refused.err


async def test_admin_create_issuer_without_limits_exits_1(pollgate: CommandLine) -> None:
    refused = await pollgate("admin", "create", "--name", "x", "--role", "issuer")

    assert refused.status == 1
    assert "--scope: an issuer needs limits" in refused.err


async def test_service_create_rotate_disable_and_enable(pollgate: CommandLine, authority: Authority) -> None:
    token = (await authority.issue())["token"]

    made = await pollgate("service", "create", "reports", "--name", "Nightly reports")
    first = find(r"pgs_\w{38}", made.out)
    rotated = await pollgate("service", "rotate", "reports", "--overlap", "1h", "--json")
    while_both_work = [
        (await authority.introspect(token, "reports", secret)).status for secret in (first, rotated.json["secret"])
    ]
    disabled = await pollgate("service", "disable", "reports")
    while_disabled = await authority.introspect(token, "reports", first)
    enabled = await pollgate("service", "enable", "reports", "--json")

    shown = await pollgate("service", "show", "reports")
    assert while_both_work == [200, 200]
    assert disabled.out == "Disabled reports; it may neither introspect nor sync.\n"
    assert while_disabled.status == 401
    assert enabled.json["disabled_at"] is None
    assert re.search(r"^Name +Nightly reports$", shown.out, re.MULTILINE)
    assert re.search(rf"pgs_…{first[-4:]} +until ", shown.out)
    assert first not in shown.out


async def test_service_change_leaves_other_fields_unchanged(pollgate: CommandLine, tmp_path: Path) -> None:
    site = (await pollgate("token", "create", "--name", "x", "--scope", "ANY", "--json")).json["site"]
    key = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    file = tmp_path / "key.pem"
    file.write_bytes(key)
    await pollgate("service", "create", "gateway", "--public-key-file", str(file), "--site", site)

    renamed = await pollgate("service", "change", "gateway", "--name", "The gateway", "--json")
    widened = await pollgate("service", "change", "gateway", "--all-sites", "--no-public-key", "--json")
    limited = await pollgate("service", "change", "gateway", "--site", site, "--public-key-file", str(file), "--json")

    listed = (await pollgate("service", "list", "--json")).json
    assert (renamed.json["name"], renamed.json["sites"]) == ("The gateway", [site])
    assert renamed.json["public_key"] == key.decode().strip()
    assert (widened.json["sites"], widened.json["public_key"]) == (None, None)
    assert (limited.json["sites"], limited.json["public_key"]) == ([site], key.decode().strip())
    assert [service["client_id"] for service in listed] == ["gateway", "polls"]


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("create", "polls"), 1, "answered 409: A service with this client id already exists."),
        (("create", "a/b"), 1, "CLIENT_ID: must be 1 to 64 characters of A-Z a-z 0-9 . _ -"),
        (("show", "unknown"), 1, "answered 404: Unknown client id."),
        (("show", "a/../../sites"), 1, "answered 404: Unknown client id."),
        (("show", ".."), 2, "this is not an id; `pollgate service list` shows the ids"),
        (("change", "polls"), 2, "nothing to change; see `pollgate service change --help`"),
        (("change", "polls", "--site", "site_x", "--all-sites"), 2, "give either --site or --all-sites"),
        (("change", "polls", "--public-key-file", "nowhere.pem"), 1, "cannot read the public key: No such file"),
    ],
)
async def test_service_command_with_invalid_input_exits_1_or_2(
    pollgate: CommandLine, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    refused = await pollgate("service", *arguments)

    assert (refused.status, refused.out) == (status, "")
    assert sentence in refused.err


async def test_keys_rotate_publishes_the_next_key(pollgate: CommandLine) -> None:
    rotated = await pollgate("keys", "rotate")
    listed = await pollgate("keys", "list")
    keys = await pollgate("keys", "list", "--json")

    kid = keys.json[-1]["kid"]
    assert re.fullmatch(rf"Published the key {kid}, which signs from .* UTC on\.\n", rotated.out)
    assert [key["state"] for key in keys.json] == ["signing", "next"]
    assert all(key["kid"] in listed.out for key in keys.json)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "http://127.0.0.1:1",
            r"the token authority at \S+ \(from TOKEN_AUTHORITY_URL\) does not answer: .*; start it, or set .*",
        ),
        ("authority", "TOKEN_AUTHORITY_URL is not the URL of a service, such as http://127.0.0.1:8081"),
    ],
)
async def test_command_with_unreachable_authority_exits_1(
    pollgate: CommandLine, authority: Authority, url: str, sentence: str
) -> None:
    pollgate.use_authority(url, authority.admin_key)

    refused = await pollgate("admin", "whoami")

    assert (refused.status, refused.out) == (1, "")
    assert re.fullmatch(f"pollgate: {sentence}\n", refused.err)


async def test_rotate_says_when_earlier_secrets_end(pollgate: CommandLine, subtests: pytest.Subtests) -> None:
    key = (await pollgate("admin", "create", "--name", "k", "--role", "auditor", "--json")).json["id"]
    await pollgate("service", "create", "s")
    for command in (("admin", "rotate", key), ("service", "rotate", "s")):
        with subtests.test(command=command):
            later = await pollgate(*command, "--overlap", "12h")
            on_use = await pollgate(*command, "--overlap", "12h", "--end-on-use")
            now = await pollgate(*command, "--overlap", "0")

            assert re.search(r"\nEarlier secrets end at \d{4}-\d\d-\d\d .* UTC at the latest\.\n", later.out)
            assert "\nEarlier secrets end with the first use of this one, and at 2" in on_use.out
            assert "\nEarlier secrets have ended.\n" in now.out
