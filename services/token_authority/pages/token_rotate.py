"""Rotate a token, with a new expiry if it is wanted, and show the new secret once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from msgspec import Struct

from services.token_authority.app_keys import CHANGES, FORM, SETTINGS
from services.token_authority.domain.errors import InvalidValue, TokenEnded, TooManySecrets
from services.token_authority.domain.secret import DEFAULT_OVERLAP_S, new_rotation
from services.token_authority.domain.token import Token
from services.token_authority.pages import paths
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.expiry_form import ExpiryForm, expiry_form
from services.token_authority.pages.form_keys import find_earlier, form_key_of, new_form_key
from services.token_authority.pages.page import page
from services.token_authority.pages.receipt import wait_for_effect
from services.token_authority.pages.token_create import shown_once
from services.token_authority.pages.token_detail import load_token
from services.token_authority.pages.token_form import describe_expiry, errors_of
from shared.runtime.pages.filters import moment

OVERLAPS: Final = (
    ("0", "It ends at once"),
    ("3600", "For 1 hour"),
    ("86400", "For 1 day"),
    ("604800", "For 7 days"),
    ("2592000", "For 30 days"),
)


class RotationForm(Struct, frozen=True, kw_only=True):
    """How the new secret replaces the older ones, and the expiry of the token."""

    expiry: ExpiryForm
    overlap: str = str(DEFAULT_OVERLAP_S)
    end_on_use: bool = False

    @property
    def overlap_s(self) -> int:
        """The overlap in seconds. Raise `InvalidValue` for one that is no choice."""
        if self.overlap not in dict(OVERLAPS):
            raise InvalidValue(("overlap_s",), "choose how long the old secret works")
        return int(self.overlap)


async def show_form(request: web.Request) -> web.Response:
    """Return the form."""
    token = await load_token(request)
    return _form_page(request, token, RotationForm(expiry=_expiry(request, token)), new_form_key())


async def rotate_token(request: web.Request) -> web.Response:
    """Rotate the token, and return the page with its new secret."""
    token, sent = await load_token(request), request[FORM]
    form = RotationForm(
        expiry=_expiry(request, token, sent.text("expires"), sent.text("expires_on")),
        overlap=sent.text("overlap_s"),
        end_on_use=sent.has("end_on_use"),
    )
    key = form_key_of(request, form)
    if await find_earlier(request, key) is not None:
        raise web.HTTPSeeOther(f"{paths.token_path(token.id)}?done=rotated_before")
    try:
        rotated = await request.app[CHANGES].rotate(
            token.id,
            new_rotation(form.overlap_s, end_on_use=form.end_on_use, key=key),
            administrator_of(request),
            lifetime=form.expiry.to_lifetime(),
            max_lifetime=request.app[SETTINGS].max_token_lifetime,
        )
    except InvalidValue as error:
        return _form_page(request, token, form, sent.text("form_key"), errors_of(error))
    except (TokenEnded, TooManySecrets) as error:
        return _form_page(request, token, form, sent.text("form_key"), {"form": f"{error}."})
    receipt = await wait_for_effect(request, rotated.pending)
    end = rotated.old_secrets_end_at
    still_works = end is not None and end > datetime.now(UTC)
    old = f"The old secret works until {moment(end)}." if end and still_works else "The old secret no longer works."
    return await shown_once(request, rotated.token, rotated.minted.text, "rotated", old=old, receipt=receipt)


def _expiry(request: web.Request, token: Token, chosen: str = "", on_day: str = "") -> ExpiryForm:
    now, max_lifetime = datetime.now(UTC), request.app[SETTINGS].max_token_lifetime
    keep = "" if token.status(now) == "expired" else describe_expiry(token)
    return expiry_form(now, max_lifetime, chosen=chosen, on_day=on_day, keep=keep)


def _form_page(
    request: web.Request,
    token: Token,
    form: RotationForm,
    form_key: str,
    errors: Mapping[str, str] | None = None,
) -> web.Response:
    return page(
        request,
        "token_rotate.html",
        status=422 if errors else 200,
        token=token,
        form=form,
        form_key=form_key,
        overlaps=OVERLAPS,
        errors=errors or {},
        max_days=request.app[SETTINGS].max_token_lifetime_days,
    )
