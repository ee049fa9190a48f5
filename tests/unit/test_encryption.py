"""Encryption at rest: data is decrypted only with the same secret, purpose and name."""

import pytest

from shared.runtime.crypto.encryption import DecryptionError, Encrypted, Encryptor

ONE, OTHER = b"1" * 32, b"2" * 32


def test_decrypt_with_same_secret_purpose_and_name_returns_the_data() -> None:
    encrypted = Encryptor([ONE], "a purpose").encrypt(b"plain", "a name")

    assert Encryptor([ONE], "a purpose").decrypt(encrypted, "a name") == b"plain"
    assert b"plain" not in encrypted.ciphertext


@pytest.mark.parametrize(
    ("secret", "purpose", "name"),
    [(OTHER, "a purpose", "a name"), (ONE, "another", "a name"), (ONE, "a purpose", "another")],
)
def test_decrypt_with_another_secret_purpose_or_name_raises(secret: bytes, purpose: str, name: str) -> None:
    encrypted = Encryptor([ONE], "a purpose").encrypt(b"plain", "a name")

    with pytest.raises(DecryptionError):
        Encryptor([secret], purpose).decrypt(encrypted, name)


@pytest.mark.parametrize("place", [0, 4, -1])
def test_decrypt_of_changed_data_raises(place: int) -> None:
    encryptor = Encryptor([ONE], "a purpose")
    nonce, ciphertext = encryptor.encrypt(b"plain", "a name")
    changed = bytearray(ciphertext)
    changed[place] ^= 1

    with pytest.raises(DecryptionError):
        encryptor.decrypt(Encrypted(nonce, bytes(changed)), "a name")


def test_after_rotation_the_new_secret_encrypts_and_the_old_one_still_decrypts() -> None:
    before, meanwhile, after = Encryptor([ONE], "p"), Encryptor([OTHER, ONE], "p"), Encryptor([OTHER], "p")

    assert meanwhile.decrypt(before.encrypt(b"old", "n"), "n") == b"old"
    assert after.decrypt(meanwhile.encrypt(b"new", "n"), "n") == b"new"


def test_encrypting_the_same_data_twice_gives_different_ciphertexts() -> None:
    encryptor = Encryptor([ONE], "a purpose")

    assert len({encryptor.encrypt(b"plain", "a name") for _ in range(100)}) == 100
