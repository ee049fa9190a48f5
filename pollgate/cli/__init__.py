"""The `pollgate` command: its options, its output and its error messages."""
