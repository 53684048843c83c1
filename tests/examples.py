"""How many examples a property test tries: fewer where somebody waits, many more where nobody does."""

from __future__ import annotations

import os

from hypothesis import settings

# A slow moment of the machine is no bug, and the example that failed is printed anyway.
_SHARED = {"deadline": None, "print_blob": True}
_FACTORS = {"quick": 0.1, "default": 1.0, "thorough": 20.0}
_PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")
_FACTOR = _FACTORS[_PROFILE]


def examples(count: int) -> settings:
    """Settings of a test that usually tries so many examples, for the profile in HYPOTHESIS_PROFILE.

    They are the same examples each time, so that no change is blamed for what it did not do; `thorough` takes others.
    Errors: KeyError, when the module is loaded, for a profile that does not exist.
    """
    count = max(5, round(count * _FACTOR))
    return settings(max_examples=count, derandomize=_PROFILE != "thorough", **_SHARED)


def load_profile() -> None:
    """Make the profile that of tests which say nothing."""
    settings.register_profile("chosen", examples(100))
    settings.load_profile("chosen")
