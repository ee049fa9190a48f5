"""The process: settings, logs, clock, background tasks, start and shutdown."""
