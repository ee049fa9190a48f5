"""The OpenAPI document of the authority covers every route and matches its behaviour."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from services.token_authority.routes import ROUTES
from shared.contract.token import mint
from tests.support.fuzz import CASES, IS_LONG, SEED, AnyCase, Target, fuzz
from tests.support.stack import CLIENT_SECRET, Authority, basic_auth

KNOWN_TOKENS = 20
KNOWN_SPARE = 5
GUARDS = ("fuzzed-guard-0001", "fuzzed-guard-0002")


@pytest.fixture
def authority_settings() -> dict[str, Any]:
    """Use short leases, because no guard confirms here, and limits high enough for every case."""
    many = ("wrong_credentials_per_minute", "wrong_credentials_per_minute_per_service", "open_tokens_per_minute")
    return {"revocation_lease": 0.5, **dict.fromkeys(many, 1_000_000)}


async def test_openapi_document_is_public_and_has_every_route(authority: Authority) -> None:
    answer = await authority("GET", "/openapi.json")

    urls_of = {(method.upper(), path) for path, methods in answer.json["paths"].items() for method in methods}
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert urls_of == {(route.method, route.path) for route in ROUTES}


async def test_openapi_document_names_credential_of_every_route(authority: Authority) -> None:
    paths = (await authority("GET", "/openapi.json")).json["paths"]

    assert paths["/v1/tokens"]["post"]["security"] == [{"admin_key": []}]
    assert paths["/oauth2/introspect"]["post"]["security"] == [{"service": []}, {"service_assertion": []}]
    assert paths["/oauth2/revoke"]["post"]["security"] == []


def with_valid_token(secret: Callable[[], str]) -> Callable[[AnyCase], None]:
    """Put a valid token into every second valid form."""
    turns = itertools.cycle((True, False))

    def prepare(case: AnyCase) -> None:
        if case.meta and case.meta.generation.mode.is_positive and isinstance(case.body, dict) and next(turns):
            case.body = {"token": secret()}

    return prepare


def make_dry_run(case: AnyCase) -> None:
    """Turn a valid bulk revocation by conditions into a dry run; it could revoke tokens that other operations need."""
    if case.meta and case.meta.generation.mode.is_positive and isinstance(case.body, dict) and not case.body.get("ids"):
        case.body = {**case.body, "dry_run": True}


async def create(authority: Authority, kind: str, **fields: Any) -> Any:
    """Create a resource that the fuzz may change."""
    answer = await authority.manage("POST", f"/v1/{kind}", fields)
    assert answer.status == 201, answer.body
    return answer.json


@pytest.mark.slow
@pytest.mark.timeout(120 + CASES / 20)
async def test_authority_conforms_to_its_openapi_document(authority: Authority) -> None:
    issued = [await authority.issue(name=f"token {number}") for number in range(KNOWN_TOKENS)]
    secrets = iter([token["token"] for token in issued[: KNOWN_TOKENS // 2]])
    admin_keys = [await create(authority, "admin-keys", name="spare", role="auditor") for _ in range(KNOWN_SPARE)]
    services = [await create(authority, "services", client_id=f"spare-{number}") for number in range(KNOWN_SPARE)]
    target = Target(
        base=authority.base,
        document=(await authority("GET", "/openapi.json")).json,
        credentials={
            "admin_key": authority.admin["Authorization"],
            "service": basic_auth("polls", CLIENT_SECRET)["Authorization"],
            "token": f"Bearer {issued[0]['token']}",
        },
        known={
            "id": [token["id"] for token in issued],
            "guard_id": GUARDS,
            "key_id": [key["id"] for key in admin_keys],
            "client_id": [service["client_id"] for service in services],
        },
        prepare={
            "find_token": with_valid_token(lambda: issued[-1]["token"]),
            "revoke_tokens": make_dry_run,
            "introspect": with_valid_token(lambda: issued[-1]["token"]),
            "revoke_presented_token": with_valid_token(lambda: next(secrets, mint("pgt"))),
        },
        authenticates_in_body={"introspect"},
        makes_secrets={
            "create_token",
            "rotate_token",
            "create_admin_key",
            "rotate_admin_key",
            "create_service",
            "rotate_service",
        },
    )

    outcome = await asyncio.to_thread(fuzz, target, cases=CASES, seed=SEED, progress=IS_LONG)

    assert outcome.cases >= CASES
    assert outcome.list_accepted_operations() == {route.endpoint.name for route in ROUTES}
