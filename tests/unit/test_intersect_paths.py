"""The intersection of the requested path with the allowed paths."""

import pytest

from shared.contract.scope import Path, intersect_paths

EVERYWHERE: Path = ()
PLAT: Path = ("PLAT",)
ISSUE: Path = ("PLAT", "PLAT-1")
MACRO: Path = ("SPACE", "12345", "macro-7")


@pytest.mark.parametrize(
    ("requested", "allowed", "expected"),
    [
        (EVERYWHERE, [], []),
        (EVERYWHERE, [EVERYWHERE], [EVERYWHERE]),
        (EVERYWHERE, [PLAT, MACRO], [PLAT, MACRO]),
        (EVERYWHERE, [PLAT, ISSUE, EVERYWHERE], [EVERYWHERE]),
        (EVERYWHERE, [ISSUE, PLAT, ISSUE], [PLAT]),
        (PLAT, [EVERYWHERE], [PLAT]),
        (PLAT, [ISSUE], [ISSUE]),
        (PLAT, [MACRO], []),
        (ISSUE, [PLAT, ISSUE], [ISSUE]),
        (ISSUE, [("PLAT", "PLAT-10")], []),
    ],
)
def test_intersection_has_widest_common_paths_once(requested: Path, allowed: list[Path], expected: list[Path]) -> None:
    assert intersect_paths(requested, allowed) == expected
