"""Log an outage once when it begins and once when it ends, however many calls fail in between."""

import structlog

_log = structlog.get_logger()


class Outage:
    """The state of one thing that this process depends on.

    `lost` is logged at level error when it begins to fail: the consequence, and what to do. `restored` is logged at
    level info when it works again. Both lines have the `address`.
    """

    def __init__(self, lost: str, restored: str, *, address: str) -> None:
        self._lost = lost
        self._restored = restored
        self._address = address
        self.is_ongoing = False

    def begin(self, error: Exception) -> None:
        """Record a failure. Log it unless the outage has been logged already."""
        if not self.is_ongoing:
            self.is_ongoing = True
            _log.error(self._lost, address=self._address, error=type(error).__name__)

    def end(self) -> None:
        """Record a success. Log it if it ends an outage."""
        if self.is_ongoing:
            self.is_ongoing = False
            _log.info(self._restored, address=self._address)
