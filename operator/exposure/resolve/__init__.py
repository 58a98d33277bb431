"""Services × policies × cluster facts → exposures. Pure: no clock, no network, no Kopf."""

from exposure.resolve.memo import Memo
from exposure.resolve.namespace import cluster_outcomes, resolve
from exposure.resolve.survey import Survey, survey

__all__ = ["Memo", "Survey", "cluster_outcomes", "resolve", "survey"]
