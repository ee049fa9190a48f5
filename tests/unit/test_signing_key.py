"""When each signing key signs, and until when it is published."""

from datetime import UTC, datetime, timedelta

from services.token_authority.domain.signing_key import KEPT, SigningKey, publish

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def key(kid: str, signs_from: datetime) -> SigningKey:
    return SigningKey(kid, b"", b"", b"", signs_from, signs_from)


def test_newest_started_key_signs_and_each_key_stays_published_for_an_hour_after_the_next_started() -> None:
    keys = [key("new", NOON + MINUTE), key("old", NOON - 2 * MINUTE), key("now", NOON)]

    found = publish(keys, NOON)

    assert [(each.key.kid, each.state, each.published_until) for each in found] == [
        ("old", "retired", NOON + KEPT),
        ("now", "signing", NOON + MINUTE + KEPT),
        ("new", "next", None),
    ]
    assert [each.age for each in found] == [2 * MINUTE, timedelta(), -MINUTE]


def test_first_key_signs_if_database_clock_is_before_every_start() -> None:
    found = publish([key("two", NOON + MINUTE), key("one", NOON)], NOON - MINUTE)

    assert [(each.key.kid, each.state) for each in found] == [("one", "signing"), ("two", "next")]
