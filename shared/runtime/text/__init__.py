"""Read what people write: texts and times, by one rule for every service and the command line. It does no I/O."""
