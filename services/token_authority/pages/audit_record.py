"""One record of the audit log, with the fields that the action changed."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web

from services.token_authority.app_keys import DATABASE
from services.token_authority.domain.audit import AuditSelection
from services.token_authority.pages.audit_log import AuditRow
from services.token_authority.pages.page import page
from services.token_authority.pages.references import names_of
from services.token_authority.storage.admin_keys import select_admin_keys
from services.token_authority.storage.audit import select_audit
from shared.contract.audit import AuditRecord
from shared.runtime.text.times import format_rfc3339

MAX_DIGITS: Final = 15


class ChangedField(NamedTuple):
    """A field before and after the action; `None` where it is not in the record."""

    name: str
    before: str | None
    after: str | None


async def show_record(request: web.Request) -> web.Response:
    """Return the page of a record."""
    database, record = request.app[DATABASE], await _find_record(request)
    names = names_of(await select_admin_keys(database))
    return page(
        request,
        "audit_record.html",
        row=AuditRow.of(record, names),
        record=record,
        exact_time=format_rfc3339(record.at),
        fields=list(_fields_of(record)),
    )


async def _find_record(request: web.Request) -> AuditRecord:
    text = request.match_info["seq"]
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise web.HTTPNotFound
    seq = int(text)
    found = await select_audit(request.app[DATABASE], AuditSelection(), seq - 1, 1)
    if not found or found[0].seq != seq:
        raise web.HTTPNotFound
    return found[0]


def _fields_of(record: AuditRecord) -> Iterator[ChangedField]:
    for name in dict.fromkeys([*record.before, *record.after]):
        before, after = (_shown(name, fields) for fields in (record.before, record.after))
        yield ChangedField(name, before, after)


def _shown(name: str, fields: dict[str, Any]) -> str | None:
    """Return a value as a reader sees it: a text as it is, a list of texts on lines, anything else as JSON."""
    if name not in fields:
        return None
    value = fields[name]
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
