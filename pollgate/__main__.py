"""Run the `pollgate` command: `python -m pollgate`."""

from pollgate.cli.main import main

if __name__ == "__main__":
    main()
