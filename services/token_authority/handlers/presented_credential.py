"""Read the credential of a request from its Authorization header or form."""

from base64 import b64decode
from urllib.parse import unquote

from aiohttp import web

from services.token_authority.domain.client_assertion import ASSERTION_TYPE
from services.token_authority.domain.errors import Unauthenticated
from services.token_authority.operations.credentials import ClientAssertion, ClientSecret
from services.token_authority.payloads.introspection import ClientFields
from shared.runtime.http.body import FORM, is_of_media_type, read_form
from shared.runtime.http.problem import BadRequest

_EXPECTED = (
    "Send the client id and secret of the service by HTTP Basic, or a JWT signed by it, as client_assertion or as "
    "'Authorization: Bearer'."
)


def bearer_of(request: web.Request, what: str) -> str:
    """Return the bearer token (RFC 6750 §2.1). Raise `Unauthenticated`, which says to send `what`, without one."""
    scheme, _, secret = _authorization(request).partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated(f"Send {what}.", "Bearer")
    return secret.strip()


async def service_credential(request: web.Request) -> ClientSecret | ClientAssertion:
    """Return the credential of a service. Raise `Unauthenticated` without one, `BadRequest` for two."""
    scheme, _, credential = _authorization(request).partition(" ")
    assertion = await _read_assertion(request, header_scheme=scheme)
    if assertion is not None:
        return assertion
    if scheme.lower() == "basic":
        return _read_basic(credential)
    if scheme.lower() == "bearer":
        return ClientAssertion(credential.strip())
    raise Unauthenticated(_EXPECTED, "Basic", "Bearer")


def _authorization(request: web.Request) -> str:
    headers = request.headers.getall("Authorization", [])
    if len(headers) > 1:
        raise BadRequest("The request has several Authorization headers; send one credential.")
    return headers[0] if headers else ""


async def _read_assertion(request: web.Request, header_scheme: str) -> ClientAssertion | None:
    if not is_of_media_type(request, FORM):
        return None
    form = read_form(await request.read(), ClientFields)
    fields = (form.client_secret, form.client_assertion, form.client_assertion_type)
    if header_scheme and fields != (None, None, None):
        raise BadRequest("The request has two credentials, in a header and in the form; send one.")
    if form.client_assertion is None and form.client_assertion_type is None:
        return None
    if form.client_secret is not None:
        raise BadRequest("The form has two credentials, a client_secret and a client_assertion; send one.")
    if form.client_assertion is None or form.client_assertion_type != ASSERTION_TYPE:
        detail = f"A client_assertion requires the client_assertion_type '{ASSERTION_TYPE}'."
        raise Unauthenticated(detail, "Basic", "Bearer")
    return ClientAssertion(form.client_assertion, form.client_id)


def _read_basic(encoded: str) -> ClientSecret:
    """Return the client id and secret; empty ones, which are always refused, for malformed input."""
    try:
        client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return ClientSecret("", "")
    return ClientSecret(unquote(client_id), unquote(secret))
