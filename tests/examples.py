"""How many examples Hypothesis tries: few and always the same in a test run, many and new ones in a search.

A test that fails once fails again, because the examples do not change. `EXPOSURE_HYPOTHESIS=hunt pytest --timeout 0
tests/unit` searches for failures that the few examples do not show. What it finds becomes a row of a table.
"""

import os

from hypothesis import HealthCheck, settings

HUNTED = 50 if os.environ.get("EXPOSURE_HYPOTHESIS") == "hunt" else 1

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=100,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
settings.register_profile("hunt", settings.get_profile("ci"), derandomize=False, max_examples=100 * HUNTED)
settings.load_profile("ci" if HUNTED == 1 else "hunt")


def examples(number: int) -> settings:
    """That many examples of a property in a test run; in a search fifty times as many."""
    return settings(max_examples=number * HUNTED)
