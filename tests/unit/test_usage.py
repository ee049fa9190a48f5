"""What a guard tells of uses and refusals, whatever becomes of the syncs that carry them."""

import msgspec

from shared.contract.change import MAX_SEQ
from shared.contract.sync import MAX_COUNT, SyncRequest, TokenUse
from shared.guard.usage import MAX_SECRETS, MAX_USES_PER_SYNC, Usage
from shared.runtime.http.routes import MAX_BODY_BYTES


class Scene:
    """A count, on a clock that a test turns."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.usage = Usage(lambda: self.time)

    def count(self, *secrets: str) -> None:
        for secret_id in secrets:
            self.usage.count("tok_1", secret_id)

    def refuse(self, secret_id: str) -> None:
        self.usage.count_refusal("tok_1", secret_id)

    def report(self) -> list[TokenUse]:
        return self.usage.to_report(self.usage.take())


def test_each_secret_of_a_token_is_told_of_by_itself() -> None:
    scene = Scene()
    scene.count("sec_1", "sec_2", "sec_1")
    scene.refuse("sec_2")

    assert scene.report() == [TokenUse("tok_1", "sec_1", 2, 0, 0), TokenUse("tok_1", "sec_2", 1, 1, 0)]
    assert scene.report() == []


def test_a_refusal_is_the_last_time_only_where_there_was_no_use() -> None:
    scene = Scene()
    scene.refuse("sec_1")
    scene.time += 1
    scene.refuse("sec_2")
    scene.count("sec_1")
    scene.time += 1
    scene.refuse("sec_1")
    scene.refuse("sec_2")
    scene.time += 1

    assert scene.report() == [TokenUse("tok_1", "sec_1", 1, 2, 2000), TokenUse("tok_1", "sec_2", 0, 2, 1000)]


def test_what_a_lost_sync_carried_is_told_again_with_what_came_meanwhile() -> None:
    scene = Scene()
    scene.count("sec_1", "sec_2")
    scene.refuse("sec_3")
    taken = scene.usage.take()
    scene.time += 1
    scene.refuse("sec_1")
    scene.count("sec_2")

    scene.usage.put_back(taken)

    reported = {use.secret_id: (use.uses, use.refusals, use.last_used_ms_ago) for use in scene.report()}
    assert reported == {"sec_1": (1, 1, 1000), "sec_2": (2, 0, 0), "sec_3": (0, 1, 1000)}


def test_made_up_secrets_do_not_fill_the_memory() -> None:
    scene = Scene()
    for number in range(MAX_SECRETS + 10):
        scene.refuse(f"sec_{number}")
    scene.count("sec_0")

    reported = []
    while taken := scene.report():
        reported += taken

    assert len(reported) == MAX_SECRETS
    assert sum(use.uses for use in reported) == 1


def test_what_a_guard_tells_at_once_fits_into_a_body_however_long_it_is() -> None:
    use = TokenUse("tok_" + "x" * 16, "sec_" + "x" * 32, MAX_COUNT, MAX_COUNT, 2**53)

    body = msgspec.json.encode(SyncRequest(MAX_SEQ, [use] * MAX_USES_PER_SYNC))

    assert len(body) < MAX_BODY_BYTES
