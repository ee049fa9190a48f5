"""Run the `pollgate` command: `python -m pollgate`, and the script of that name."""

import sys
from typing import Final

_CLI_PACKAGES: Final = frozenset({"cyclopts", "rich"})


def main() -> None:
    """Run the command line. Without its packages, say which extra to install."""
    try:
        from pollgate.cli.main import main as run  # noqa: PLC0415 - the library is installed without these packages
    except ModuleNotFoundError as error:
        if error.name not in _CLI_PACKAGES:
            raise
        sys.exit("pollgate: the command line is not installed; run: pip install 'pollgate[cli]'")
    run()


if __name__ == "__main__":
    main()
