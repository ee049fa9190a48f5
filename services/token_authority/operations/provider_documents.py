"""The metadata and the keys of the identity provider, which are fetched again after an hour."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from jwt import PyJWKSet
from jwt.exceptions import PyJWTError
from msgspec import Struct

from services.token_authority.operations.provider_requests import ProviderRequests
from shared.runtime.crypto.jwt_keys import PublicKey, algorithms_of
from shared.runtime.http.secure_url import is_secure_url

DOCUMENT_LIFE_S: Final = 3600.0
UNKNOWN_KEY_RETRY_S: Final = 10.0
"""The pause after an unknown key, so that ID tokens with made-up keys cause few requests."""
ACCEPTED_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")


class Metadata(Struct, frozen=True, kw_only=True):
    """What is used of the metadata of a provider (OpenID Connect Discovery §3, RFC 9207 §3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    id_token_signing_alg_values_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool = False

    @property
    def algorithms(self) -> frozenset[str]:
        """The accepted algorithms with which the provider may sign ID tokens."""
        supported = self.id_token_signing_alg_values_supported
        return frozenset(ACCEPTED_ALGORITHMS).intersection(ACCEPTED_ALGORITHMS if supported is None else supported)

    @property
    def insecure_endpoint(self) -> str | None:
        """The name of an endpoint to which nothing may be sent; `None` if there is none."""
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
            url = getattr(self, name)
            if url is not None and not is_secure_url(url):
                return name
        return None


class SigningKey(NamedTuple):
    """A public key of the provider, and the algorithms for which it may be used."""

    kid: str | None
    public: PublicKey
    algorithms: frozenset[str]


class _KeySet(Struct):
    keys: list[dict[str, Any]]


class ProviderDocuments:
    """Caches the metadata and the keys of one provider. Create one instance per process."""

    def __init__(self, requests: ProviderRequests, issuer: str, *, clock: Callable[[], float]) -> None:
        self._requests = requests
        self._issuer = issuer
        self._clock = clock
        self._metadata: Metadata | None = None
        self._metadata_at = float("-inf")
        self._keys: list[SigningKey] = []
        self._keys_at = float("-inf")
        self._keys_lock = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """Return the metadata of the provider. Raise `ProviderUnavailable`."""
        if self._metadata is None or self._clock() - self._metadata_at >= DOCUMENT_LIFE_S:
            started_at = self._clock()
            self._metadata, self._metadata_at = await self._fetch_metadata(), started_at
        return self._metadata

    async def find_key(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Return the only key with this id for this algorithm, or `None`. Raise `ProviderUnavailable`.

        An ID token has no `kid` only if the provider has one key (OpenID Connect Core §10.1). Such a key cannot be
        recognized as replaced, so it is fetched again as an unknown key is.
        """
        async with self._keys_lock:
            found = self._find(kid, algorithm)
            life_s = DOCUMENT_LIFE_S if found and kid is not None else UNKNOWN_KEY_RETRY_S
            if self._clock() - self._keys_at >= life_s:
                started_at = self._clock()
                self._keys, self._keys_at = await self._fetch_keys(), started_at
                found = self._find(kid, algorithm)
        return found[0].public if len(found) == 1 else None

    def _find(self, kid: str | None, algorithm: str) -> list[SigningKey]:
        return [key for key in self._keys if algorithm in key.algorithms and kid in (None, key.kid)]

    async def _fetch_metadata(self) -> Metadata:
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        metadata = await self._requests.fetch(url, Metadata)
        if metadata.issuer != self._issuer:
            raise self._requests.unavailable(
                "the issuer in its metadata is not OIDC_ISSUER; both have to be equal, a slash at the end included"
            )
        if metadata.insecure_endpoint is not None:
            raise self._requests.unavailable(f"the {metadata.insecure_endpoint} in its metadata is no https URL")
        return metadata

    async def _fetch_keys(self) -> list[SigningKey]:
        keys = (await self._requests.fetch((await self.metadata()).jwks_uri, _KeySet)).keys
        usable = [key for key in map(_read_key, keys) if key is not None]
        if not usable:
            raise self._requests.unavailable(f"it has no key for any of {', '.join(ACCEPTED_ALGORITHMS)}")
        return usable


def _read_key(document: dict[str, Any]) -> SigningKey | None:
    """Return the key in a JSON Web Key (RFC 7517 §4); `None` if it is not one for ID tokens."""
    try:
        (key,) = PyJWKSet([document])
        algorithms = frozenset(algorithms_of(key.key))
        if "alg" in document:
            algorithms &= {document["alg"]}
    except (PyJWTError, ValueError, LookupError, TypeError, AttributeError):  # PyJWT leaves some errors to Python
        return None
    is_usable = algorithms and document.get("use", "sig") == "sig"
    return SigningKey(key.key_id, key.key, algorithms) if is_usable else None
