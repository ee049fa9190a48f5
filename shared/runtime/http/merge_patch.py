"""JSON Merge Patch (RFC 7396): a change of a JSON value, written as what is to be different."""

from typing import Any


def merge(target: Any, patch: Any) -> Any:
    """The target as the patch would have it: null removes a field, objects merge, anything else replaces.

    Neither is changed; the result shares with them what it takes over. Both nest no deeper than `MAX_DEPTH` of I-JSON.
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
