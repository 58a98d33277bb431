"""Services × policies × cluster facts → exposures. Pure: no clock, no network, no Kopf."""

from exposure.resolve.namespace import resolve
from exposure.resolve.survey import Survey, survey

__all__ = ["Survey", "resolve", "survey"]
