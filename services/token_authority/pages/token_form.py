"""The form of a token's fields, as it is shown and as it was sent."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from services.token_authority.domain.errors import InvalidValue, Widening
from services.token_authority.domain.token import Token, TokenRequest
from services.token_authority.domain.token_change import TokenChange
from services.token_authority.domain.token_fields import MAX_RATE, Lifetime
from services.token_authority.pages.expiry_form import ExpiryForm, expiry_form
from services.token_authority.pages.scope_form import ScopeForm, read_scope_form, scope_form_of
from shared.runtime.pages.filters import day, sentence
from shared.runtime.pages.forms import Form

_COMPARED: Final = (
    "name",
    "description",
    "owner",
    "allow_query",
    "allowed_ips",
    "rate_limit",
    "metadata",
    "self_rotation",
)
"""The fields of which a change has only those that differ. Scopes and the expiry are compared apart."""


class TokenForm(Struct, frozen=True, kw_only=True):
    """The fields of a token as texts. `site` is empty for the default site."""

    scopes: ScopeForm
    expiry: ExpiryForm
    name: str = ""
    description: str = ""
    owner: str = ""
    site: str = ""
    allow_query: bool = True
    allowed_ips: str = ""
    rate_limit: str = ""
    metadata: str = ""
    self_rotation: bool = False

    def to_request(self) -> TokenRequest:
        """Return the fields of a new token, not validated yet. Raise `InvalidValue` for those that cannot be read."""
        if not self.name:
            raise InvalidValue(("name",), "enter a name")
        return TokenRequest(
            name=self.name,
            description=self.description,
            owner=self.owner or None,
            scopes=self.scopes.to_texts(),
            lifetime=self.expiry.to_lifetime() or Lifetime(),
            allow_query=self.allow_query,
            allowed_ips=_read_list(self.allowed_ips),
            rate_limit=_read_rate_limit(self.rate_limit),
            metadata=_read_metadata(self.metadata),
            self_rotation=self.self_rotation,
        )

    def to_change(self, shown: "TokenForm") -> TokenChange:
        """Return the fields in which this differs from the form as it was shown. Raise `InvalidValue`."""
        wanted, had = self.to_request(), shown.to_request()
        values: dict[str, Any] = {
            name: getattr(wanted, name) for name in _COMPARED if getattr(wanted, name) != getattr(had, name)
        }
        if set(wanted.scopes) != set(had.scopes):
            values["scopes"] = wanted.scopes
        lifetime = self.expiry.to_lifetime()
        return TokenChange(**values, lifetime=UNSET if lifetime is None else lifetime)


def new_token_form(now: datetime, max_lifetime: timedelta | None) -> TokenForm:
    """Return the form of a new token."""
    return TokenForm(scopes=ScopeForm(), expiry=expiry_form(now, max_lifetime))


def read_token_form(form: Form, now: datetime, max_lifetime: timedelta | None, token: Token | None = None) -> TokenForm:
    """Return the form as it was sent, for a new token or to change this one."""
    return TokenForm(
        scopes=read_scope_form(form),
        expiry=expiry_form(
            now,
            _time_left(token, now) if token else max_lifetime,
            chosen=form.text("expires"),
            on_day=form.text("expires_on"),
            keep=describe_expiry(token) if token else "",
        ),
        name=form.text("name"),
        description=form.text("description"),
        owner=form.text("owner"),
        site=form.text("site"),
        allow_query=form.has("allow_query"),
        allowed_ips=form.text("allowed_ips"),
        rate_limit=form.text("rate_limit"),
        metadata=form.text("metadata"),
        self_rotation=form.has("self_rotation"),
    )


def form_of_token(token: Token, now: datetime) -> TokenForm:
    """Return the form with the fields of a token, to change it."""
    return TokenForm(
        scopes=scope_form_of(token.scopes),
        expiry=expiry_form(now, _time_left(token, now), keep=describe_expiry(token)),
        name=token.name,
        description=token.description,
        owner=token.owner or "",
        site=token.site_id,
        allow_query=token.allow_query,
        allowed_ips="\n".join(token.allowed_ips),
        rate_limit="" if token.rate_limit is None else str(token.rate_limit),
        metadata=msgspec.json.format(msgspec.json.encode(token.metadata)).decode() if token.metadata else "",
        self_rotation=token.self_rotation,
    )


def _time_left(token: Token, now: datetime) -> timedelta | None:
    """Return how long the token works, which a change cannot extend; `None` for one that never expires."""
    return None if token.expires_at is None else token.expires_at - now


def describe_expiry(token: Token) -> str:
    """Return when a token expires, as the end of a sentence."""
    return "never" if token.expires_at is None else f"on {day(token.expires_at)}"


def errors_of(error: InvalidValue | Widening) -> Mapping[str, str]:
    """Return the error by the field of the form that it belongs to."""
    field = str(error.path[0]) if error.path else "name"
    place = f"number {error.path[1] + 1}: " if len(error.path) > 1 and isinstance(error.path[1], int) else ""
    return {_FIELD_NAMES.get(field, field): sentence(f"{place}{error.reason}")}


_FIELD_NAMES: Final = {"expires_in": "expires", "expires_at": "expires"}


def _read_list(text: str) -> Sequence[str]:
    return text.replace(",", " ").split()


def _read_rate_limit(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:10]) <= MAX_RATE):
        rule = f"must be 1 to {MAX_RATE:,} requests per minute; leave it empty for no limit"
        raise InvalidValue(("rate_limit",), rule)
    return int(text)


def _read_metadata(text: str) -> Mapping[str, Any]:
    if not text:
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        raise InvalidValue(("metadata",), 'must be a JSON object, such as {"team": "payments"}') from None
