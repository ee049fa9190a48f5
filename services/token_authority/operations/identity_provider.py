"""Sign in people through an OpenID provider, by the authorization code flow with PKCE."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, quote_plus, urlencode

import aiohttp
import msgspec
from msgspec import Struct

from services.token_authority.domain.errors import SignInRefused
from services.token_authority.domain.person import Person, choose_name
from services.token_authority.operations.id_token import Expected, invalid, read_signature, verify
from services.token_authority.operations.provider_documents import Metadata, ProviderDocuments
from services.token_authority.operations.provider_requests import ProviderRequests, ProviderResponse, decode

_CLIENT_ERRORS: Final = ("invalid_client", "unauthorized_client")


_CODE: Final = re.compile(r"[ -~]{1,4096}")
_ACCESS_TOKEN: Final = re.compile(r"[!-~]+")
"""The characters of RFC 6749, appendix A.11 and A.12."""

Claims = dict[str, Any]


class SignInAttempt(NamedTuple):
    """The values of one sign-in: `state`, `nonce` and the PKCE code verifier. The provider is sent a hash of the last.

    All are derived from one random secret that a cookie keeps, so that nothing is stored here.
    """

    state: str
    nonce: str
    verifier: str


class ProviderConfig(NamedTuple):
    """How this authority is registered at the provider. `client_secret` is empty for a public client."""

    issuer: str
    client_id: str
    client_secret: str
    scopes: str
    groups_claim: str
    redirect_uri: str


def attempt_of(secret: str) -> SignInAttempt:
    """Derive the values of a sign-in. Each has 43 characters of base64url, as RFC 7636 §4.1 wants of a verifier."""
    return SignInAttempt(*(_derive(secret, name) for name in SignInAttempt._fields))


class _Tokens(Struct):
    """The response of the token endpoint (OpenID Connect Core §3.1.3.3)."""

    id_token: str
    access_token: str | None = None


class _TokenError(Struct):
    """An error of the token endpoint (RFC 6749 §5.2)."""

    error: str


class IdentityProvider:
    """One OpenID provider. Create one instance per process; it caches metadata and keys."""

    def __init__(self, http: aiohttp.ClientSession, config: ProviderConfig, *, clock: Callable[[], float]) -> None:
        self._config = config
        self._requests = ProviderRequests(http, config.issuer)
        self._documents = ProviderDocuments(self._requests, config.issuer, clock=clock)

    async def authorization_url(self, attempt: SignInAttempt) -> str:
        """Return the URL at which a browser starts to sign in. Raise `ProviderUnavailable`."""
        endpoint = (await self._documents.metadata()).authorization_endpoint
        parameters = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": self._config.redirect_uri,
            "scope": self._config.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": _base64url(hashlib.sha256(attempt.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters, quote_via=quote)}"

    async def require_issuer(self, iss: str | None) -> None:
        """Check the `iss` of the authorization response (RFC 9207 §2.4). Raise `SignInRefused`."""
        is_required = (await self._documents.metadata()).authorization_response_iss_parameter_supported
        if iss != self._config.issuer and (iss is not None or is_required):
            raise SignInRefused("the response came from another identity provider")

    async def authenticate(self, attempt: SignInAttempt, code: str) -> Person:
        """Return the person for the code of an authorization response. Raise `SignInRefused` or `ProviderUnavailable`.

        The caller has to compare the `state` of the response with that of the attempt before.
        """
        if not _CODE.fullmatch(code):
            raise SignInRefused("the response of the identity provider has no valid code")
        metadata = await self._documents.metadata()
        tokens = await self._exchange(metadata, attempt, code)
        claims = await self._verify(metadata, tokens.id_token, attempt.nonce)
        if claims.get(self._config.groups_claim) is None and metadata.userinfo_endpoint is not None:
            claims = {**await self._fetch_userinfo(metadata.userinfo_endpoint, tokens, claims["sub"]), **claims}
        groups = _read_groups(claims.get(self._config.groups_claim))
        return Person(claims["sub"], choose_name(claims), groups)

    async def _exchange(self, metadata: Metadata, attempt: SignInAttempt, code: str) -> _Tokens:
        headers, credential = self._authenticate_client(metadata)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._config.redirect_uri,
            "code_verifier": attempt.verifier,
            **credential,
        }
        response = await self._requests.send("POST", metadata.token_endpoint, headers=headers, form=form)
        if response.status != 200:
            raise self._refusal(response)
        return self._requests.read(response, _Tokens, "the token endpoint")

    def _authenticate_client(self, metadata: Metadata) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return the headers and the form fields by which this client authenticates (RFC 6749 §2.3.1)."""
        client_id, secret = self._config.client_id, self._config.client_secret
        if not secret:
            return {}, {"client_id": client_id}
        methods = metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
        if "client_secret_post" in methods and "client_secret_basic" not in methods:
            return {}, {"client_id": client_id, "client_secret": secret}
        return {"Authorization": aiohttp.encode_basic_auth(quote_plus(client_id), quote_plus(secret))}, {}

    def _refusal(self, response: ProviderResponse) -> Exception:
        """Return the error for a response of the token endpoint without tokens."""
        refusal = decode(response.body, _TokenError) if 400 <= response.status < 500 else None
        if refusal is not None and refusal.error == "invalid_grant":
            return SignInRefused("the code was used before, has expired, or belongs to another sign-in")
        if response.status == 401 or (refusal is not None and refusal.error in _CLIENT_ERRORS):
            return self._requests.unavailable("it refuses OIDC_CLIENT_ID and OIDC_CLIENT_SECRET")
        return self._requests.unavailable(f"the token endpoint answered {response.status}")

    async def _verify(self, metadata: Metadata, token: str, nonce: str) -> Claims:
        signature = read_signature(token)
        if signature.algorithm not in metadata.algorithms:
            raise invalid("its algorithm is not accepted")
        key = await self._documents.find_key(signature.kid, signature.algorithm)
        if key is None:
            raise invalid("its key is not one of the provider")
        return verify(token, key, signature.algorithm, Expected(self._config.issuer, self._config.client_id, nonce))

    async def _fetch_userinfo(self, endpoint: str, tokens: _Tokens, sub: str) -> Claims:
        """Return the claims that userinfo has for this person (OpenID Connect Core §5.3)."""
        if tokens.access_token is None or not _ACCESS_TOKEN.fullmatch(tokens.access_token):
            raise self._requests.unavailable("the token endpoint answered no valid access token")
        claims = await self._requests.fetch(endpoint, Claims, access_token=tokens.access_token)
        if claims.get("sub") != sub:
            raise SignInRefused("the response of userinfo is about another person")
        return claims


def _read_groups(claim: Any) -> tuple[str, ...]:
    if claim is None:
        return ()
    try:
        groups = msgspec.convert(claim, str | list[str])
    except msgspec.ValidationError:
        raise SignInRefused("the claim with your groups has to be a text or a list of texts") from None
    return (groups,) if isinstance(groups, str) else tuple(groups)


def _derive(secret: str, name: str) -> str:
    return _base64url(hmac.digest(secret.encode(), f"pollgate sign-in {name}".encode(), "sha256"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
