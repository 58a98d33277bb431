"""Exposures × live objects → ordered changes, with a stable text form. Pure."""

from exposure.plan.changes import make_plan, same
from exposure.plan.connectivity import connectivity, connectivity_lines
from exposure.plan.text import plan_text
from exposure.resolve.network_policies import is_ours

__all__ = ["connectivity", "connectivity_lines", "is_ours", "make_plan", "plan_text", "same"]
