"""Tags that authenticate messages."""

from shared.runtime.crypto.authentication import Authenticator

OLD, NEW = bytes(32), bytes(range(32))


def test_tag_is_valid_for_its_message_and_for_no_other() -> None:
    authenticator = Authenticator([OLD], "a purpose")
    tag = authenticator.tag(b"message")

    assert authenticator.is_valid(b"message", tag)
    assert not authenticator.is_valid(b"another", tag)
    assert not authenticator.is_valid(b"message", tag[:-1])
    assert not authenticator.is_valid(b"message", b"")


def test_tag_of_another_secret_or_purpose_is_not_valid() -> None:
    tag = Authenticator([OLD], "a purpose").tag(b"message")

    assert not Authenticator([NEW], "a purpose").is_valid(b"message", tag)
    assert not Authenticator([OLD], "another").is_valid(b"message", tag)


def test_tag_of_the_old_secret_is_valid_while_it_is_listed_after_the_new_one() -> None:
    old, renewed = Authenticator([OLD], "a purpose"), Authenticator([NEW, OLD], "a purpose")

    assert renewed.is_valid(b"message", old.tag(b"message"))
    assert not old.is_valid(b"message", renewed.tag(b"message"))
