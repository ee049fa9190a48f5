"""The check of words finds refused words and accepts standard terms."""

import pytest

from tools.words import REFUSED, find_refused

SENTENCES = [
    "The caller is told which scope is missing.",
    "def told_as(error): ...",
    "Nobody can vote.",
    "Whoever holds the token, from whom it came, and whence.",
    "Create the key anew, and start afresh.",
    "The token is revoked for good.",
    "`make fmt` mends it.",
    "A part thereof.",
    "Versions up to and with this one.",
    "All but for one.",
    "It takes no more than is needed.",
    "The poll behind the cursor.",
    "At most 60 requests a minute.",
    "Create one a process.",
    "GUESSES_A_MINUTE=5",
    "CALLS_A_TOKEN=5",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_refused_word_is_found_with_its_line(sentence: str) -> None:
    (finding, *_) = find_refused("docs/some.md", f"A title\n\n{sentence}\n")

    assert finding.place == "docs/some.md:3"
    assert finding.word.lower() in sentence.lower()
    assert finding.instead


def test_every_refused_word_has_a_test_sentence() -> None:
    text = "\n".join(SENTENCES)

    assert [refused.pattern.pattern for refused in REFUSED if not refused.pattern.search(text)] == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Return the grant of a token, or raise `TokenInvalid`.",
        "At most 60 requests per minute; one instance per process.",
        "Revokes a token, starts a process, and reads a poll.",
        "EVENT_STREAMS_A_TOKEN is a former name.",
        "A recommendation about a thereby permanent change.",
    ],
)
def test_standard_terms_are_accepted(sentence: str) -> None:
    assert list(find_refused("docs/some.md", sentence)) == []
