"""An OpenID provider on 127.0.0.1 that signs in the person of the test without asking, and can be made to misbehave."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import unquote_plus, urlencode

import jwt
from aiohttp import web
from jwt.algorithms import get_default_algorithms

from shared.runtime.process.serve import listen
from tests.support.client_keys import ClientKey, Kind
from tests.support.stack import HOST

Algorithm = Literal["ES256", "EdDSA", "RS256", "PS256", "HS256", "none"]
_KINDS: Final[dict[str, Kind]] = {"EdDSA": "Ed25519", "RS256": "RSA", "PS256": "RSA"}


class _Code(NamedTuple):
    """What an authorization code stands for."""

    claims: dict[str, Any]
    redirect_uri: str
    nonce: str
    challenge: str


class FakeIdentityProvider:
    """A provider at `issuer` with one client. Change the attributes to choose the person, or what goes wrong.

    `person`: the claims of who signs in, of which those in `userinfo_only` are not in the ID token.
    `is_denying`: the person refuses to sign in.
    `is_available`, `is_silent`: answer everything with 503; answer nothing.
    `metadata`, `token_response`, `id_token`, `userinfo`, `key`: members to add or replace; `None` leaves one out.
    `algorithm`, `has_kid`: how ID tokens are signed, and whether they name the key.
    `replies`: other responses by path.
    `requests`, `client_authentications`: how many requests there were by path; how the client has authenticated.
    """

    def __init__(self, client_id: str, client_secret: str) -> None:
        self.issuer = ""
        self.client_id = client_id
        self.client_secret = client_secret
        self.person: dict[str, Any] = {"sub": "u-1", "preferred_username": "ada", "groups": ["pollgate-admins"]}
        self.userinfo_only: tuple[str, ...] = ()
        self.is_denying = False
        self.is_available = True
        self.is_silent = False
        self.id_token: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.token_response: dict[str, Any] = {}
        self.key: dict[str, Any] = {}
        self.algorithm: Algorithm = "ES256"
        self.has_kid = True
        self.replies: dict[str, Callable[[], web.StreamResponse]] = {}
        self.requests: Counter[str] = Counter()
        self.client_authentications: list[str] = []
        self._keys: dict[str, ClientKey] = {}
        self._kid_suffix = 0
        self._codes: dict[str, _Code] = {}
        self._access: dict[str, dict[str, Any]] = {}

    def rotate_keys(self) -> None:
        """Replace the signing keys by new ones with other ids."""
        self._kid_suffix += 1
        self._keys.clear()

    def create_app(self) -> web.Application:
        """Return an application with the routes of the provider."""
        app = web.Application(middlewares=[self._intercept])
        app.router.add_get("/.well-known/openid-configuration", self._discover)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        app.router.add_get("/keys", self._key_set)
        app.router.add_get("/userinfo", self._userinfo)
        return app

    @web.middleware
    async def _intercept(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        self.requests[request.path] += 1
        if self.is_silent:
            await asyncio.Event().wait()
        if not self.is_available:
            return web.Response(status=503, text="down for the test")
        if request.path in self.replies:
            return self.replies[request.path]()
        response: web.StreamResponse = await handler(request)
        return response

    async def _discover(self, _request: web.Request) -> web.Response:
        metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "HS256", "none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return web.json_response(_replace(metadata, self.metadata))

    async def _authorize(self, request: web.Request) -> web.Response:
        """Redirect back at once, with a code for the person."""
        query = request.query
        is_valid = (
            (query["response_type"], query["client_id"], query["code_challenge_method"])
            == ("code", self.client_id, "S256")
            and "openid" in query["scope"].split()
            and len(query["code_challenge"]) == 43
        )
        if not is_valid:
            return web.Response(status=400, text="invalid authorization request")
        code = secrets.token_urlsafe(16)
        redirect_uri = query["redirect_uri"]
        self._codes[code] = _Code(dict(self.person), redirect_uri, query["nonce"], query["code_challenge"])
        outcome = {"error": "access_denied"} if self.is_denying else {"code": code}
        parameters = urlencode({**outcome, "state": query["state"], "iss": self.issuer})
        location = f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{parameters}"
        return web.Response(status=302, headers={"Location": location})

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if not self._is_client(request.headers.get("Authorization"), form):
            return web.json_response({"error": "invalid_client"}, status=401)
        found = self._codes.pop(form.get("code", ""), None)
        is_valid = (
            found is not None
            and form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == found.redirect_uri
            and _challenge(form.get("code_verifier", "")) == found.challenge
        )
        if found is None or not is_valid:
            return web.json_response({"error": "invalid_grant", "error_description": form.get("code")}, status=400)
        access_token = secrets.token_urlsafe(16)
        self._access[access_token] = found.claims
        id_token = self.create_id_token(found.nonce, found.claims)
        tokens = {"access_token": access_token, "token_type": "Bearer", "id_token": id_token}
        return web.json_response(_replace(tokens, self.token_response))

    def _is_client(self, authorization: str | None, form: Mapping[str, str]) -> bool:
        if authorization is not None:
            self.client_authentications.append("client_secret_basic")
            decoded = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            presented = [unquote_plus(part) for part in decoded.split(":")]
        else:
            self.client_authentications.append("client_secret_post" if "client_secret" in form else "none")
            presented = [form.get("client_id", ""), form.get("client_secret", "")]
        return presented == [self.client_id, self.client_secret]

    def create_id_token(self, nonce: str, person: Mapping[str, Any] | None = None) -> str:
        """Return a signed ID token for these claims, by default those of the person."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": self.client_id, "iat": now, "exp": now + 300, "nonce": nonce}
        claimed = self.person if person is None else person
        shown = {name: value for name, value in claimed.items() if name not in self.userinfo_only}
        claims = _replace({**usual, **shown}, self.id_token)
        headers = {"kid": self._kid(self.algorithm)} if self.has_kid else {}
        if self.algorithm in ("HS256", "none"):
            secret = self._key("ES256").public_pem if self.algorithm == "HS256" else None
            return _sign_with_secret({"alg": self.algorithm, "kid": self._kid("ES256")}, claims, secret)
        return jwt.encode(claims, self._key(self.algorithm).private, self.algorithm, headers)

    def _key(self, algorithm: str) -> ClientKey:
        if algorithm not in self._keys:
            self._keys[algorithm] = ClientKey(_KINDS.get(algorithm, "P-256"))
        return self._keys[algorithm]

    def _kid(self, algorithm: str) -> str:
        return f"{algorithm}-{self._kid_suffix}"

    async def _key_set(self, _request: web.Request) -> web.Response:
        self._key("ES256")
        keys = [
            _replace({**_to_jwk(key, algorithm), "kid": self._kid(algorithm), "use": "sig"}, self.key)
            for algorithm, key in self._keys.items()
        ]
        return web.json_response({"keys": keys})

    async def _userinfo(self, request: web.Request) -> web.Response:
        claims = self._access.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if claims is None:
            return web.json_response({"error": "invalid_token"}, status=401)
        return web.json_response(_replace(claims, self.userinfo))


@asynccontextmanager
async def run_identity_provider(
    client_id: str = "pollgate", client_secret: str = "between the two"
) -> AsyncGenerator[FakeIdentityProvider, None]:
    """Run a provider during the block, with one client: a public one if the secret is empty."""
    provider = FakeIdentityProvider(client_id, client_secret)
    async with listen(provider.create_app(), HOST, 0) as port:
        provider.issuer = f"http://{HOST}:{port}"
        yield provider


def _replace(usual: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def _challenge(verifier: str) -> str:
    return _base64url(hashlib.sha256(verifier.encode()).digest())


def _to_jwk(key: ClientKey, algorithm: str) -> dict[str, Any]:
    return json.loads(get_default_algorithms()[algorithm].to_jwk(key.private.public_key()))  # type: ignore[no-any-return]


def _sign_with_secret(headers: Mapping[str, Any], claims: Mapping[str, Any], secret: str | None) -> str:
    """Return a JWT with HS256, or without signature. PyJWT refuses to take a public key as a secret."""
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in (headers, claims))
    signature = b"" if secret is None else hmac.digest(secret.encode(), signed.encode(), "sha256")
    return f"{signed}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
