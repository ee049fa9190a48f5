"""With a journal, no route can send a response before the journal has what its request has changed."""

import re
from pathlib import Path

import pytest
from aiohttp.typedefs import Handler

from services.token_authority.app import build_app
from services.token_authority.handlers.journaled_responses import JournaledResponses
from services.token_authority.settings import TokenAuthoritySettings
from shared.runtime.http.routes import Route, list_routes
from shared.runtime.process.environment import RotatableText

AUTHORITY = Path(__file__).parents[2] / "services" / "token_authority"


def test_every_route_of_an_authority_with_a_journal_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapped: set[tuple[str, str]] = set()
    wrap = JournaledResponses.wrap

    def note(self: JournaledResponses, route: Route, handler: Handler) -> Handler:
        wrapped.add((route.method, route.path))
        return wrap(self, route, handler)

    monkeypatch.setattr(JournaledResponses, "wrap", note)
    app = build_app(
        TokenAuthoritySettings(
            token_authority_database_url=RotatableText("postgresql://localhost/pollgate"),
            redis_url=RotatableText("redis://localhost"),
            service_credentials="",
            key_encryption_key="k" * 43,
            journal_file="journal.jsonl",
        )
    )

    routes = {(route.method, route.path) for route in list_routes(app)}
    assert len(routes) > 50
    assert routes <= wrapped


def test_every_audited_transaction_requires_a_reading_of_the_log_at_its_end() -> None:
    source = (AUTHORITY / "storage" / "audit.py").read_text(encoding="utf-8")
    opening = {
        path.name
        for path in AUTHORITY.rglob("*.py")
        if re.search(r"\bAuditedTransaction\(", path.read_text(encoding="utf-8"))
    }

    assert opening == {"audit.py"}
    assert source.count("AuditedTransaction(") == 1
    assert source.count(".note_end_of_transaction()") == 1
