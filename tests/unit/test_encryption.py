"""Encryption at rest: who may open what."""

import pytest

from shared.runtime.crypto.encryption import DecryptionError, Encrypted, Encryptor

ONE, OTHER = b"1" * 32, b"2" * 32


def test_what_was_sealed_is_opened_by_the_same_secret_purpose_and_name() -> None:
    encrypted = Encryptor([ONE], "a purpose").encrypt(b"plain", "a name")

    assert Encryptor([ONE], "a purpose").decrypt(encrypted, "a name") == b"plain"
    assert b"plain" not in encrypted.ciphertext


@pytest.mark.parametrize(
    ("secret", "purpose", "name"),
    [(OTHER, "a purpose", "a name"), (ONE, "another", "a name"), (ONE, "a purpose", "another")],
)
def test_nobody_else_opens_it(secret: bytes, purpose: str, name: str) -> None:
    encrypted = Encryptor([ONE], "a purpose").encrypt(b"plain", "a name")

    with pytest.raises(DecryptionError):
        Encryptor([secret], purpose).decrypt(encrypted, name)


@pytest.mark.parametrize("place", [0, 4, -1])
def test_what_was_changed_does_not_open(place: int) -> None:
    encryptor = Encryptor([ONE], "a purpose")
    nonce, ciphertext = encryptor.encrypt(b"plain", "a name")
    changed = bytearray(ciphertext)
    changed[place] ^= 1

    with pytest.raises(DecryptionError):
        encryptor.decrypt(Encrypted(nonce, bytes(changed)), "a name")


def test_a_new_secret_seals_while_the_old_one_behind_it_still_opens() -> None:
    before, meanwhile, after = Encryptor([ONE], "p"), Encryptor([OTHER, ONE], "p"), Encryptor([OTHER], "p")

    assert meanwhile.decrypt(before.encrypt(b"old", "n"), "n") == b"old"
    assert after.decrypt(meanwhile.encrypt(b"new", "n"), "n") == b"new"


def test_the_same_is_sealed_differently_each_time() -> None:
    encryptor = Encryptor([ONE], "a purpose")

    assert len({encryptor.encrypt(b"plain", "a name") for _ in range(100)}) == 100
