"""Send requests to the identity provider, each with limits on time and size, and read JSON from the responses."""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog

from services.token_authority.domain.errors import ProviderUnavailable
from shared.runtime.http.network_errors import explain

REQUEST_LIMIT_S: Final = 5.0
MAX_RESPONSE_BYTES: Final = 1024 * 1024

_log = structlog.get_logger()

T = TypeVar("T")


class ProviderResponse(NamedTuple):
    """A response of the provider."""

    status: int
    body: bytes


class ProviderRequests:
    """Sends requests to the provider with this issuer. Redirects are not followed."""

    def __init__(self, http: aiohttp.ClientSession, issuer: str) -> None:
        self._http = http
        self._host = urlsplit(issuer).netloc

    async def fetch(self, url: str, kind: type[T], *, access_token: str | None = None) -> T:
        """Return the JSON at this URL. Raise `ProviderUnavailable`."""
        headers = {} if access_token is None else {"Authorization": f"Bearer {access_token}"}
        response = await self.send("GET", url, headers=headers)
        if response.status != 200:
            raise self.unavailable(f"{urlsplit(url).path} answered {response.status}")
        return self.read(response, kind, urlsplit(url).path)

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], form: Mapping[str, str] | None = None
    ) -> ProviderResponse:
        """Return the response, whatever its status is. Raise `ProviderUnavailable`."""
        try:
            async with self._http.request(
                method,
                url,
                data=form,
                headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=REQUEST_LIMIT_S),
            ) as response:
                body = bytearray()
                async for piece in response.content.iter_chunked(64 * 1024):
                    body += piece
                    if len(body) > MAX_RESPONSE_BYTES:
                        response.close()
                        raise self.unavailable(f"{urlsplit(url).path} answered more than {MAX_RESPONSE_BYTES} bytes")
                return ProviderResponse(response.status, bytes(body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.unavailable(f"{urlsplit(url).path} does not answer: {explain(error)}") from None

    def read(self, response: ProviderResponse, kind: type[T], what: str) -> T:
        """Return the body as this type. Raise `ProviderUnavailable` with the name of `what` cannot be read."""
        value = decode(response.body, kind)
        if value is None:
            raise self.unavailable(f"{what} answered no JSON, or not with the required fields")
        return value

    def unavailable(self, reason: str) -> ProviderUnavailable:
        """Log the reason, which must contain nothing secret, and return the error to raise."""
        _log.warning("identity provider unavailable", host=self._host, reason=reason)
        return ProviderUnavailable(reason)


def decode(body: bytes, kind: type[T]) -> T | None:
    """Return the JSON as this type; `None` if it is none or lacks fields."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError):
        return None
