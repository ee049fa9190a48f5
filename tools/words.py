"""Refuse words that this project does not use, in source, tests and documents; see docs/glossary.md.

Each is either dialect, or has a standard term. Print every place, with what to write instead, and end with status 1.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Refused(NamedTuple):
    """A pattern that is refused, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


def _word(pattern: str, instead: str) -> Refused:
    return Refused(re.compile(rf"(?<![A-Za-z]){pattern}(?![A-Za-z])", re.IGNORECASE), instead)


REFUSED = (
    _word("told", "'reported', 'returned', 'described'; or say who reports what"),
    _word("nobody", "'no one'; better, say what does not happen"),
    _word("who(m|mever|ever)", "name the party: 'the caller', 'the client', 'the operator'"),
    _word("whence", "'where … from'"),
    _word("anew", "'again'"),
    _word("afresh", "'again', 'from the start'"),
    _word("for good", "'permanently'"),
    _word("(wherewith|thereof|whereof|whereby)", "'with which', 'of it'"),
    _word("mend(s|ed|ing)?", "'fix'"),
    _word("up to and with", "'up to and including'"),
    _word("but for", "'except'"),
    _word("no more than is", "'only what is'"),
    _word("behind", "'after' in an order; 'with … in front' for a proxy"),
    _word(r"(\d+|once|twice|times|requests|attempts|credentials|seconds) an? (minute|second|hour|day)", "'per minute'"),
    _word("one an? (process|participant|token|poll|database|limiter|key|file)", "'one per process'"),
    Refused(re.compile("_A_(MINUTE|SECOND|PROCESS|TOKEN)|_a_(minute|second|process)(?![a-z])"), "'_per_minute'"),
)
FORMER_NAMES = re.compile(
    'EVENT_STREAMS_A_TOKEN|WRONG_CREDENTIALS_A_MINUTE(_A_SERVICE)?|OPEN_TOKENS_A_MINUTE|[`"._]afresh|afresh[:=]',
    re.IGNORECASE,
)
"""Former names of settings and of a field of syncs, which still work."""
SUFFIXES = {".py", ".md", ".html", ".toml", ".yml", ".yaml", ".cfg", ".example"}
UNCHECKED = {"tools/words.py", "docs/glossary.md", "tests/unit/test_words.py"}
"""What names the refused words."""


class Finding(NamedTuple):
    """A refused word in a line."""

    place: str
    word: str
    instead: str

    def __str__(self) -> str:
        return f"{self.place}: {self.word!r}: write {self.instead}"


def find_refused(name: str, text: str) -> Iterator[Finding]:
    """Yield each refused word in the text of the file with this name."""
    for number, line in enumerate(text.splitlines(), start=1):
        for refused in REFUSED:
            for match in refused.pattern.finditer(FORMER_NAMES.sub("", line)):
                yield Finding(f"{name}:{number}", match.group(), refused.instead)


def main() -> int:
    """Check the files that git tracks. Return the exit status."""
    listed = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout.splitlines()  # noqa: S607
    names = [name for name in listed if Path(name).suffix in SUFFIXES or Path(name).name == "Makefile"]
    findings = [
        finding
        for name in names
        if name not in UNCHECKED and Path(name).is_file()
        for finding in find_refused(name, Path(name).read_text(encoding="utf-8"))
    ]
    for finding in findings:
        print(finding)
    print(
        f"{len(findings)} refused words in {len(names)} files" if findings else f"{len(names)} files: no refused word"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
