"""Tells by a credential who calls: an administrator, or a service.

What is malformed is refused without the database. An address that has been wrong too often is sent away before an admin
key is looked up. A service's credential is looked at all the same, for its guards must not be stopped by whoever shares
their address, and only one that is wrong is told to wait. All that is wrong is told alike and costs about the same,
known client id or not.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Final, NamedTuple

from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.errors import Unauthenticated
from services.token_authority.domain.service import Service, is_client_id
from services.token_authority.operations.assertion import Assertion, SignatureCheck, UnfitAssertion, read_assertion
from services.token_authority.operations.attempts import Address, Attempts
from services.token_authority.storage.admin_keys import select_admin_key_by_digest
from services.token_authority.storage.service_assertions import insert_service_assertion
from services.token_authority.storage.services import select_service_to_authenticate
from shared.contract import token as contract
from shared.contract.token import CLIENT_SECRET, digest, is_well_formed
from shared.runtime.postgres.database import Database

_NOBODYS_DIGEST: Final = bytes(32)
_SCHEMES: Final = ("Basic", "Bearer")


class ClientSecret(NamedTuple):
    """A service's client id and secret, as they came (RFC 6749 §2.3.1)."""

    client_id: str
    secret: str


class ClientAssertion(NamedTuple):
    """A JWT that a service has signed, for an endpoint, as it came (RFC 7523 §2.2)."""

    text: str
    client_id: str | None = None
    """What the request says besides; it has to be the same."""


class Credentials:
    """One a process. Every method raises `Unauthenticated`, or `TooManyAttempts`, for what is not good."""

    def __init__(self, database: Database, attempts: Attempts, issuer: str) -> None:
        self._database = database
        self._attempts = attempts
        self._issuer = issuer
        self._signatures = SignatureCheck()

    async def admin_key(self, presented: str, address: Address | None) -> AdminKey:
        """The admin key of this secret."""
        refusal = Unauthenticated("This admin key is not known here.", "Bearer")
        if not is_well_formed(presented, contract.ADMIN_KEY):
            raise await self._attempts.wrong("admin_key", address, refusal)
        await self._attempts.admit("admin_key", address)
        key = await select_admin_key_by_digest(self._database, digest(presented), datetime.now(UTC))
        if key is None:
            raise await self._attempts.wrong("admin_key", address, refusal)
        return key

    async def service_by_secret(self, presented: ClientSecret, address: Address | None) -> Service:
        """The service that has this secret."""
        client_id, secret = presented
        refusal = Unauthenticated("This client id and secret are not known here.", *_SCHEMES)
        if not is_client_id(client_id) or not is_well_formed(secret, CLIENT_SECRET):
            raise await self._attempts.wrong("client_secret", address, refusal, client_id)
        found = await select_service_to_authenticate(self._database, client_id, datetime.now(UTC))
        shown, known = digest(secret), (found and found.digests) or [_NOBODYS_DIGEST]
        matches = [hmac.compare_digest(shown, each) for each in known]
        if found is None or not any(matches):
            raise await self._attempts.wrong("client_secret", address, refusal, client_id)
        return found.service

    async def service_by_assertion(self, presented: ClientAssertion, address: Address | None, path: str) -> Service:
        """The service that has signed this assertion for the endpoint at `path`, and presents it for the first time."""
        try:
            assertion = self._read(presented, path)
        except UnfitAssertion as error:
            refusal = Unauthenticated(f"This client assertion cannot be good: {error}.", *_SCHEMES)
            raise await self._attempts.wrong("client_assertion", address, refusal) from None
        service = await self._signer_of(assertion)
        if service is None:
            refusal = Unauthenticated(
                "This client assertion is not good here: its client id is not known, the key that has signed it is "
                "another, or it has been presented before.",
                *_SCHEMES,
            )
            raise await self._attempts.wrong("client_assertion", address, refusal, assertion.client_id)
        return service

    def _read(self, presented: ClientAssertion, path: str) -> Assertion:
        audiences = {self._issuer, self._issuer.rstrip("/") + path}
        assertion = read_assertion(presented.text, audiences, datetime.now(UTC))
        if presented.client_id not in (None, assertion.client_id):
            raise UnfitAssertion("'client_id' is not whom it speaks of")
        return assertion

    async def _signer_of(self, assertion: Assertion) -> Service | None:
        found = await select_service_to_authenticate(self._database, assertion.client_id, datetime.now(UTC))
        if not self._signatures.holds(assertion, found.service.public_key if found else None) or found is None:
            return None
        jti_digest = hashlib.sha256(assertion.jti.encode()).digest()
        is_new = await insert_service_assertion(self._database, assertion.client_id, jti_digest, assertion.ends_at)
        return found.service if is_new else None
