"""The places that a form suggests, because the token allows an action there."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.polls.pages.manage_words import describe_paths
from shared.contract.scope import Path

MAX_SUGGESTIONS: Final = 100


class PlaceChoice(NamedTuple):
    """Names to suggest for each field of a place. `only` is the path that every place lies within."""

    workspaces: Sequence[str]
    contents: Sequence[str]
    containers: Sequence[str]
    only: Path
    where: str


def place_choice(paths: Sequence[Path]) -> PlaceChoice:
    """Return what to suggest for a place within one of the paths, of which there is at least one."""
    workspaces, contents, containers = (
        sorted({path[depth] for path in paths if len(path) > depth})[:MAX_SUGGESTIONS] for depth in range(3)
    )
    only = paths[0] if len(paths) == 1 else ()
    return PlaceChoice(workspaces, contents, containers, only, describe_paths(paths))
