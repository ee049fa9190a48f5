"""`AuthorityClient`: the management API of the token authority."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from pollgate.client.arguments import optional_text_list
from pollgate.client.authority_models import (
    AdminKey,
    AuditHead,
    AuditReport,
    CreatedAdminKey,
    CreatedService,
    RotatedAdminKey,
    RotatedService,
    Service,
    ServiceDetail,
    SigningKey,
    SignInLink,
    Site,
)
from pollgate.client.authority_tokens import TokenMethods
from pollgate.client.encoding import path_segment, query_of, without_none
from pollgate.client.pagination import Page
from pollgate.client.transport import Arguments
from shared.contract.audit import AuditRecord

VERIFICATION_LIMIT_S: Final = 610.0

Role = Literal["admin", "issuer", "auditor"]


class AuthorityClient(TokenMethods):
    """A client of the management API. Use it as `async with AuthorityClient(url, admin_key) as client`.

    `url` is the root of the token authority, such as `http://127.0.0.1:8081`. `admin_key` (`pga_…`) is sent in a
    header, never in a URL. All times are aware datetimes; arguments whose name ends in `_s` are seconds.

    Every method raises a `ClientError` where it fails: `InvalidArgument` before anything is sent, `Unauthorized` and
    `Forbidden` by the admin key, `NotFound` for an unknown id, `UnprocessableContent` for values that break a rule,
    `ConnectionFailed` and `OutcomeUnknown`. Nothing is sent twice; what creates a secret can be repeated by its
    `idempotency_key`.

    Methods that take `wait` return when the change is effective at every replica of every service; with `wait=False`
    at once, with the time by which it will be in `effect.effective_by`.
    """

    async def list_sites(self) -> list[Site]:
        """Return all sites, the default one first."""
        return (await self._transport.call("GET", "/v1/sites", Page[Site])).items

    async def create_admin_key(
        self,
        name: str,
        role: Role,
        *,
        sites: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedAdminKey:
        """Create an admin key and return it with its secret, which is not shown again.

        `sites` and `scopes` limit what an issuer or auditor may do. For `idempotency_key`, see `create_token`.
        """
        limits = {"sites": optional_text_list("sites", sites), "scopes": optional_text_list("scopes", scopes)}
        body = {"name": name, "role": role, **without_none(limits)}
        return await self._create("/v1/admin-keys", CreatedAdminKey, body, idempotency_key)

    async def list_admin_keys(self) -> list[AdminKey]:
        """Return all admin keys by name, including revoked ones."""
        return (await self._transport.call("GET", "/v1/admin-keys", Page[AdminKey])).items

    async def get_own_admin_key(self) -> AdminKey:
        """Return the admin key that this client uses."""
        return await self._transport.call("GET", "/v1/admin-keys/own", AdminKey)

    async def change_admin_key(self, key_id: str, fields: Mapping[str, Any]) -> AdminKey:
        """Change some fields of an admin key; here `None` is a value. What it may do can only become less.

        Raise `Conflict` if the last key in the role admin would get another role.
        """
        path, arguments = f"/v1/admin-keys/{path_segment('key_id', key_id)}", Arguments({"": ("fields", fields)})
        return await self._transport.call("PATCH", path, AdminKey, body=fields, arguments=arguments)

    async def rotate_admin_key(
        self,
        key_id: str,
        overlap_s: int | None = None,
        *,
        end_on_use: bool | None = None,
        idempotency_key: str | None = None,
    ) -> RotatedAdminKey:
        """Create a new secret for an admin key; those before it work for `overlap_s` more, an hour by default.

        With `end_on_use` they end as soon as the new one is used. For `idempotency_key`, see `create_token`.
        """
        path = f"/v1/admin-keys/{path_segment('key_id', key_id)}/rotate"
        body = without_none({"overlap_s": overlap_s, "end_on_use": end_on_use})
        return await self._create(path, RotatedAdminKey, body, idempotency_key)

    async def revoke_admin_key(self, key_id: str) -> None:
        """Revoke an admin key permanently. Raise `Conflict` for the last one in the role admin."""
        await self._transport.call("DELETE", f"/v1/admin-keys/{path_segment('key_id', key_id)}", type(None))

    async def create_sign_in_link(self) -> SignInLink:
        """Return a link that signs in once on the settings pages, within ten minutes, as the admin key of this client.

        Raise `Forbidden` where the URL of the token authority is not on a loopback address.
        """
        return await self._transport.call("POST", "/v1/sign-in-links", SignInLink)

    async def create_service(
        self,
        client_id: str,
        *,
        name: str | None = None,
        sites: Sequence[str] | None = None,
        public_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> CreatedService:
        """Create a service that may introspect tokens, and return it with its secret, which is not shown again.

        `sites` limits which sites' tokens exist for it. With a `public_key` (PEM) it has no secret. Raise `Conflict`
        where the client id is taken. For `idempotency_key`, see `create_token`.
        """
        fields = {"name": name, "sites": optional_text_list("sites", sites), "public_key": public_key}
        body = {"client_id": client_id, **without_none(fields)}
        return await self._create("/v1/services", CreatedService, body, idempotency_key)

    async def list_services(self) -> list[Service]:
        """Return all services by client id, including disabled ones."""
        return (await self._transport.call("GET", "/v1/services", Page[Service])).items

    async def get_service(self, client_id: str) -> ServiceDetail:
        """Return a service with what is known of its secrets."""
        return await self._transport.call("GET", _service_path(client_id), ServiceDetail)

    async def change_service(self, client_id: str, fields: Mapping[str, Any]) -> Service:
        """Change some fields of a service; here `None` is a value."""
        arguments = Arguments({"": ("fields", fields)})
        return await self._transport.call("PATCH", _service_path(client_id), Service, body=fields, arguments=arguments)

    async def rotate_service(
        self,
        client_id: str,
        overlap_s: int | None = None,
        *,
        end_on_use: bool | None = None,
        idempotency_key: str | None = None,
    ) -> RotatedService:
        """Create a new secret for a service; those before it work for `overlap_s` more, an hour by default.

        With `end_on_use` they end as soon as the new one is used. For `idempotency_key`, see `create_token`.
        """
        body = without_none({"overlap_s": overlap_s, "end_on_use": end_on_use})
        return await self._create(f"{_service_path(client_id)}/rotate", RotatedService, body, idempotency_key)

    async def enable_service(self, client_id: str) -> Service:
        """Let a disabled service introspect again."""
        return await self._transport.call("POST", f"{_service_path(client_id)}/enable", Service)

    async def disable_service(self, client_id: str) -> Service:
        """Have a service refused until it is enabled again."""
        return await self._transport.call("POST", f"{_service_path(client_id)}/disable", Service)

    async def list_signing_keys(self) -> list[SigningKey]:
        """Return the published signing keys, in the order in which they sign."""
        return (await self._transport.call("GET", "/v1/keys", Page[SigningKey])).items

    async def rotate_signing_key(self) -> SigningKey:
        """Publish a signing key that signs soon, unless one is waiting already, and return it."""
        return await self._transport.call("POST", "/v1/keys/rotate", SigningKey)

    def list_audit_records(
        self,
        limit: int | None = None,
        *,
        actor_id: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        newest_first: bool | None = None,
    ) -> AsyncIterator[AuditRecord]:
        """Yield the records of the audit log that meet all conditions, in order; `limit` of them at most.

        `subject` is a kind and an id, such as `token:tok_3JDxtsz4ic3g56zQ`. `until` excludes the time itself.
        """
        conditions = _audit_conditions(actor_id, action, subject, since, until)
        return self._pages(
            "/v1/audit", Page[AuditRecord], {**conditions, "newest_first": newest_first}, limit, position="after"
        )

    def export_audit_log(
        self,
        *,
        actor_id: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """Yield the same records as lines of JSON without their line break, the oldest first, as they arrive.

        Raise `OutcomeUnknown` where the log ends before it is complete.
        """
        conditions = _audit_conditions(actor_id, action, subject, since, until)
        return self._transport.lines("/v1/audit/export", query_of(conditions))

    async def verify_audit_log(self, earlier: AuditHead | None = None) -> AuditReport:
        """Let the token authority verify its audit log, and whether it still has an `earlier` head.

        It takes up to ten minutes. This trusts the authority; verify an export if you do not.
        """
        body = {} if earlier is None else {"seq": earlier.seq, "hash": earlier.hash}
        path = "/v1/audit/verify"
        return await self._transport.call("POST", path, AuditReport, body=body, limit_s=VERIFICATION_LIMIT_S)


def _service_path(client_id: str) -> str:
    return f"/v1/services/{path_segment('client_id', client_id)}"


def _audit_conditions(
    actor_id: str | None, action: str | None, subject: str | None, since: datetime | None, until: datetime | None
) -> dict[str, Any]:
    return {"actor_id": actor_id, "action": action, "subject": subject, "since": since, "until": until}
