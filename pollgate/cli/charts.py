"""Charts of results: a table with bars, or one line."""

import os
import sys
from typing import Final

from rich.cells import cell_len

from pollgate.cli.output import escape, pluralize, print_table, terminal_width
from pollgate.client import OptionResult, Results

_SCALE: Final = "0 to 100 %"
_EIGHTHS: Final = "▏▎▍▌▋▊▉█"
_NARROWEST: Final = len(_SCALE)
_WIDEST: Final = 60
_IN_A_PIPE: Final = 40
_GAP: Final = 2
_WITHHELD: Final = {
    "afterVote": "The results are withheld until a participant has voted; --as shows what a participant may see.",
    "afterClose": "The results are withheld until the poll is closed.",
    "never": "The results are withheld: only a token with the action results may see them.",
    "hideAbsoluteNumbers": "The numbers of votes are withheld: only a token with the action results may see them.",
}


def print_results(results: Results) -> None:
    """Print a table of the options with their results, and a summary."""
    columns = [("Option", [option.title for option in results.options])]
    if results.visible:
        columns += _figures(results.options)
        columns.append((_SCALE, _bars(results.options, columns)))
    print_table([name for name, _ in columns], zip(*(cells for _, cells in columns), strict=True), foldable=("Option",))
    print()
    for line in _summary(results):
        print(escape(line))


def results_line(results: Results) -> str:
    """Return the results on one line, the options ordered by rank."""
    if not results.visible:
        return withheld_reason(results)
    ranked = sorted(results.options, key=lambda option: option.rank or 0)
    shares = ", ".join(f"{option.title} {option.percentage or 0:.1f} %" for option in ranked)
    return shares if results.participants is None else f"{pluralize(results.participants, 'participant')}: {shares}"


def withheld_reason(results: Results) -> str:
    """Return why results are withheld; an empty text where nothing is."""
    reason = results.withheld_reason
    return "" if reason is None else _WITHHELD.get(reason, f"The results are withheld: {reason}.")


def bar(percentage: float, width: int, *, blocks: bool) -> str:
    """Return a bar for a percentage: to an eighth of a column in blocks, else to a column."""
    if not blocks:
        return "#" * int(percentage * width / 100 + 0.5)
    eighths = int(percentage * width * 8 / 100 + 0.5)
    return _EIGHTHS[-1] * (eighths // 8) + (_EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")


def _figures(options: list[OptionResult]) -> list[tuple[str, list[str]]]:
    votes = [option.votes for option in options]
    percentages = ["" if option.percentage is None else f"{option.percentage:.1f} %" for option in options]
    columns = [
        ("Percentage", percentages),
        ("Rank", ["" if option.rank is None else str(option.rank) for option in options]),
    ]
    if all(number is not None for number in votes):
        columns.insert(0, ("Votes", [str(number) for number in votes]))
    return [(name, [cell.rjust(max(len(name), *map(len, cells))) for cell in cells]) for name, cells in columns]


def _bars(options: list[OptionResult], columns: list[tuple[str, list[str]]]) -> list[str]:
    """Return a bar for each option, in the width that the columns before it leave."""
    terminal = terminal_width()
    taken = sum(max(map(cell_len, (name, *cells))) + _GAP for name, cells in columns)
    width = _IN_A_PIPE if terminal is None else min(max(terminal - taken, _NARROWEST), _WIDEST)
    blocks = terminal is not None and not os.environ.get("NO_COLOR") and _can_encode(_EIGHTHS)
    return [bar(option.percentage or 0, width, blocks=blocks) for option in options]


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _summary(results: Results) -> list[str]:
    lines = []
    if results.participants is not None and results.votes is not None:
        lines.append(f"Total: {pluralize(results.participants, 'participant')}, {pluralize(results.votes, 'vote')}")
    if results.average is not None:
        lines.append(f"Average: {results.average:.1f}")
    if withheld_reason(results):
        lines.append(withheld_reason(results))
    lines.append("The poll is closed; these results are final." if results.final else "The poll is open.")
    return lines
