"""The uses and refusals that a guard reports, also after failed syncs."""

import msgspec
from aiohttp.test_utils import make_mocked_request

from shared.contract.change import MAX_RECEIPT_LENGTH, MAX_SEQ, Change
from shared.contract.sync import MAX_COUNT, MAX_SYNC_BYTES, MAX_UNCONFIRMED, SyncRequest, TokenUse
from shared.contract.token import mint
from shared.guard.origin import Origins
from shared.guard.usage import MAX_SECRETS, MAX_USES_PER_SYNC, Usage
from shared.runtime.http.routes import MAX_BODY_BYTES
from shared.runtime.http.user_agent import MAX_LENGTH


class UsageHarness:
    """Counters with a clock of the test."""

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


def test_each_secret_of_a_token_is_reported_separately() -> None:
    harness = UsageHarness()
    harness.count("sec_1", "sec_2", "sec_1")
    harness.refuse("sec_2")

    assert harness.report() == [TokenUse("tok_1", "sec_1", 2, 0, 0), TokenUse("tok_1", "sec_2", 1, 1, 0)]
    assert harness.report() == []


def test_last_use_is_the_last_refusal_only_without_a_use() -> None:
    harness = UsageHarness()
    harness.refuse("sec_1")
    harness.time += 1
    harness.refuse("sec_2")
    harness.count("sec_1")
    harness.time += 1
    harness.refuse("sec_1")
    harness.refuse("sec_2")
    harness.time += 1

    assert harness.report() == [TokenUse("tok_1", "sec_1", 1, 2, 2000), TokenUse("tok_1", "sec_2", 0, 2, 1000)]


def test_uses_of_failed_sync_are_reported_again_with_newer_ones() -> None:
    harness = UsageHarness()
    harness.count("sec_1", "sec_2")
    harness.refuse("sec_3")
    taken = harness.usage.take()
    harness.time += 1
    harness.refuse("sec_1")
    harness.count("sec_2")

    harness.usage.put_back(taken)

    reported = {use.secret_id: (use.uses, use.refusals, use.last_used_ms_ago) for use in harness.report()}
    assert reported == {"sec_1": (1, 1, 1000), "sec_2": (2, 0, 0), "sec_3": (0, 1, 1000)}


def test_secrets_beyond_limit_are_not_counted() -> None:
    harness = UsageHarness()
    for number in range(MAX_SECRETS + 10):
        harness.refuse(f"sec_{number}")
    harness.count("sec_0")

    reported = []
    while taken := harness.report():
        reported += taken

    assert len(reported) == MAX_SECRETS
    assert sum(use.uses for use in reported) == 1


def test_longest_report_fits_into_request_body_limit() -> None:
    ids = ("tok_" + "x" * 16, "sec_" + "x" * 32)
    use = TokenUse(*ids, MAX_COUNT, MAX_COUNT, 2**53, "x" * 45, '"' * MAX_LENGTH)

    body = msgspec.json.encode(SyncRequest(MAX_SEQ, [use] * MAX_USES_PER_SYNC))

    assert len(body) < MAX_BODY_BYTES

    longest = Change(MAX_SEQ, "f" * 64, receipt="x" * MAX_RECEIPT_LENGTH)
    full = SyncRequest(MAX_SEQ, [use] * MAX_USES_PER_SYNC, longest, [longest] * MAX_UNCONFIRMED)
    assert len(msgspec.json.encode(full)) < MAX_SYNC_BYTES


def test_origin_is_that_of_the_last_use_through_trusted_proxies() -> None:
    """A longer header is cut where it is not needed, and a secret in it is redacted."""
    forwarded = ", ".join(["198.51.100.9"] * 200 + ["203.0.113.7", "10.0.0.1"])
    usage = Usage(lambda: 0.0, Origins(proxy_hops=2))
    first, last = (
        make_mocked_request("GET", "/", headers={"X-Forwarded-For": value, "User-Agent": agent})
        for value, agent in (("192.0.2.1, 192.0.2.2", "first"), (forwarded, f"last/{mint('pgt')} {'x' * 9000}"))
    )
    origins = Origins(proxy_hops=2)
    usage.count("tok_1", "sec_1", origins.of(first))
    usage.count("tok_1", "sec_1", origins.of(last))
    usage.count_refusal("tok_1", "sec_1")

    assert usage.to_report(usage.take()) == [TokenUse("tok_1", "sec_1", 2, 1, 0, "203.0.113.7", "last/[redacted]")]


def test_origin_is_not_reported_if_switched_off() -> None:
    request = make_mocked_request("GET", "/", headers={"User-Agent": "curl/8.1"})

    assert Origins(proxy_hops=0, is_reported=False).of(request) is None
