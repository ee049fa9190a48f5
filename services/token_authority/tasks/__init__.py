"""Work that runs beside requests: one long-lived task per module."""
