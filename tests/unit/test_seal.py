"""Encryption at rest: who may open what."""

import pytest

from shared.runtime.crypto.encryption import CannotOpen, Seal, Sealed

ONE, OTHER = b"1" * 32, b"2" * 32


def test_what_was_sealed_is_opened_by_the_same_secret_purpose_and_name() -> None:
    sealed = Seal([ONE], "a purpose").close(b"plain", "a name")

    assert Seal([ONE], "a purpose").open(sealed, "a name") == b"plain"
    assert b"plain" not in sealed.ciphertext


@pytest.mark.parametrize(
    ("secret", "purpose", "name"),
    [(OTHER, "a purpose", "a name"), (ONE, "another", "a name"), (ONE, "a purpose", "another")],
)
def test_nobody_else_opens_it(secret: bytes, purpose: str, name: str) -> None:
    sealed = Seal([ONE], "a purpose").close(b"plain", "a name")

    with pytest.raises(CannotOpen):
        Seal([secret], purpose).open(sealed, name)


@pytest.mark.parametrize("place", [0, 4, -1])
def test_what_was_changed_does_not_open(place: int) -> None:
    seal = Seal([ONE], "a purpose")
    nonce, ciphertext = seal.close(b"plain", "a name")
    changed = bytearray(ciphertext)
    changed[place] ^= 1

    with pytest.raises(CannotOpen):
        seal.open(Sealed(nonce, bytes(changed)), "a name")


def test_a_new_secret_seals_while_the_old_one_behind_it_still_opens() -> None:
    before, meanwhile, after = Seal([ONE], "p"), Seal([OTHER, ONE], "p"), Seal([OTHER], "p")

    assert meanwhile.open(before.close(b"old", "n"), "n") == b"old"
    assert after.open(meanwhile.close(b"new", "n"), "n") == b"new"


def test_the_same_is_sealed_differently_each_time() -> None:
    seal = Seal([ONE], "a purpose")

    assert len({seal.close(b"plain", "a name") for _ in range(100)}) == 100
