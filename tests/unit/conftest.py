"""Hypothesis for the pure core: the same examples on every run, so that a red test is red again."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=150,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("hunt", settings.get_profile("ci"), derandomize=False, max_examples=5000)
settings.load_profile("ci")
