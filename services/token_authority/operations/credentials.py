"""Authenticate administrators and services by their credentials.

A malformed credential is refused without a query, and so is a secret of another kind, which does not count as wrong.
Every other credential is checked, also if too many were wrong before; only a wrong one may get 429. For an address
beyond that limit, admin keys wait for their turn, except those that were valid within the last hour. A service's
credential never waits, so that its guards are not stopped by other callers at the same address. Wrong credentials get
the same response and take about the same time, whether or not the client id exists.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from services.token_authority.domain.actor import Actor
from services.token_authority.domain.admin_key import AdminKey
from services.token_authority.domain.errors import InvalidAssertion, Restored, Unauthenticated
from services.token_authority.domain.service import Service, ServiceCredentials, ServiceLookup, is_client_id
from services.token_authority.operations.attempts import CLIENT_ASSERTION, Attempts
from services.token_authority.operations.client_assertion import Assertion, SignatureCheck, read_assertion
from services.token_authority.operations.first_use import (
    record_first_use_of_admin_key,
    record_first_use_of_service,
)
from services.token_authority.storage.admin_keys import select_admin_key_by_digest
from services.token_authority.storage.service_assertions import insert_service_assertion
from services.token_authority.storage.services import select_services_to_authenticate
from shared.contract import token as contract
from shared.contract.presented_secret import describe_flaw
from shared.contract.token import CLIENT_SECRET, digest, is_well_formed
from shared.runtime.http.address import Address
from shared.runtime.postgres.batched_reads import BatchedReads
from shared.runtime.postgres.database import Database

_UNMATCHED_DIGEST: Final = bytes(32)
"""Compared with if the service is unknown or has no secret, so that the check takes as long."""
_SCHEMES: Final = ("Basic", "Bearer")
_SEND_SERVICE_CREDENTIAL: Final = (
    "send the client id and secret of the service by HTTP Basic, or a JWT signed by the service"
)


class ClientSecret(NamedTuple):
    """A service's client id and secret, as sent in the request (RFC 6749 §2.3.1)."""

    client_id: str
    secret: str


class ClientAssertion(NamedTuple):
    """A JWT signed by a service, as sent in the request (RFC 7523 §2.2). `client_id` is the form field, if sent."""

    text: str
    client_id: str | None = None


class Credentials:
    """Authenticates administrators and services. Create one instance per process.

    Every method raises `Unauthenticated` or `TooManyAttempts` for a wrong credential, and `Restored` while the database
    is restored, except `during_restoration`.
    """

    def __init__(self, database: Database, attempts: Attempts, issuer: str) -> None:
        self._database = database
        self._attempts = attempts
        self._issuer = issuer
        self._signatures = SignatureCheck()
        self._services = BatchedReads(self._select_services)

    async def authenticate_admin_key(self, presented: str, address: Address | None) -> AdminKey:
        """Return the admin key with this secret."""
        refusal = Unauthenticated("Unknown admin key.", "Bearer")
        self._attempts.require_kind("admin_key", presented, contract.ADMIN_KEY, "send an admin key", "Bearer")
        if (flaw := describe_flaw(presented, contract.ADMIN_KEY)) is not None:
            await self._attempts.record_failure("admin_key", address, Unauthenticated(flaw, "Bearer"))
        shown = digest(presented)
        async with self._attempts.lookup("admin_key", address, shown):
            key = await self._find_admin_key(shown, address)
        self._attempts.remember(shown, is_valid=key is not None)
        if key is None:
            await self._attempts.record_failure("admin_key", address, refusal)
        return key

    async def _find_admin_key(self, shown: bytes, address: Address | None) -> AdminKey | None:
        """Return the admin key with this secret. The first use of the secret is stored before this returns."""
        found = await select_admin_key_by_digest(self._database, shown, datetime.now(UTC))
        if found is not None and not found.is_used:
            by = Actor("admin_key", found.key.id, None if address is None else str(address))
            await record_first_use_of_admin_key(self._database, found.key.id, shown, by, datetime.now(UTC))
            found = await select_admin_key_by_digest(self._database, shown, datetime.now(UTC))
        return None if found is None else found.key

    async def _select_services(self, client_ids: Sequence[str]) -> Mapping[str, ServiceLookup]:
        return await select_services_to_authenticate(self._database, client_ids, datetime.now(UTC))

    async def _find_service(self, client_id: str, *, during_restoration: bool) -> ServiceCredentials | None:
        found = await self._services.get(client_id)
        if found is None:
            return None
        if found.is_restored and not during_restoration:
            raise Restored
        return found.credentials

    async def authenticate_by_secret(
        self, presented: ClientSecret, address: Address | None, *, during_restoration: bool = False
    ) -> Service:
        """Return the service with this client id and secret."""
        client_id, secret = presented
        refusal = Unauthenticated("Unknown client id or wrong client secret.", *_SCHEMES)
        for part in presented:  # the secret may be in place of the client id
            self._attempts.require_kind("client_secret", part, CLIENT_SECRET, _SEND_SERVICE_CREDENTIAL, *_SCHEMES)
        if not is_client_id(client_id) or not is_well_formed(secret, CLIENT_SECRET):
            await self._attempts.record_failure("client_secret", address, refusal, client_id)
        found = await self._find_service(client_id, during_restoration=during_restoration)
        shown, known = digest(secret), (found and found.digests) or [_UNMATCHED_DIGEST]
        matches = [hmac.compare_digest(shown, each) for each in known]
        if found is None or not any(matches):
            await self._attempts.record_failure("client_secret", address, refusal, client_id)
        if shown in found.unused and not during_restoration:
            by = Actor("service", client_id, None if address is None else str(address))
            await record_first_use_of_service(self._database, client_id, shown, by, datetime.now(UTC))
            return await self.authenticate_by_secret(presented, address)
        return found.service

    async def authenticate_by_assertion(
        self, presented: ClientAssertion, address: Address | None, path: str, *, during_restoration: bool = False
    ) -> Service:
        """Return the service that signed this assertion for the endpoint at `path`, and accept the assertion once."""
        self._attempts.require_kind(
            "client_assertion", presented.text, CLIENT_ASSERTION, _SEND_SERVICE_CREDENTIAL, *_SCHEMES
        )
        try:
            assertion = self._read(presented, path)
        except InvalidAssertion as error:
            await self._attempts.record_failure("client_assertion", address, error)
        service = await self._find_signer(assertion, during_restoration=during_restoration)
        if service is None:
            refusal = Unauthenticated(
                "Client assertion refused: the client id is unknown, the signature does not match its key, or the "
                "assertion was used before.",
                *_SCHEMES,
            )
            await self._attempts.record_failure("client_assertion", address, refusal, assertion.client_id)
        return service

    def _read(self, presented: ClientAssertion, path: str) -> Assertion:
        audiences = {self._issuer, self._issuer.rstrip("/") + path}
        assertion = read_assertion(presented.text, audiences, datetime.now(UTC))
        if presented.client_id not in (None, assertion.client_id):
            raise InvalidAssertion("the form field 'client_id' differs from its 'sub'")
        return assertion

    async def _find_signer(self, assertion: Assertion, *, during_restoration: bool) -> Service | None:
        found = await self._find_service(assertion.client_id, during_restoration=during_restoration)
        if not self._signatures.is_valid(assertion, found.service.public_key if found else None) or found is None:
            return None
        jti_digest = hashlib.sha256(assertion.jti.encode()).digest()
        is_new = await insert_service_assertion(self._database, assertion.client_id, jti_digest, assertion.ends_at)
        return found.service if is_new else None
