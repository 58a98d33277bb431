"""The API server as these tests need it: a dry-run create, and the message of a refusal."""

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import yaml

CRDS = Path(__file__).parents[2] / "crds"
Spec: TypeAlias = Any
Json: TypeAlias = dict[str, Any]


def crd(plural: str) -> Json:
    loaded: Json = yaml.safe_load((CRDS / f"exposure.dev_{plural}.yaml").read_text())
    return loaded


def schema(plural: str) -> Json:
    openapi: Json = crd(plural)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return openapi


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP status, and the message of a refusal ("" where the object was accepted)."""

    status: int
    message: str
    body: Json


class Api:
    """One connection, kept open: hundreds of cases take seconds. Each create is a dry run, so nothing is stored."""

    def __init__(self, url: str, token: str, ca_file: Path) -> None:
        where = urlsplit(url)
        trust = ssl.create_default_context(cafile=str(ca_file))
        self._connection = http.client.HTTPSConnection(str(where.hostname), where.port, context=trust, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def close(self) -> None:
        self._connection.close()

    def exposure_policy(self, spec: Spec, name: str = "edge", **more: Any) -> Answer:
        return self._create("namespaces/default/exposurepolicies", "ExposurePolicy", name, {"spec": spec, **more})

    def cluster_exposure_policy(self, spec: Spec, name: str = "tenants", **more: Any) -> Answer:
        return self._create("clusterexposurepolicies", "ClusterExposurePolicy", name, {"spec": spec, **more})

    def exposure(self, status: Json, name: str = "service-web") -> Answer:
        return self._create("namespaces/default/exposures", "Exposure", name, {"status": status})

    def _create(self, path: str, kind: str, name: str, content: Json) -> Answer:
        body = {"apiVersion": "exposure.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, **content}
        url = f"/apis/exposure.dev/v1alpha1/{path}?dryRun=All&fieldValidation=Strict"
        self._connection.request("POST", url, json.dumps(body), self._headers)
        response = self._connection.getresponse()
        answer: Json = json.loads(response.read())
        return Answer(response.status, answer["message"] if response.status >= 300 else "", answer)
