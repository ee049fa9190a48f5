"""Read the credential of a request from its Authorization header or form."""

from base64 import b64decode
from typing import Final
from urllib.parse import unquote

from aiohttp import web

from services.token_authority.domain.client_assertion import ASSERTION_TYPE
from services.token_authority.domain.errors import AmbiguousCredential, CredentialMissing
from services.token_authority.operations.credentials import ClientAssertion, ClientSecret
from services.token_authority.payloads.introspection import ClientFields
from shared.contract.presented_secret import trim_secret
from shared.runtime.http.authorization import Authorization, read_authorization
from shared.runtime.http.body import FORM, is_of_media_type, read_form

_SCHEMES: Final = ("Basic", "Bearer")
_EXPECTED: Final = (
    "Send the client id and secret of the service by HTTP Basic or as client_id and client_secret, or a JWT signed by "
    "it, as client_assertion or as 'Authorization: Bearer'."
)


def bearer_of(request: web.Request, what: str) -> str:
    """Return the bearer token (RFC 6750 §2.1). Raise `CredentialMissing`, which says to send `what`, without one.

    Raise `AmbiguousCredential` for several headers.
    """
    sent = _authorization(request, "Bearer")
    if sent.scheme != "bearer" or not sent.credential:
        raise CredentialMissing(f"Send {what}.", "Bearer")
    return trim_secret(sent.credential)


async def service_credential(request: web.Request) -> ClientSecret | ClientAssertion:
    """Return the credential of a service, which may be in the header and in the form if it is the same.

    Raise `CredentialMissing` without one, `AmbiguousCredential` for two.
    """
    in_header, in_form = _read_header(request), await _read_form(request)
    if in_header is not None and in_form is not None and not _are_equal(in_header, in_form):
        detail = "The request has two different credentials, in a header and in the form; send one."
        raise AmbiguousCredential(detail, *_SCHEMES)
    credential = in_form or in_header
    if credential is None:
        raise CredentialMissing(_EXPECTED, *_SCHEMES)
    if in_header is None and isinstance(credential, ClientSecret) and not credential.client_id:
        raise CredentialMissing("A client_secret requires the client_id of the service.", *_SCHEMES)
    return credential


def _authorization(request: web.Request, *schemes: str) -> Authorization:
    headers = request.headers.getall("Authorization", [])
    if len(headers) > 1:
        detail = "The request has several Authorization headers; send one credential."
        raise AmbiguousCredential(detail, *schemes)
    return read_authorization(headers[0] if headers else "")


def _read_header(request: web.Request) -> ClientSecret | ClientAssertion | None:
    sent = _authorization(request, *_SCHEMES)
    if sent.scheme == "basic":
        return _read_basic(sent.credential)
    return ClientAssertion(trim_secret(sent.credential)) if sent.scheme == "bearer" else None


async def _read_form(request: web.Request) -> ClientSecret | ClientAssertion | None:
    """Return the credential in the form, with an empty client id if it has none. A `client_id` alone is none.

    A field without a value counts as left out (RFC 6749 §3.2).
    """
    if not is_of_media_type(request, FORM):
        return None
    form = read_form(await request.read(), ClientFields)
    has_assertion = bool(form.client_assertion or form.client_assertion_type)
    if has_assertion and form.client_secret:
        detail = "The form has two credentials, a client_secret and a client_assertion; send one."
        raise AmbiguousCredential(detail, *_SCHEMES)
    if form.client_secret:
        return ClientSecret(form.client_id or "", trim_secret(form.client_secret))
    if not has_assertion:
        return None
    if not form.client_assertion or form.client_assertion_type != ASSERTION_TYPE:
        detail = f"A client_assertion requires the client_assertion_type '{ASSERTION_TYPE}'."
        raise CredentialMissing(detail, *_SCHEMES)
    return ClientAssertion(trim_secret(form.client_assertion), form.client_id)


def _are_equal(in_header: ClientSecret | ClientAssertion, in_form: ClientSecret | ClientAssertion) -> bool:
    if isinstance(in_header, ClientAssertion) and isinstance(in_form, ClientAssertion):
        return in_header.text == in_form.text
    return in_header == in_form


def _read_basic(encoded: str) -> ClientSecret:
    """Return the client id and secret; empty ones, which are always refused, for malformed input."""
    try:
        client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return ClientSecret("", "")
    return ClientSecret(unquote(client_id), trim_secret(unquote(secret)))
