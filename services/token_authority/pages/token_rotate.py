"""Rotate a token, with a new expiry if it is wanted, and show the new secret once."""

from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web
from msgspec import Struct

from services.token_authority.app_keys import CHANGES, FORM, SETTINGS
from services.token_authority.domain.errors import InvalidValue, RequestRepeated, TokenEnded, TooManySecrets
from services.token_authority.domain.token import Token
from services.token_authority.pages.access import administrator_of
from services.token_authority.pages.expiry_form import ExpiryForm, expiry_form
from services.token_authority.pages.form_keys import FORM_KEY, REPEATED, form_key_of, new_form_key
from services.token_authority.pages.page import page
from services.token_authority.pages.paths import token_path
from services.token_authority.pages.receipt import wait_for_effect
from services.token_authority.pages.rotation_form import DEFAULT, OVERLAPS, read_rotation
from services.token_authority.pages.token_create import shown_once
from services.token_authority.pages.token_detail import load_changeable_token, load_token
from services.token_authority.pages.token_form import describe_expiry, errors_of
from services.token_authority.payloads.token_requests import RotateSecret
from shared.runtime.pages.filters import moment, sentence
from shared.runtime.pages.notices import lead_to


class RotationForm(Struct, frozen=True):
    """How the new secret replaces the older ones, and the expiry of the token."""

    expiry: ExpiryForm
    rotation: RotateSecret = DEFAULT


async def show_form(request: web.Request) -> web.Response:
    """Return the form."""
    token = await load_changeable_token(request, also_expired=True)
    return _form_page(request, token, RotationForm(_expiry(request, token)), new_form_key())


async def rotate_token(request: web.Request) -> web.Response:
    """Rotate the token, and return the page with its new secret; lead to the token if the same form did that."""
    token, sent = await load_token(request), request[FORM]
    form = RotationForm(_expiry(request, token, sent.text("expires"), sent.text("expires_on")))
    try:
        form = RotationForm(form.expiry, read_rotation(sent))
        key = form_key_of(request, form)
        rotated = await request.app[CHANGES].rotate(
            token.id,
            form.rotation.to_rotation(key),
            administrator_of(request),
            lifetime=form.expiry.to_lifetime(),
            max_lifetime=request.app[SETTINGS].max_token_lifetime,
        )
    except RequestRepeated:
        return lead_to(token_path(token.id), REPEATED)
    except InvalidValue as error:
        return _form_page(request, token, form, sent.raw(FORM_KEY), errors_of(error))
    except (TokenEnded, TooManySecrets) as error:
        return _form_page(request, token, form, sent.raw(FORM_KEY), {"form": sentence(str(error))}, status=409)
    receipt = await wait_for_effect(request, rotated.pending)
    end = rotated.old_secrets_end_at
    still_works = end is not None and end > datetime.now(UTC)
    old = f"The old secret works until {moment(end)}." if end and still_works else "The old secret no longer works."
    return await shown_once(request, rotated.token, rotated.minted.text, "New secret", old=old, receipt=receipt)


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
    *,
    status: int = 422,
) -> web.Response:
    return page(
        request,
        "token_rotate.html",
        status=status if errors else 200,
        token=token,
        form=form,
        form_key=form_key,
        overlaps=OVERLAPS,
        errors=errors or {},
        max_days=request.app[SETTINGS].max_token_lifetime_days,
    )
