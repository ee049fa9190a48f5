"""What edits have changed for those who had voted, in words."""

from collections.abc import Mapping
from typing import Final

from services.polls.domain.consequence import Consequence

CHANGES: Final[Mapping[Consequence, str]] = {
    Consequence.DROP_VOTES: "options were removed with their votes",
    Consequence.REVEAL_RESULTS: "results were shown to more people, earlier, or with more numbers",
    Consequence.REOPEN: "it was opened again after its end",
    Consequence.CHANGE_TITLE: "the question was changed",
    Consequence.RENAME_OPTIONS: "options were renamed",
    Consequence.SAVE_NAMES: "names are stored since then",
}
