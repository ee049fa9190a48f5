"""`pollgate token create`, `list` and `show`."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from shared.contract.token import is_well_formed
from tests.support.command_line import CommandLine, run_lossy_proxy
from tests.support.databases import ClonedDatabase
from tests.support.postgres import copy_token, fetch
from tests.support.stack import Authority

pytestmark = pytest.mark.shared_services


async def test_token_create_with_every_option(pollgate: CommandLine, authority: Authority) -> None:
    made = await pollgate(
        *("token", "create", "--name", "Weekly report", "--scope", "polls:read:PLAT", "--scope", "polls:vote:PLAT/1"),
        *("--description", "reads polls", "--owner", "ada", "--expires-in", "1h30m", "--header-only"),
        *("--allowed-ip", "203.0.113.7", "--allowed-ip", "10.0.0.0/8", "--rate-limit", "600"),
        *("--metadata", "team=payments", "--metadata", "why=a=b", "--json"),
    )

    token = (await authority.manage("GET", f"/v1/tokens/{made.json['id']}")).json
    assert is_well_formed(made.json["token"], "pgt")
    assert (token["name"], token["description"], token["owner"]) == ("Weekly report", "reads polls", "ada")
    assert token["scopes"] == ["polls:read:PLAT", "polls:vote:PLAT/1"]
    assert (token["allow_query"], token["rate_limit"]) == (False, 600)
    assert token["allowed_ips"] == ["203.0.113.7/32", "10.0.0.0/8"]
    assert token["metadata"] == {"team": "payments", "why": "a=b"}
    left = datetime.fromisoformat(token["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=89) < left <= timedelta(minutes=90)


async def test_token_create_prints_secret_once_with_its_url(pollgate: CommandLine, authority: Authority) -> None:
    made = await pollgate("token", "create", "--name", "CI", "--scope", "ANY", "--expires-in", "never")

    assert re.search(r"\npgt_\w{38}\n\nStore this token now: it is not shown again\.\n", made.out)
    assert f"/x1/{await authority.get_endpoint()}\n" in made.out
    assert made.err.startswith("pollgate: warning: this token can access ANY content of its site")
    assert (made.status, made.err.count("\n")) == (0, 1)


ZONES = ("America/Los_Angeles", "UTC", "Asia/Tokyo")
EXPIRIES = {
    "2031-01-31": "2031-01-31 23:59:59 UTC",
    "2031-01-31+09:00": "2031-01-31 14:59:59 UTC",
    "2031-01-31T12:00": "2031-01-31 12:00:00 UTC",
    "2031-01-31T12:00:00-0800": "2031-01-31 20:00:00 UTC",
}


async def test_token_create_reads_and_prints_expiry_in_utc_in_any_time_zone(
    pollgate: CommandLine, set_zone: Callable[[str], None], subtests: pytest.Subtests
) -> None:
    for zone, (sent, understood) in product(ZONES, EXPIRIES.items()):
        with subtests.test(zone=zone, sent=sent):
            set_zone(zone)

            made = await pollgate("token", "create", "--name", "x", "--scope", "ANY", "--expires-at", sent)
            (token,) = [each for each in (await pollgate("token", "list", "--json")).json if each["id"] in made.out]
            changed = await pollgate("token", "change", token["id"], "--expires-at", "2030-12-31")
            rotated = await pollgate("token", "rotate", token["id"])

            assert f"It expires {understood}.\n" in made.out
            assert token["expires_at"] == understood.replace(" UTC", "Z").replace(" ", "T")
            assert f"Changed {token['id']}; it expires 2030-12-31 23:59:59 UTC; effective" in changed.out
            assert "The token expires 2030-12-31 23:59:59 UTC.\n" in rotated.out


async def test_day_in_condition_of_token_list_is_its_first_moment_in_any_time_zone(
    pollgate: CommandLine, set_zone: Callable[[str], None], subtests: pytest.Subtests
) -> None:
    await pollgate("token", "create", "--name", "x", "--scope", "ANY", "--expires-at", "2031-01-31T00:00:00Z")
    for zone in ZONES:
        with subtests.test(zone=zone):
            set_zone(zone)

            after = await pollgate("token", "list", "--expires-after", "2031-01-31", "--json")
            before = await pollgate("token", "list", "--expires-before", "2031-01-31", "--json")

            assert (len(after.json), len(before.json)) == (1, 0)


async def test_token_create_reads_metadata_from_stdin_or_file(pollgate: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "metadata.json"
    file.write_text('{"level": 3}')
    create = ("token", "create", "--name", "x", "--scope", "ANY", "--json", "--metadata-json")

    from_input = await pollgate(*create, "-", stdin='{"team": {"name": "payments"}}')
    from_file = await pollgate(*create, str(file))

    assert from_input.json["metadata"] == {"team": {"name": "payments"}}
    assert from_file.json["metadata"] == {"level": 3}


async def test_token_create_with_two_lost_responses_exits_1(pollgate: CommandLine, authority: Authority) -> None:
    async with run_lossy_proxy(authority.base) as proxy:
        pollgate.use_authority(proxy.url, authority.admin_key)
        proxy.lost = 2
        lost = await pollgate("token", "create", "--name", "x", "--scope", "ANY")
        listed = await pollgate("token", "list", "--json")

    assert (lost.status, lost.out) == (1, "")
    assert "It may have been created; repeat the command with --key " in lost.err
    assert len(listed.json) == 1


WRONG = [
    (("--expires-in", "soon"), 2, "'soon' is not a duration; write it as 90d, 12h, 2h30m or P90D"),
    (("--expires-in", "9999999w"), 2, "longer than a thousand years"),
    (("--expires-at", "soon"), 2, "'soon' is not a time; write it as 2027-01-31"),
    (("--expires-at", "2031-01-31", "--expires-in", "1d"), 2, "either --expires-in or --expires-at"),
    (("--metadata", "payments"), 2, "--metadata takes KEY=VALUE, such as team=payments, not 'payments'"),
    (("--metadata-json", "-"), 1, "standard input does not contain a JSON object"),
    (("--metadata-json", "-", "--metadata", "a=b"), 2, "either --metadata or --metadata-json"),
    (("--metadata-json", "nowhere.json"), 1, "cannot read the metadata: No such file or directory: nowhere.json"),
    (("--scope", "polls:fly:PLAT"), 1, "--scope 'polls:fly:PLAT' (value 2 of 2): at character 7"),
    (("--rate-limit", "0"), 1, "--rate-limit: must be 1 to 1000000 requests per minute"),
    (("--colour", "red"), 2, "--colour"),
]


@pytest.mark.parametrize(("options", "status", "sentence"), WRONG)
async def test_token_create_with_invalid_options_exits_1_or_2(
    pollgate: CommandLine, options: tuple[str, ...], status: int, sentence: str
) -> None:
    refused = await pollgate("token", "create", "--name", "x", "--scope", "ANY", *options)

    assert (refused.status, refused.out) == (status, "")
    assert refused.err.startswith("pollgate: ")
    assert sentence in refused.err
    assert (await pollgate("token", "list", "--json")).json == []


async def test_token_list_applies_each_condition(
    pollgate: CommandLine, authority: Authority, database: ClonedDatabase
) -> None:
    site = (await authority.manage("GET", "/v1/sites")).json["items"][0]["id"]
    old = await authority.issue("polls:read:PLAT", name="old report", owner="ada", expires_in=86_400)
    new = await authority.issue("polls:vote:SPACE", name="new report", owner="bot")
    await fetch(
        database.admin_url,
        "UPDATE token_authority.token SET created_at = now() - interval '10 days' WHERE id = $1",
        old["id"],
    )
    await fetch(
        database.admin_url, "UPDATE token_authority.token_use SET last_used_at = now() WHERE token_id = $1", new["id"]
    )
    await authority.revoke((await authority.issue(name="gone", owner="cleo"))["id"])

    async def list_names(*options: str) -> list[str]:
        return [token["name"] for token in (await pollgate("token", "list", "--json", *options)).json]

    assert await list_names("--all") == ["gone", "new report", "old report"]
    assert await list_names("--search", "REPORT") == ["new report", "old report"]
    assert await list_names("--status", "revoked") == ["gone"]
    assert await list_names("--status", "expiring") == ["old report"]
    assert await list_names("--owner", "ada") == ["old report"]
    assert await list_names("--site", site, "--scope", "SPACE", "--all") == ["gone", "new report"]
    assert await list_names("--created-before", "7d") == ["old report"]
    assert await list_names("--created-after", "7d", "--owner", "bot") == ["new report"]
    assert await list_names("--used-after", "1h") == ["new report"]
    assert await list_names("--unused-for", "90d", "--owner", "bot") == []
    assert await list_names("--unused-since", "1h", "--status", "active") == ["old report"]
    assert await list_names("--expires-before", "2d") == ["old report"]
    assert await list_names("--expires-after", "2d") == ["new report"]
    newest_first = ("--sort", "created_at", "--descending")
    assert await list_names("--all", "--expires-after", "2d", *newest_first) == ["gone", "new report"]
    assert await list_names("--limit", "2", "--sort", "owner") == ["old report", "new report"]


async def test_token_list_continues_over_all_pages(
    pollgate: CommandLine, authority: Authority, database: ClonedDatabase
) -> None:
    await copy_token(database, (await authority.issue())["id"], 1002)

    every = await pollgate("token", "list", "--json")
    first = await pollgate("token", "list", "--json", "--limit", "1001")

    assert len({token["id"] for token in every.json}) == 1003
    assert first.json == every.json[:1001]


async def test_token_list_without_results_prints_notice(pollgate: CommandLine) -> None:
    none_yet = await pollgate("token", "list")
    none_at_all = await pollgate("token", "list", "--all")
    none_so = await pollgate("token", "list", "--owner", "eve")

    others = "Expired and revoked tokens are listed by --all."
    created = "`pollgate token create` creates one."
    assert none_yet.out == f"There are no tokens that are alive; {created} {others}\n"
    assert none_at_all.out == f"There are no tokens; {created}\n"
    assert none_so.out == f"No token meets these conditions. {others}\n"
    assert (none_yet.status, none_so.status) == (0, 0)


async def test_token_list_by_limited_key_says_what_the_key_sees(pollgate: CommandLine, authority: Authority) -> None:
    await authority.issue("polls:read:OPS")
    fields = {"name": "x", "role": "issuer", "scopes": ["polls:*:PLAT"]}
    key = (await authority.manage("POST", "/v1/admin-keys", fields)).json["key"]
    pollgate.use_authority(authority.base, key)

    listed = await pollgate("token", "list")
    reviewed = await pollgate("token", "review")

    limits = "This admin key sees only tokens within the scopes polls:*:PLAT."
    assert listed.out.startswith(f"{limits} There are no tokens that are alive; ")
    assert reviewed.out == f"{limits} No findings.\n"


async def test_token_list_shows_tokens_that_are_alive_unless_asked(pollgate: CommandLine, authority: Authority) -> None:
    tokens = {name: (await authority.issue(name=name))["id"] for name in ("active", "disabled", "revoked")}
    await authority.manage("POST", f"/v1/tokens/{tokens['disabled']}/disable", {})
    await authority.revoke(tokens["revoked"])

    async def list_names(*options: str) -> list[str]:
        return [token["name"] for token in (await pollgate("token", "list", "--json", *options)).json]

    assert await list_names() == ["active", "disabled"]
    assert await list_names("--all") == ["active", "disabled", "revoked"]
    assert await list_names("--status", "disabled", "--status", "revoked") == ["disabled", "revoked"]
    both = await pollgate("token", "list", "--all", "--status", "active")
    assert (both.status, both.out) == (2, "")


async def test_token_list_in_a_pipe_is_not_folded(pollgate: CommandLine, authority: Authority) -> None:
    name = "名" * 120 + " " + "x" * 120
    token = await authority.issue("polls:read:" + "A" * 300, name=name, owner="ada")

    listed = await pollgate("token", "list")

    row = next(line for line in listed.out.splitlines() if token["id"] in line)
    assert name in row
    assert "polls:read:" + "A" * 300 in row
    assert "ada" in row


async def test_token_list_and_show_print_markup_and_escapes_literally(
    pollgate: CommandLine, authority: Authority
) -> None:
    await authority.issue(name="[red]alarm[/red] :smile:", metadata={"x": "\u009b31m"})

    listed = await pollgate("token", "list")
    token_id = (await pollgate("token", "list", "--json")).json[0]["id"]
    shown = await pollgate("token", "show", token_id)

    assert "[red]alarm[/red] :smile:" in listed.out
    assert r'{"x":"\x9b31m"}' in shown.out


async def test_token_show_prints_fields_secrets_and_use(
    pollgate: CommandLine, authority: Authority, database: ClonedDatabase
) -> None:
    token = await authority.issue(
        *("polls:read:PLAT", "polls:vote:PLAT"), name="Report", owner="ada", description="two\nlines", rate_limit=60
    )
    await pollgate("token", "rotate", token["id"], "--overlap", "0")
    assert not (await authority.introspect(token["token"])).json["active"]
    day = "INSERT INTO token_authority.token_day VALUES ($1, (now() AT TIME ZONE 'UTC')::date - $2::int, 41, 7)"
    for ago in (1, 13, 14):
        await fetch(database.admin_url, day, token["id"], ago)
    await authority.revoke(token["id"])

    shown = await pollgate("token", "show", token["id"])

    assert re.search(r"^Scope +polls:read:PLAT\n +polls:vote:PLAT$", shown.out, re.MULTILINE)
    assert re.search(r"^Description +two\n +lines$", shown.out, re.MULTILINE)
    assert re.search(r"^Rate limit +60 requests per minute$", shown.out, re.MULTILINE)
    assert re.search(r"^Revoked +\S+ \S+ UTC by admin_key:adm_\w+: unneeded$", shown.out, re.MULTILINE)
    assert re.search(rf"^ ?pgt_…{token['token'][-4:]} +ended ", shown.out, re.MULTILINE)
    assert f"ALERT: the secret pgt_…{token['token'][-4:]} was presented 1 time after its end" in shown.out
    assert len(re.findall(r"^ ?\d{4}-\d\d-\d\d +41 +7", shown.out, re.MULTILINE)) == 2
    assert token["token"] not in shown.out
    assert json.loads((await pollgate("token", "show", token["id"], "--json")).out)["secrets"][1]["late_uses"] == 1


@pytest.mark.parametrize(
    ("token_id", "status", "sentence"),
    [
        ("tok_AAAAAAAAAAAAAAAA", 1, "answered 404: Unknown token id."),
        ("../sites", 2, "this is not an id; `pollgate token list` shows the ids"),
        ("pgt_" + "A" * 38, 2, "an access token cannot be an argument"),
    ],
)
async def test_token_show_with_unknown_or_invalid_id_exits_1_or_2(
    pollgate: CommandLine, token_id: str, status: int, sentence: str
) -> None:
    refused = await pollgate("token", "show", token_id)

    assert (refused.status, refused.out) == (status, "")
    assert sentence in refused.err
    assert "pgt_" not in refused.err


@pytest.mark.parametrize(
    ("options", "warnings"),
    [((), 1), (("--expires-in", "never"), 0), (("--expires-in", "30d"), 0), (("--expires-at", "2037-01-31"), 0)],
)
async def test_token_create_without_an_end_warns_on_standard_error(
    pollgate: CommandLine, options: tuple[str, ...], warnings: int
) -> None:
    for as_json in ((), ("--json",)):
        made = await pollgate("token", "create", "--name", "x", "--scope", "polls:read:PLAT", *options, *as_json)

        assert made.status == 0
        assert made.err.count("pollgate: warning: this token never expires; --expires-in 90d would limit") == warnings
        assert len(made.err.splitlines()) == warnings
        assert "warning" not in made.out


async def test_token_show_prints_values_as_people_read_them(pollgate: CommandLine, authority: Authority) -> None:
    token = await authority.issue(rate_limit=1)
    await authority.manage("PATCH", f"/v1/tokens/{token['id']}", {"allow_query": False, "rate_limit": 1})

    shown = await pollgate("token", "show", token["id"])
    listed = await pollgate("audit", "list", "--subject", f"token:{token['id']}", "--action", "token.change")

    assert "Rate limit     1 request per minute\n" in shown.out
    assert "allow_query: yes → no" in listed.out
    assert not re.search(r"\b(None|True|False|null)\b", shown.out + listed.out)
