"""The `resync` of a sync answer, and `afresh`, its name in the previous release: the two releases work together."""

import json
from typing import Any

import msgspec
import pytest

from shared.contract.change import Change
from shared.contract.sync import SyncAnswer


class PreviousSyncAnswer(msgspec.Struct, frozen=True):
    """A sync answer as a guard of the previous release reads it."""

    head: int
    lease_ms: int
    afresh: bool
    changes: list[Change]
    issuer: str


def encode(**fields: Any) -> bytes:
    return json.dumps({"head": 7, "lease_ms": 5000, "changes": [], "issuer": "https://authority", **fields}).encode()


@pytest.mark.parametrize("resync", [True, False])
def test_guard_of_the_previous_release_reads_resync_of_this_authority_as_afresh(resync: bool) -> None:
    answer = SyncAnswer(head=7, lease_ms=5000, resync=resync, afresh=resync, changes=[], issuer="https://authority")

    read = msgspec.json.decode(msgspec.json.encode(answer), type=PreviousSyncAnswer)

    assert read == PreviousSyncAnswer(7, 5000, resync, [], "https://authority")


@pytest.mark.parametrize(
    ("fields", "requires_reset"),
    [
        ({"afresh": True}, True),
        ({"afresh": False}, False),
        ({"resync": True}, True),
        ({"resync": False}, False),
        ({"resync": True, "afresh": True}, True),
        ({"resync": False, "afresh": False}, False),
        ({"resync": True, "afresh": False}, True),
        ({"resync": False, "afresh": True}, True),
    ],
    ids=str,
)
def test_guard_resets_if_resync_or_afresh_of_any_authority_is_true(
    fields: dict[str, bool], requires_reset: bool
) -> None:
    assert msgspec.json.decode(encode(**fields), type=SyncAnswer).requires_reset is requires_reset


@pytest.mark.parametrize("fields", [{}, {"resync": None}, {"afresh": None}, {"resync": "true"}], ids=str)
def test_answer_without_a_usable_resync_or_afresh_is_invalid(fields: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(encode(**fields), type=SyncAnswer)


class PreviousChange(msgspec.Struct, frozen=True):
    """A change as a guard of the previous release reads it."""

    seq: int
    kind: str
    token_id: str
    digest: str


def test_guard_of_the_previous_release_reads_change_of_this_authority() -> None:
    sent = msgspec.json.encode(Change(7, "0" * 64))

    assert msgspec.json.decode(sent, type=PreviousChange) == PreviousChange(7, "changed", "", "0" * 64)


def test_guard_reads_change_of_the_previous_and_of_the_next_release() -> None:
    previous = msgspec.json.encode(PreviousChange(7, "revoked", "tok_1", "0" * 64))
    following = json.dumps({"seq": 7, "digest": "0" * 64}).encode()

    read = [msgspec.json.decode(sent, type=Change) for sent in (previous, following)]

    assert [(change.seq, change.digest) for change in read] == [(7, "0" * 64)] * 2
