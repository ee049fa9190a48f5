"""A guard that syncs with the authority only when a test calls it."""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from tests.support.stack import CLIENT_SECRET, Answer, Authority, basic_auth


class FakeGuard:
    """Call the sync routes as the service `polls`."""

    def __init__(self, authority: Authority, guard_id: str | None = None) -> None:
        self._authority = authority
        self._path = f"/v1/guards/{guard_id or secrets.token_hex(16)}"
        self.applied: int | None = None
        self.last: Any = None
        """The newest change that it has applied, as the authority has sent it."""

    async def sync(self, usage: Sequence[tuple[str, int, int]] = (), **origin: Any) -> Answer:
        """Report `applied` and uses, each with these fields of its origin; do not apply the answer."""
        counted = [
            {"token_id": token_id, "secret_id": "", "uses": uses, "refusals": 0, "last_used_ms_ago": ago, **origin}
            for token_id, uses, ago in usage
        ]
        return await self.send({"applied": self.applied, "usage": counted, "last": self.last})

    async def send(self, body: Any, **headers: str) -> Answer:
        """Send a sync with any body."""
        return await self._authority(
            "POST",
            f"{self._path}/sync",
            headers={**basic_auth("polls", CLIENT_SECRET), "Content-Type": "application/json", **headers},
            data=msgspec.json.encode(body),
        )

    async def report(self, *changes: Any) -> Answer:
        """Report changes that the authority may lack."""
        return await self._authority(
            "POST",
            f"{self._path}/changes",
            headers={**basic_auth("polls", CLIENT_SECRET), "Content-Type": "application/json"},
            data=msgspec.json.encode({"changes": changes}),
        )

    async def follow(self) -> None:
        """Sync until the head is applied and confirmed."""
        while True:
            answer = await self.sync()
            assert answer.status == 200, answer.body
            if answer.json["head"] == self.applied:
                return
            self.applied, self.last = answer.json["head"], answer.json["last"]

    async def release(self) -> None:
        """Release the lease."""
        assert (await self._authority("DELETE", self._path, headers=basic_auth("polls", CLIENT_SECRET))).status == 204
