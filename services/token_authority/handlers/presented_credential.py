"""The credential that a request carries, of those by which a service may show who it is."""

from base64 import b64decode
from urllib.parse import unquote

from aiohttp import web
from msgspec import Struct

from services.token_authority.domain.errors import Unauthenticated
from services.token_authority.operations.credentials import ClientAssertion, ClientSecret
from shared.contract.client_assertion import ASSERTION_TYPE
from shared.runtime.http.body import FORM, is_of_media_type, read_form
from shared.runtime.http.problem import BadRequest

_HOW = (
    "Send the service's client id and secret by HTTP Basic, or a JWT that it has signed, as client_assertion or as "
    "'Authorization: Bearer'."
)


class _ClientFields(Struct, frozen=True):
    """What a form may say of the client (RFC 6749 §2.3.1, RFC 7521 §4.2)."""

    client_id: str | None = None
    client_secret: str | None = None
    client_assertion: str | None = None
    client_assertion_type: str | None = None


def bearer_of(request: web.Request, what: str) -> str:
    """What follows `Bearer` in the Authorization header (RFC 6750 §2.1). Raises `Unauthenticated` without."""
    scheme, _, secret = _authorization(request).partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated(f"Send {what}.", "Bearer")
    return secret.strip()


async def service_credential(request: web.Request) -> ClientSecret | ClientAssertion:
    """The one credential of a service. Raises `Unauthenticated` without, and `BadRequest` for two at once."""
    scheme, _, credential = _authorization(request).partition(" ")
    asserted = await _asserted(request, beside=scheme)
    if asserted is not None:
        return asserted
    if scheme.lower() == "basic":
        return _basic(credential)
    if scheme.lower() == "bearer":
        return ClientAssertion(credential.strip())
    raise Unauthenticated(_HOW, "Basic", "Bearer")


def _authorization(request: web.Request) -> str:
    headers = request.headers.getall("Authorization", [])
    if len(headers) > 1:
        raise BadRequest("The request carries several Authorization headers; send one credential.")
    return headers[0] if headers else ""


async def _asserted(request: web.Request, beside: str) -> ClientAssertion | None:
    if not is_of_media_type(request, FORM):
        return None
    form = read_form(await request.read(), _ClientFields)
    told = (form.client_secret, form.client_assertion, form.client_assertion_type)
    if beside and told != (None, None, None):
        raise BadRequest("The request carries two credentials, in a header and in the form; send one.")
    if form.client_assertion is None and form.client_assertion_type is None:
        return None
    if form.client_secret is not None:
        raise BadRequest("The form carries two credentials, a client_secret and a client_assertion; send one.")
    if form.client_assertion is None or form.client_assertion_type != ASSERTION_TYPE:
        how = f"A client_assertion comes with the client_assertion_type '{ASSERTION_TYPE}'."
        raise Unauthenticated(how, "Basic", "Bearer")
    return ClientAssertion(form.client_assertion, form.client_id)


def _basic(encoded: str) -> ClientSecret:
    """What cannot be read is nobody's."""
    try:
        client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return ClientSecret("", "")
    return ClientSecret(unquote(client_id), unquote(secret))
