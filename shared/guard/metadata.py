"""`/.well-known/oauth-protected-resource` (RFC 9728): which authority issues the tokens for this service."""

from typing import Final

import msgspec
from aiohttp import web

from shared.contract.sync import revocation_bound_s
from shared.runtime.http.json_response import json_response

RESOURCE_METADATA_ROUTE: Final = "/.well-known/oauth-protected-resource"


def metadata_url(resource_url: str) -> str:
    """Return the absolute URL of the document of the service at `resource_url`."""
    return resource_url.rstrip("/") + RESOURCE_METADATA_ROUTE


class ResourceMetadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """The document. `revocation_bound_ms` is the longest time that a revocation waits for this service to apply it."""

    resource: str
    authorization_servers: list[str]
    bearer_methods_supported: list[str]
    revocation_bound_ms: int | None = None


def resource_metadata(resource: str, issuer: str, lease_s: float | None) -> web.Response:
    """Return the document, without the bound if the authority has not granted a lease yet (`lease_s` is `None`)."""
    return json_response(
        ResourceMetadata(
            resource=resource,
            authorization_servers=[issuer],
            bearer_methods_supported=["header", "query"],
            revocation_bound_ms=None if lease_s is None else round(revocation_bound_s(lease_s) * 1000),
        )
    )
