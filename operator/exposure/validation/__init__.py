"""What the API server would refuse, without one: the CRDs' schemas and CEL rules, which are written nowhere else.

The command line validates files. The operator validates what the API server did not: objects that were stored under an
older CRD, and specs that status remembers.
"""

from typing import Any

from exposure.fields import Raw, meta, text
from exposure.validation.definitions import configuration_schema, policy_schema
from exposure.validation.schema import Problem, schema_problems

__all__ = ["Problem", "configuration_problems", "problems"]


def problems(kind: str, raw: Raw) -> list[Problem]:
    """Why the API server refuses an ExposurePolicy or a ClusterExposurePolicy. Empty: it does not.

    Of the metadata, only the name is read: the rest is the same for every kind. Status is not validated.
    """
    judged = {key: value for key, value in raw.items() if key != "status"}
    return schema_problems({**judged, "metadata": {"name": text(meta(raw), "name")}}, policy_schema(kind))


def configuration_problems(raw: Any) -> list[Problem]:
    """What is wrong with the content of a configuration file."""
    return schema_problems(raw, configuration_schema())
