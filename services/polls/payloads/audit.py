"""The audit trail of a poll: what a record says about the poll, and pages of records."""

import hashlib
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.polls.domain.edit import Effect
from services.polls.domain.poll import PollSpec
from services.polls.domain.state import PollState
from services.polls.payloads.polls import EffectPayload, LocationPayload, SettingsPayload
from shared.contract.audit import AuditRecord

MAX_TEXT_LENGTH: Final = 1_000


class PollAuditPage(Struct, frozen=True):
    """Records of a poll, oldest first. `next` is the `cursor` of the following page, null on the last one."""

    items: list[AuditRecord]
    next: str | None


def whole_poll(state: PollState) -> dict[str, Any]:
    """Return the fields of a poll, as the records of its creation and its deletion have them."""
    location = msgspec.to_builtins(LocationPayload.of(state.poll.place))
    return {**_fields(state.poll.spec), "location": location}


def difference(before: PollSpec, after: PollSpec, effect: Effect) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the changed fields before and after an edit. The latter have the edit's effect on ballots, if any."""
    earlier, later = _differing(_fields(before), _fields(after))
    shown = msgspec.to_builtins(msgspec.convert(effect, EffectPayload, from_attributes=True))
    done = {name: value for name, value in shown.items() if value}
    return earlier, {**later, "effect": done} if done else later


def _fields(spec: PollSpec) -> dict[str, Any]:
    return {
        "title": spec.title,
        "description": _shorten(spec.description),
        "options": {option.id: {"title": option.title, "order": option.order} for option in spec.options},
        "settings": msgspec.to_builtins(SettingsPayload.of(spec.settings)),
    }


def _shorten(text: str) -> str:
    """Return the text, or its beginning and its SHA-256 if it is long: records are kept permanently."""
    if len(text) <= MAX_TEXT_LENGTH:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{text[:MAX_TEXT_LENGTH]}… [{len(text)} characters, SHA-256 {digest}]"


def _differing(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries of two nested objects that differ."""
    earlier: dict[str, Any] = {}
    later: dict[str, Any] = {}
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            earlier[name], later[name] = _differing(old, new)
        else:
            earlier.update({name: old} if name in before else {})
            later.update({name: new} if name in after else {})
    return earlier, later
