"""The guard's decisions, with its clock and its authority passed in."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.contract.introspection import Grant
from shared.contract.scope import Scope
from shared.contract.token import digest, mint
from shared.guard import GuardUnavailable, TokenInvalid
from shared.guard.guard import GRANT_LIFE_S, MAX_FLIGHTS, MAX_REFUSALS, REFUSAL_LIFE_S, Guard

FOREVER = float("inf")
TOKEN = mint("pgt")


def grant(token_id: str = "tok_1", expires_at_s: float = FOREVER) -> Grant:
    return Grant(token_id, "site_1", "endpoint", (Scope.parse("polls:*:*"),), expires_at_s)


class Scene:
    """A guard before an authority that answers what `answers` says, when `gate` lets it."""

    def __init__(self, *answers: Grant | None) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.time = 1000.0
        self.wall = 1_800_000_000.0
        self.guard = Guard(self._introspect, clock=lambda: self.time, now=lambda: self.wall)

    async def _introspect(self, _token: str) -> Grant | None:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await self.gate.wait()
        return answer

    async def under_way(self) -> None:
        """Wait until the authority is being asked."""
        while not self.asked:
            await asyncio.sleep(0)

    async def refused(self, token: str = TOKEN) -> bool:
        try:
            await self.guard.check(token)
        except TokenInvalid:
            return True
        return False


async def test_a_cached_token_costs_no_introspection() -> None:
    scene = Scene(grant())

    await scene.guard.check(TOKEN)
    await scene.guard.check(TOKEN)

    assert scene.asked == 1


async def test_a_hundred_requests_with_one_cold_token_make_one_introspection() -> None:
    scene = Scene(grant())
    scene.gate.clear()

    waiting = [asyncio.create_task(scene.guard.check(TOKEN)) for _ in range(100)]
    await asyncio.sleep(0)
    scene.gate.set()

    assert {g.token_id for g in await asyncio.gather(*waiting)} == {"tok_1"}
    assert scene.asked == 1


@pytest.mark.parametrize("malformed", ["", "pgt_", TOKEN[:-1], TOKEN + "0", TOKEN[:-1] + "é", mint("pga")])
async def test_a_malformed_token_is_refused_without_asking(malformed: str) -> None:
    scene = Scene(grant())

    assert await scene.refused(malformed)
    assert scene.asked == 0


async def test_expiry_is_checked_on_hits() -> None:
    scene = Scene(grant(expires_at_s=1_800_000_002.0))
    await scene.guard.check(TOKEN)

    scene.wall += 2

    assert await scene.refused()
    assert scene.asked == 1


async def test_a_grant_is_believed_for_its_life_and_a_hit_does_not_renew_it() -> None:
    scene = Scene(grant(), None)
    await scene.guard.check(TOKEN)

    scene.time += GRANT_LIFE_S - 0.1
    await scene.guard.check(TOKEN)
    scene.time += 0.1

    assert await scene.refused()


async def test_a_slow_introspection_counts_from_when_it_was_asked() -> None:
    scene = Scene(grant(), None)
    scene.gate.clear()
    checking = asyncio.create_task(scene.guard.check(TOKEN))
    await scene.under_way()
    scene.time += GRANT_LIFE_S
    scene.gate.set()
    await checking

    assert await scene.refused()


async def test_a_refusal_is_remembered_briefly() -> None:
    scene = Scene(None, grant())

    assert await scene.refused()
    assert await scene.refused()
    assert scene.asked == 1

    scene.time += REFUSAL_LIFE_S
    assert not await scene.refused()


async def test_a_flood_of_made_up_tokens_pushes_no_good_one_out() -> None:
    scene = Scene(grant(), None)
    await scene.guard.check(TOKEN)

    for _ in range(MAX_REFUSALS + 10):
        assert await scene.refused(mint("pgt"))

    assert not await scene.refused()
    assert scene.asked == 1 + MAX_REFUSALS + 10


async def test_a_forgotten_token_is_asked_about_anew() -> None:
    scene = Scene(grant(), None)
    await scene.guard.check(TOKEN)

    scene.guard.forget(digest(TOKEN))

    assert await scene.refused()


async def test_an_answer_under_way_when_the_token_changes_is_not_used_by_anyone_who_waits() -> None:
    scene = Scene(grant(), None)
    scene.gate.clear()
    waiting = [asyncio.create_task(scene.refused()) for _ in range(5)]
    await scene.under_way()

    scene.guard.forget(digest(TOKEN))
    scene.gate.set()

    assert await asyncio.gather(*waiting) == [True] * 5
    assert await scene.refused()
    assert scene.asked == 2


async def test_nor_is_one_when_anything_may_have_changed() -> None:
    scene = Scene(grant(), None)
    scene.gate.clear()
    waiting = asyncio.create_task(scene.refused())
    await scene.under_way()

    scene.guard.forget_all()
    scene.gate.set()

    assert await waiting


async def test_an_authority_that_does_not_answer_is_no_refusal_and_is_not_remembered() -> None:
    answers: list[Callable[[], Awaitable[Grant | None]]] = []

    async def introspect(_token: str) -> Grant | None:
        return await answers.pop(0)()

    async def away() -> Grant | None:
        raise GuardUnavailable("away")

    async def back() -> Grant | None:
        return grant()

    answers += [away, back]
    guard = Guard(introspect)

    with pytest.raises(GuardUnavailable):
        await guard.check(TOKEN)
    assert (await guard.check(TOKEN)).token_id == "tok_1"


async def test_introspections_under_way_are_bounded() -> None:
    scene = Scene(grant())
    scene.gate.clear()
    waiting = [asyncio.create_task(scene.guard.check(mint("pgt"))) for _ in range(MAX_FLIGHTS)]
    await asyncio.sleep(0)

    with pytest.raises(GuardUnavailable):
        await scene.guard.check(TOKEN)

    scene.gate.set()
    await asyncio.gather(*waiting)
    await scene.guard.check(TOKEN)


async def test_a_request_that_gives_up_takes_nobody_with_it() -> None:
    scene = Scene(grant())
    scene.gate.clear()
    impatient, patient = (asyncio.create_task(scene.guard.check(TOKEN)) for _ in range(2))
    await scene.under_way()

    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    scene.gate.set()

    assert (await patient).token_id == "tok_1"
