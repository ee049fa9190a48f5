"""The consequences of an edit that its caller has to allow, because participants have voted already."""

import enum


class Consequence(enum.StrEnum):
    """What an edit does to ballots, or to what was promised to those who cast them."""

    DROP_VOTES = "dropVotes"
    """Options are removed together with their votes."""
    REVEAL_RESULTS = "revealResults"
    """Results can be seen by more readers, or earlier, or with more figures."""
    REOPEN = "reopen"
    """A closed poll, whose results were final, takes ballots again."""
    CHANGE_TITLE = "changeTitle"
    """The question is another one than participants have answered."""
    RENAME_OPTIONS = "renameOptions"
    """Votes count for another text than participants have chosen."""
    SAVE_NAMES = "saveNames"
    """A poll that promised to keep no names stores those of later ballots."""
