"""The audit log: filters, newest first, page by page."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from services.token_authority.app_keys import CHAIN_VERIFIER, DATABASE, FORM
from services.token_authority.domain.audit import AuditSelection
from services.token_authority.domain.audit_chain import ChainReport, Head
from services.token_authority.domain.errors import InvalidValue
from services.token_authority.domain.token_fields import read_time_field
from services.token_authority.handlers.audit import VERIFICATION_LIMIT_S
from services.token_authority.pages import paths
from services.token_authority.pages.page import page
from services.token_authority.pages.references import Names, Reference, names_of, reference_to
from services.token_authority.pages.token_form import errors_of
from services.token_authority.storage.admin_keys import select_admin_keys
from services.token_authority.storage.audit import select_audit
from shared.contract.audit import AuditRecord
from shared.contract.presented_secret import resembles_secret
from shared.runtime.http.application import extend_deadline
from shared.runtime.http.query import read_query

ROWS: Final = 100
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "token": ("issue", "change", "rotate", "disable", "enable", "revoke", "purge", "end_old_secret"),
    "service": ("make", "change", "rotate", "disable", "enable", "take_secret", "end_old_secret"),
    "admin_key": ("make", "change", "rotate", "revoke", "end_old_secret"),
    "session": ("start", "end"),
    "signing_key": ("make", "rotate", "withdraw"),
    "site": ("make",),
}
ACTIONS: Final = tuple(f"{kind}.{verb}" for kind, verbs in _VERBS.items() for verb in verbs)
"""Suggestions for the filter."""


class AuditFilters(Struct, frozen=True, omit_defaults=True):
    """The conditions and the page. An empty text is no condition; `since` and `until` are days in UTC."""

    actor_id: str = ""
    action: str = ""
    subject: str = ""
    since: str = ""
    until: str = ""
    after: Annotated[int, Meta(ge=0, le=2**53)] = 0

    def to_selection(self) -> AuditSelection:
        """Return the conditions. Raise `InvalidValue`."""
        return AuditSelection(
            self.actor_id or None,
            self.action or None,
            self.subject or None,
            read_time_field("since", self.since or None, day="first"),
            read_time_field("until", self.until or None, day="last"),
        )

    @property
    def is_filtered(self) -> bool:
        """Whether there is a condition."""
        return bool(self.actor_id or self.action or self.subject or self.since or self.until)

    def url(self, path: str = paths.AUDIT, *, after: int = 0) -> str:
        """Return the address of a page with these conditions, by default of the first page of the list."""
        fields = msgspec.to_builtins(msgspec.structs.replace(self, after=after))
        return f"{path}?{urlencode(fields)}" if fields else path


class AuditRow(NamedTuple):
    """A record with its actor and subject."""

    record: AuditRecord
    actor: Reference
    subject: Reference

    @classmethod
    def of(cls, record: AuditRecord, names: Names) -> "AuditRow":
        """Return the row of a record."""
        actor = f"{record.actor}:{record.actor_id or ''}"
        return cls(record, reference_to(actor, names), reference_to(record.subject, names))


async def show_audit(request: web.Request) -> web.Response:
    """Return the list."""
    return await audit_page(request, read_query(request, AuditFilters))


async def search_audit(request: web.Request) -> web.Response:
    """Lead to the list with the conditions of a form, unless one is a secret, which must not get into an address."""
    names = [name for name in AuditFilters.__struct_fields__ if name != "after"]
    texts = {name: request[FORM].text(name) for name in names}
    secret = next((name for name, text in texts.items() if resembles_secret(text)), None)
    if secret is not None:
        reason = "This is a secret, which no record contains. Search the access tokens for it to find its id."
        filters = msgspec.convert({**texts, secret: ""}, AuditFilters)
        return await audit_page(request, filters, errors={secret: reason})
    raise web.HTTPSeeOther(msgspec.convert(texts, AuditFilters).url())


async def verify_audit(request: web.Request) -> web.Response:
    """Check the whole log, also against an earlier head if the form has one, and return the list with the result."""
    form = request[FORM]
    seq, hash_ = form.text("seq"), form.text("hash")
    try:
        earlier = _read_earlier(seq, hash_)
    except InvalidValue as error:
        return await audit_page(request, AuditFilters(), errors=errors_of(error), earlier=(seq, hash_))
    extend_deadline(request, VERIFICATION_LIMIT_S)
    report = await request.app[CHAIN_VERIFIER].verify(earlier)
    return await audit_page(request, AuditFilters(), report=report, earlier=(seq, hash_))


def _read_earlier(seq: str, hash_: str) -> Head | None:
    """Return the record that was noted; `None` for none. Raise `InvalidValue`."""
    if not (seq or hash_):
        return None
    if not _NUMBER.fullmatch(seq):
        raise InvalidValue(("seq",), "enter the number of the record that has this hash")
    if not _HASH.fullmatch(hash_.lower()):
        raise InvalidValue(("hash",), "enter the hash of the record: 64 digits and letters from a to f")
    return Head(int(seq), hash_.lower())


async def audit_page(
    request: web.Request,
    filters: AuditFilters,
    *,
    report: ChainReport | None = None,
    errors: Mapping[str, str] | None = None,
    earlier: tuple[str, str] = ("", ""),
) -> web.Response:
    """Return the list with these conditions.

    `report` is the result of a check of the chain, `earlier` the number and hash of a record to compare it with.
    """
    database, found = request.app[DATABASE], list[AuditRecord]()
    try:
        if not errors:
            selection = filters.to_selection()
            found = await select_audit(database, selection, filters.after or None, ROWS + 1, newest_first=True)
    except InvalidValue as error:
        errors = errors_of(error)
    names = names_of(await select_admin_keys(database))
    rows = [AuditRow.of(record, names) for record in found[:ROWS]]
    return page(
        request,
        "audit.html",
        status=422 if errors else 200,
        filters=filters,
        actions=ACTIONS,
        rows=rows,
        next_url=filters.url(after=rows[-1].record.seq) if len(found) > ROWS else "",
        export_url=filters.url(f"{paths.AUDIT}/export"),
        report=report,
        earlier=earlier,
        errors=errors or {},
    )
