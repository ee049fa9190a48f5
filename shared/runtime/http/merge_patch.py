"""Apply a JSON Merge Patch (RFC 7396)."""

from typing import Any


def merge(target: Any, patch: Any) -> Any:
    """Return the patched target: null removes a field, objects are merged, any other value replaces.

    Neither argument is changed; the result shares values with both. Both must not be nested deeper than
    `validation_errors.MAX_DEPTH`.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
