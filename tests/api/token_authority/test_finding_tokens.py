"""Finding tokens: in any order, page by page, by any conditions, within the limits of the admin key."""

import random
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import msgspec
import pytest

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.scope_index import key_prefixes_within, keys_within, wildcard_prefixes
from services.token_authority.domain.selection import Selection, new_selection
from services.token_authority.domain.token import Token, TokenRequest, issue
from services.token_authority.domain.token_fields import Lifetime
from services.token_authority.domain.token_page import Order, Page
from services.token_authority.storage.selections import select_tokens
from services.token_authority.storage.tokens import insert_token
from services.token_authority.tasks.search_texts import SearchTexts
from shared.contract.scope import Action, Scope, find_excess_scope
from shared.runtime.postgres.database import database as connected
from tests.support.databases import ClonedDatabase
from tests.support.postgres import fetch
from tests.support.scopes import overlap
from tests.support.stack import Authority
from tests.support.token_fixtures import OTHER_SITE, Reader, add_site, backdate, create_reader, expire_token

pytestmark = pytest.mark.shared_services

MADE = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
SORTS = ("name", "owner", "site", "created_at", "expires_at", "last_used_at")


@pytest.fixture
async def admin_reader(authority: Authority) -> Reader:
    """Return a client that reads as an administrator."""
    return Reader(authority)


@pytest.fixture
async def similar_tokens(authority: Authority, database: ClonedDatabase) -> list[str]:
    """Create fourteen tokens with many equal and missing values. Return their ids."""
    await add_site(database)
    ids = []
    for number in range(14):
        issued = await authority.issue(
            name=f"name {number % 5}",
            owner=[None, "ada", "bob"][number % 3],
            site=OTHER_SITE if number % 4 == 0 else None,
            expires_at=f"2090-0{number % 3 + 1}-01T00:00:00Z" if number % 3 else None,
        )
        used = None if number % 4 == 0 else MADE + timedelta(microseconds=number % 3)
        await backdate(database, issued["id"], created=MADE + timedelta(microseconds=number % 4), used=used)
        ids.append(issued["id"])
    return ids


def sort_position(sort: str, token: Any) -> tuple[str, str]:
    """Return the position of a token in an order. All compared values are texts of equal length."""
    missing = {"owner": "", "expires_at": "9999", "last_used_at": "0000"}
    return token[sort] or missing[sort], token["id"]


async def test_pages_in_any_order_have_each_token_once(
    admin_reader: Reader, similar_tokens: list[str], subtests: pytest.Subtests
) -> None:
    for descending, sort in product([False, True], SORTS):
        with subtests.test(descending=descending, sort=sort):
            for limit in (1, 3, 7, 14, 100):
                found = await admin_reader.list_all(sort=sort, descending=descending, limit=limit)

                assert sorted(token["id"] for token in found) == sorted(similar_tokens)
                assert found == sorted(found, key=lambda token: sort_position(sort, token), reverse=descending)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", SORTS)
async def test_changes_between_pages_neither_skip_nor_repeat_other_tokens(
    authority: Authority,
    database: ClonedDatabase,
    admin_reader: Reader,
    similar_tokens: list[str],
    sort: str,
    descending: bool,
) -> None:
    pages = admin_reader.list_pages(sort=sort, descending=descending, limit=4)
    first = await anext(pages)
    moved = {first[0]["id"], first[-1]["id"]}

    for name in ("a first", "name 2", "z last"):
        await authority.issue(name=name, owner="aaa", site=OTHER_SITE, expires_in=3600)
    for token_id in moved:
        await authority.manage("PATCH", f"/v1/tokens/{token_id}", {"name": "z moved", "owner": "zoe"})
        await backdate(database, token_id, used=timedelta(seconds=1))
    rest = [token["id"] async for page in pages for token in page]

    seen = [token["id"] for token in first] + rest
    others = [token_id for token_id in seen if token_id in similar_tokens and token_id not in moved]
    assert sorted(others) == sorted(set(similar_tokens) - moved)


async def test_search_returns_all_matches_over_pages(admin_reader: Reader, similar_tokens: list[str]) -> None:
    for limit in (1, 2, 5, 100):
        names = await admin_reader.list_names(search="AME 3", limit=limit)

        assert names == ["name 3"] * 2 + ["name 3"] * (len(names) - 2)
        assert len(names) == 2 + (len(similar_tokens) > 13)


