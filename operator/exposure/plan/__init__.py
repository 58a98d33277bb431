"""Exposures × live objects → ordered changes, with a stable text form. Pure."""