SAID = {
    "Weekly report": "Posts in every PROJECT",
    "Straße ⭐": "50% of _all_ 'quotes' \"double\" \\back",
    "İstanbul": "ÅNGSTRÖM ﬁn",
    "名前 テスト": "tab\there\nand a line",
    "x": "",
    "👧 family": "z" * 1990 + "the end",
}


FOUND = [
    ("weekly", ["Weekly report"]),
    ("LY REP", ["Weekly report"]),
    ("project", ["Weekly report"]),
    ("STRASSE", ["Straße ⭐"]),
    ("straße", ["Straße ⭐"]),
    ("⭐", ["Straße ⭐"]),
    ("👧", ["👧 family"]),
    ("%", ["Straße ⭐"]),
    ("_", ["Straße ⭐"]),
    ("'", ["Straße ⭐"]),
    ('"D', ["Straße ⭐"]),
    ("\\b", ["Straße ⭐"]),
    ("%report", []),
    ("w%y", []),
    ("w____y", []),
    ("İST", ["İstanbul"]),
    ("ångström", ["İstanbul"]),
    ("FIN", ["İstanbul"]),
    ("前", ["名前 テスト"]),
    ("b\th", ["名前 テスト"]),
    ("x", ["x"]),
    ("X", ["x"]),
    ("y r", ["Weekly report"]),
    ("zzz", ["👧 family"]),
    ("Z" * 1990 + "THE END", ["👧 family"]),
    ("z" * 1991, []),
    ("repost", []),
    ("qq", []),
    ("' OR true --", []),
    ("$1", []),
    ("{0}", []),
]


async def test_search_finds_substring_ignoring_case_and_nothing_else(
    authority: Authority, admin_reader: Reader, subtests: pytest.Subtests
) -> None:
    for name, description in SAID.items():
        await authority.issue(name=name, description=description)

    for search, names in FOUND:
        with subtests.test(search=search[:40]):
            assert await admin_reader.list_names(search=search) == names


SEARCHED = {
    "Cafe\u0301 bar": "Nach\u0301richten",
    "Caf\u00e9 corner": "",
    "Cafe plain": "",
    "\u1fb4 alpha": "",
    "\u03b1\u0345\u0301 beta": "",
}
NORMAL_FORMS = [
    ("caf\u00e9", {"Cafe\u0301 bar", "Caf\u00e9 corner"}),
    ("CAFE\u0301", {"Cafe\u0301 bar", "Caf\u00e9 corner"}),
    ("f\u00e9", {"Cafe\u0301 bar", "Caf\u00e9 corner"}),
    ("cafe", {"Cafe plain"}),
    ("NACH\u0301", {"Cafe\u0301 bar"}),
    ("\u1fb4", {"\u1fb4 alpha"}),
]


async def test_search_ignores_unicode_normal_form_and_not_accents(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader, subtests: pytest.Subtests
) -> None:
    ids = {}
    for name, description in SEARCHED.items():
        ids[(await authority.issue(name="x", description=description))["id"]] = name
    for token_id, name in ids.items():  # as an earlier release has stored them
        statement = "UPDATE token_authority.token SET name = $2, folded = $3 WHERE id = $1"
        folded = f"{name}\n{SEARCHED[name]}".casefold()
        await fetch(database.admin_url, statement, token_id, name, folded)

    for search, names in NORMAL_FORMS:
        with subtests.test(search=search):
            assert {ids[token["id"]] for token in await admin_reader.list_all(search=search)} == names


async def test_search_finds_owner_whole_id_and_last_four_characters(
    authority: Authority, admin_reader: Reader, subtests: pytest.Subtests
) -> None:
    issued = await authority.issue(name="wanted", owner="J\u00fcrgen Stra\u00dfe")
    rotated = (await authority.manage("POST", f"/v1/tokens/{issued['id']}/rotate", {})).json
    await authority.issue(name="other", owner="ada", description="a description")

    for search in (
        "J\u00fcrgen",
        "ju\u0308rgen STRASSE",
        " J\u00fcrgen\t",
        issued["id"],
        issued["id"].upper(),
        issued["hint"],
        issued["hint"][-4:].lower(),
        rotated["hint"][-4:].upper(),
        f"...{rotated['hint'][-4:]}",
    ):
        with subtests.test(search=search):
            for sort in SORTS:
                assert await admin_reader.list_names(search=search, sort=sort) == ["wanted"]
    for search in (issued["id"][:-1], issued["hint"][-3:] + "-"):
        with subtests.test(search=search):
            assert await admin_reader.list_names(search=search) == []
    await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"owner": "bob"})
    assert await admin_reader.list_names(search="j\u00fcrgen") == []
    assert await admin_reader.list_names(search="BOB") == ["wanted"]


@pytest.mark.own_database
async def test_search_finds_owner_that_earlier_release_stored(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    """Rows from before the migration are completed by the task, those written after it by the trigger."""
    before, after = [await authority.issue(name=name, owner="Ada") for name in ("from before", "from after")]
    statement = "UPDATE token_authority.token SET folded = name WHERE id = $1"
    await fetch(database.admin_url, "ALTER TABLE token_authority.token DISABLE TRIGGER fold_search_text")
    await fetch(database.admin_url, statement, before["id"])
    await fetch(database.admin_url, "ALTER TABLE token_authority.token ENABLE TRIGGER fold_search_text")
    await fetch(database.admin_url, statement, after["id"])
    assert await admin_reader.list_names(search="ada") == ["from after"]

    async with connected(database.token_authority_url, size=2, statement_cache=100) as opened:
        await SearchTexts(opened).run()

    assert await admin_reader.list_names(search="ada") == ["from after", "from before"]


async def test_search_finds_owner_before_and_after_change(authority: Authority, admin_reader: Reader) -> None:
    issued = await authority.issue(name="from before", owner="Ada")

    before = await admin_reader.list_names(search="ada")
    await authority.manage("PATCH", f"/v1/tokens/{issued['id']}", {"description": "x"})
    after = await admin_reader.list_names(search="ada")

    assert before == after == ["from before"]


async def test_search_finds_token_far_down_the_order(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    await authority.issue(name="zz the last one", description="needle")
    copy = """
        WITH copied AS (
            INSERT INTO token_authority.token (id, site_id, name, folded, scopes, reach, hint, created_by, created_at)
            SELECT 'tok_' || n, site_id, 'a name', 'a name', scopes, reach, hint, created_by, created_at
            FROM token_authority.token, generate_series(1, 2500) AS n RETURNING id
        )
        INSERT INTO token_authority.token_use (token_id, uses) SELECT id, 0 FROM copied
    """
    await fetch(database.admin_url, copy)

    assert await admin_reader.list_names(search="needle") == ["zz the last one"]
    assert len(await admin_reader.list_names(search="nam", limit=200)) == 2500


@pytest.fixture
async def one_token_per_condition(authority: Authority, database: ClonedDatabase) -> None:
    """Create one token for each case that a condition distinguishes."""
    await add_site(database)
    await authority.issue("polls:*:*", name="any", owner="ada")
    await authority.issue("polls:read:PLAT", name="plat", owner="ada", expires_in="30d")
    await authority.issue("polls:read,vote:PLAT/PLAT-1", name="plat-1", owner="bob", expires_in=3600)
    await authority.issue("polls:vote:PLAT/PLAT-12", "polls:read:OPS", name="two", site=OTHER_SITE)
    tokens = {name: await authority.issue("polls:read:OPS", name=name) for name in ("disabled", "expired", "revoked")}
    await authority.manage("POST", f"/v1/tokens/{tokens['disabled']['id']}/disable", {})
    await expire_token(database, tokens["expired"]["id"])
    await authority.revoke(tokens["revoked"]["id"])
    await backdate(database, tokens["disabled"]["id"], created=timedelta(days=50), used=timedelta(days=40))
    await backdate(database, tokens["revoked"]["id"], created=timedelta(days=50), used=timedelta(days=10))


def days_ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


ALL = {"any", "plat", "plat-1", "two", "disabled", "expired", "revoked"}

CONDITIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({"status": "active"}, {"any", "plat", "plat-1", "two"}),
    ({"status": "expiring"}, {"plat-1"}),
    ({"status": "expired"}, {"expired"}),
    ({"status": "disabled"}, {"disabled"}),
    ({"status": "revoked"}, {"revoked"}),
    ({"status": "alive"}, {"any", "plat", "plat-1", "two", "disabled"}),
    ({"status": ["active", "disabled"]}, {"any", "plat", "plat-1", "two", "disabled"}),
    ({"status": ["revoked", "expired", "expired"]}, {"revoked", "expired"}),
    ({"status": ["expiring", "disabled"], "scope": "PLAT"}, {"plat-1"}),
    ({"owner": "ada"}, {"any", "plat"}),
    ({"owner": "unknown"}, set()),
    ({"site": OTHER_SITE}, {"two"}),
    ({"site": "no such site"}, set()),
    ({"scope": "PLAT"}, {"any", "plat", "plat-1", "two"}),
    ({"scope": "PLAT/PLAT-1"}, {"any", "plat", "plat-1"}),
    ({"scope": "polls:read:PLAT/PLAT-1"}, {"any", "plat", "plat-1"}),
    ({"scope": "polls:vote:PLAT"}, {"any", "plat-1", "two"}),
    ({"scope": "polls:delete:OPS"}, {"any"}),
    ({"scope": "OPS"}, {"any", "two", "disabled", "expired", "revoked"}),
    ({"scope": "PLA"}, {"any"}),
    ({"scope": "ANY"}, ALL),
    ({"scope": "*"}, ALL),
    ({"scope": "polls:vote:*"}, {"any", "plat-1", "two"}),
    ({"created_before": days_ago(1)}, {"disabled", "revoked"}),
    ({"created_after": days_ago(1)}, ALL - {"disabled", "revoked"}),
    ({"created_after": days_ago(60), "created_before": days_ago(1)}, {"disabled", "revoked"}),
    ({"used_after": days_ago(20)}, {"revoked"}),
    ({"used_after": days_ago(60)}, {"disabled", "revoked"}),
    ({"unused_since": days_ago(20)}, ALL - {"revoked"}),
    ({"expires_before": days_ago(-1)}, {"plat-1", "expired"}),
    ({"expires_after": days_ago(0), "expires_before": days_ago(-31)}, {"plat", "plat-1"}),
    ({"expires_after": days_ago(-31)}, ALL - {"plat", "plat-1", "expired"}),
    ({"scope": "PLAT", "owner": "ada"}, {"any", "plat"}),
    ({"scope": "PLAT", "owner": "ada", "expires_before": days_ago(-60), "status": "active", "search": "LA"}, {"plat"}),
    ({"search": "e", "status": "revoked", "scope": "OPS", "used_after": days_ago(20)}, {"revoked"}),
    ({"search": "plat", "site": OTHER_SITE}, set()),
]


@pytest.mark.usefixtures("one_token_per_condition")
async def test_list_tokens_returns_tokens_that_meet_every_condition(
    admin_reader: Reader, subtests: pytest.Subtests
) -> None:
    for query, names in CONDITIONS:
        with subtests.test(**query):
            for sort in SORTS:
                assert set(await admin_reader.list_names(**query, sort=sort)) == names, sort


async def test_range_includes_start_and_excludes_end(
    authority: Authority, database: ClonedDatabase, admin_reader: Reader
) -> None:
    issued = await authority.issue(expires_at="2090-01-01T00:00:00Z")
    await backdate(database, issued["id"], created=MADE, used=MADE)
    a_little_later = (MADE + timedelta(microseconds=1)).isoformat()

    for name in ("created_after", "used_after"):
        assert await admin_reader.list_names(**{name: MADE.isoformat()}) == ["a token"]
        assert await admin_reader.list_names(**{name: a_little_later}) == []
    for name in ("created_before", "unused_since"):
        assert await admin_reader.list_names(**{name: MADE.isoformat()}) == []
        assert await admin_reader.list_names(**{name: a_little_later}) == ["a token"]
    assert await admin_reader.list_names(expires_after="2090-01-01T00:00:00Z") == ["a token"]
    assert await admin_reader.list_names(expires_before="2090-01-01T00:00:00Z") == []


def cursor(*values: object) -> str:
    return urlsafe_b64encode(msgspec.json.encode(values)).decode().rstrip("=")


BAD_CURSORS: list[tuple[dict[str, Any], str]] = [
    ({}, ""),
    ({}, "x"),
    ({}, "é"),
    ({}, "AAAA"),
    ({}, "[" * 1000),
    ({}, urlsafe_b64encode(b"[" * 1000).decode()),
    ({}, cursor()),
    ({}, cursor("name", False, "a")),
    ({}, cursor("name", False, "a", 1)),
    ({}, cursor("name", False, "a\0", "tok_x")),
    ({}, cursor("name", False, "a", "\0")),
    ({}, cursor("colour", False, "a", "tok_x")),
    ({}, cursor("owner", False, "a", "tok_x")),
    ({}, cursor("name", True, "a", "tok_x")),
    ({"sort": "created_at"}, cursor("name", False, "a", "tok_x")),
    ({"sort": "created_at"}, cursor("created_at", False, "yesterday", "tok_x")),
    ({"sort": "created_at"}, cursor("created_at", False, "2026-13-01 00:00:00+00", "tok_x")),
    ({"sort": "created_at"}, cursor("created_at", False, "2026-01-01 00:00:00", "tok_x")),
    ({"sort": "last_used_at"}, cursor("last_used_at", False, "", "tok_x")),
    ({"sort": "expires_at"}, cursor("expires_at", False, "999999-01-01 00:00:00+00", "tok_x")),
]


async def test_cursor_of_other_order_returns_400(admin_reader: Reader, subtests: pytest.Subtests) -> None:
    for query, text in BAD_CURSORS:
        with subtests.test(text[:60], **query):
            answer = await admin_reader.get("/v1/tokens", **query, cursor=text)

            assert answer.status == 400
            assert answer.json["errors"][0]["parameter"] == "cursor"


NO_CONDITIONS: list[tuple[str, Any]] = [
    *(("limit", 0), ("limit", 1001), ("limit", "many"), ("sort", "colour"), ("descending", "yes")),
    *(("status", "dead"), ("search", ""), ("owner", ""), ("site", ""), ("scope", ""), ("scope", "polls:read")),
    *(("scope", "polls:write:*"), ("scope", "a/b/c/d"), ("created_after", "soon"), ("colour", "red")),
    *(("created_after", "2026-01-01T00:00:60"), ("search", "a\0b")),
]


async def test_invalid_condition_returns_400(admin_reader: Reader, subtests: pytest.Subtests) -> None:
    for name, value in NO_CONDITIONS:
        with subtests.test(**{name: value}):
            answer = await admin_reader.get("/v1/tokens", **{name: value})

            assert answer.status == 400
            assert answer.json["errors"][0]["parameter"] == name


async def test_bulk_revocation_by_search_and_several_statuses(authority: Authority, admin_reader: Reader) -> None:
    for name, owner in (("Report a", "ada"), ("Report b", "bob"), ("Sync", "Report team")):
        token = await authority.issue(name=name, owner=owner)
        if owner == "bob":
            await authority.manage("POST", f"/v1/tokens/{token['id']}/disable", {})

    async def revoke(**conditions: Any) -> tuple[int, Any]:
        answer = await authority.manage("POST", "/v1/tokens/revoke", {"reason": "unneeded", **conditions})
        return answer.status, answer.json

    assert (await revoke(search="REPORT", status="disabled", dry_run=True))[1]["revoked"] == 1
    assert (await revoke(search="report", status=["active", "disabled"], dry_run=True))[1]["revoked"] == 3
    assert (await revoke(search="report", status="alive", owner="ada"))[1]["revoked"] == 1
    assert await admin_reader.list_names(status="alive") == ["Report b", "Sync"]
    wrong: dict[str, Any]
    for wrong in ({"status": []}, {"status": "dead"}, {"status": ["dead"]}, {"search": ""}):
        status, problem = await revoke(**wrong)
        assert (status, next(iter(wrong)) in problem["errors"][0]["pointer"]) == (422, True)


async def test_page_names_limits_of_admin_key(authority: Authority, admin_reader: Reader) -> None:
    issuer = await create_reader(authority, role="issuer", scopes=["polls:read:PLAT"])

    for path in ("/v1/tokens", "/v1/tokens/review"):
        assert (await issuer.get(path)).json["limits"] == {"sites": None, "scopes": ["polls:read:PLAT"]}
        assert (await admin_reader.get(path)).json["limits"] is None


LIMITS: list[tuple[dict[str, Any], set[str]]] = [
    ({"scopes": ["polls:*:*"]}, ALL),
    ({"scopes": ["polls:*:PLAT"]}, {"plat", "plat-1"}),
    ({"scopes": ["polls:read:PLAT"]}, {"plat"}),
    ({"scopes": ["polls:read:PLAT", "polls:vote:PLAT/PLAT-1"]}, {"plat", "plat-1"}),
    ({"scopes": ["polls:*:PLAT/PLAT-12", "polls:read:OPS"]}, {"two", "disabled", "expired", "revoked"}),
    ({"scopes": ["polls:*:PLA"]}, set()),
    ({"sites": [OTHER_SITE]}, {"two"}),
    ({"sites": [OTHER_SITE], "scopes": ["polls:*:PLAT"]}, set()),
]


@pytest.mark.usefixtures("one_token_per_condition")
async def test_issuer_lists_tokens_within_limits_only(
    authority: Authority, admin_reader: Reader, subtests: pytest.Subtests
) -> None:
    for limits, names in LIMITS:
        with subtests.test(**limits):
            issuer = await create_reader(authority, role="issuer", **limits)

            for sort in SORTS:
                assert set(await issuer.list_names(sort=sort, limit=2)) == names, sort
            assert set(await issuer.list_names(search="a")) == {name for name in names if "a" in name}
            assert set(await issuer.list_names(scope="ANY", status="active")) == names & {
                "any",
                "plat",
                "plat-1",
                "two",
            }
            for token in await admin_reader.list_all():
                shown = await issuer.get(f"/v1/tokens/{token['id']}")
                assert shown.status == (200 if token["name"] in names else 404)


@pytest.mark.parametrize(("limits", "names"), LIMITS)
@pytest.mark.usefixtures("one_token_per_condition")
async def test_issuer_bulk_revokes_tokens_within_limits_only(
    authority: Authority, admin_reader: Reader, limits: dict[str, Any], names: set[str]
) -> None:
    created = await authority.manage("POST", "/v1/admin-keys", {"name": "issuer", "role": "issuer", **limits})
    headers = {"Authorization": f"Bearer {created.json['key']}", "Content-Type": "application/json"}
    ids = {token["name"]: token["id"] for token in await admin_reader.list_all()}
    body = {"reason": "unneeded", "ids": list(ids.values())}

    tried = await authority("POST", "/v1/tokens/revoke", headers=headers, json={**body, "dry_run": True})
    answer = await authority("POST", "/v1/tokens/revoke", headers=headers, json=body)

    assert answer.json["revoked"] == tried.json["revoked"] == len(names - {"revoked"})
    assert set(answer.json["unmatched"]) == {ids[name] for name in ALL - names}
    assert set(await admin_reader.list_names(status="revoked")) == names | {"revoked"}


def random_scope(rng: random.Random) -> Scope:
    """Return a random scope from few places, so that many scopes overlap and contain each other."""
    actions = frozenset(rng.sample(list(Action), rng.choice((1, 1, 2, 6))))
    path = tuple(rng.choices(("A", "AB", "A/B", ">"), k=rng.randrange(4)))
    return Scope(actions, path, is_wildcard=len(actions) == 6 and rng.random() < 0.5)


def token_with_scopes(scopes: list[Scope], site_id: str, now: datetime) -> Token:
    request = TokenRequest(
        name="drawn",
        description="",
        owner=None,
        scopes=[str(scope) for scope in scopes],
        lifetime=Lifetime(),
        allow_query=True,
        allowed_ips=(),
        rate_limit=None,
        metadata={},
        self_rotation=False,
    )
    return issue(request, site_id, Actor("system"), now, None).token


async def test_sql_scope_conditions_agree_with_scopes(authority: Authority, database: ClonedDatabase) -> None:
    rng, now = random.Random(7), datetime.now(UTC)
    site_id = (await authority.manage("GET", "/v1/sites")).json["items"][0]["id"]
    tokens = [
        token_with_scopes([random_scope(rng) for _ in range(rng.randint(1, 3))], site_id, now) for _ in range(150)
    ]
    page = Page(Order(), None, 1000)

    async with connected(database.token_authority_url, size=2, statement_cache=100) as opened:
        async with opened.transaction() as transaction:
            for token in tokens:
                await insert_token(transaction, token)

        async def find_ids(chosen: Selection) -> set[str]:
            return {each.token.id for each in await select_tokens(opened, chosen, page, now)}

        def filter_ids(holds: Callable[[Token], bool]) -> set[str]:
            return {token.id for token in tokens if holds(token)}

        for _ in range(60):
            wanted, limits = random_scope(rng), [random_scope(rng) for _ in range(3)]

            touching = await find_ids(new_selection(scope=str(wanted)))
            within = await find_ids(
                Selection(
                    limit_prefixes=key_prefixes_within(limits),
                    limit_keys=keys_within(limits),
                    limit_wildcards=wildcard_prefixes(limits),
                )
            )

            assert touching == filter_ids(lambda token, to=wanted: any(overlap(scope, to) for scope in token.scopes))  # type: ignore[misc]
            assert within == filter_ids(lambda token, limits=limits: find_excess_scope(token.scopes, limits) is None)  # type: ignore[misc]


async def test_limited_auditor_does_not_see_wildcard_beyond_list_of_all_actions(authority: Authority) -> None:
    six = "polls:read,create,update,delete,vote,results:PLAT"
    await authority.issue(six, name="six")
    await authority.issue("polls:*:PLAT", name="wildcard")
    reader = await create_reader(authority, role="auditor", scopes=[six])

    assert await reader.list_names() == ["six"]
