"""A kubeconfig that cannot be used, a server that is no Kubernetes API server: a message with the cure, status 2."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from exposure.parse.kinds import API_GROUP, KINDS
from tests.cli.conftest import Run, Write

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: admin
contexts: [{name: admin, context: {cluster: local, user: me}}]
clusters: [{name: local, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: me, user: {token: secret}}]
"""
EXEC = "exec: {apiVersion: client.authentication.k8s.io/v1, command: %s, interactiveMode: Never}"


@pytest.mark.parametrize(
    "old, new, words",
    [
        pytest.param(KUBECONFIG, "", "has no current-context. Set --context to one of: none.", id="empty"),
        pytest.param(KUBECONFIG, "a: [\n", "kubeconfig:2: is not YAML: ", id="no-yaml"),
        pytest.param(KUBECONFIG, "- a\n", "has no current-context.", id="a-list"),
        pytest.param(KUBECONFIG, "contexts: a\n", "has no current-context.", id="no-entries"),
        pytest.param(
            "current-context: admin\n", "", "has no current-context. Set --context to one of: admin.", id="no-context"
        ),
        pytest.param(
            "context: admin",
            "context: prod",
            "has no context prod. Set --context to one of: admin.",
            id="no-such-context",
        ),
        pytest.param("cluster: local", "cluster: far", "Expected object with name far in ", id="no-such-cluster"),
        pytest.param(
            "user: me", "user: you", "names the user 'you', which does not exist. Users: me.", id="no-such-user"
        ),
        pytest.param('server: "http://127.0.0.1:1"', "", "has the server ''. Use a URL such as", id="no-server"),
        pytest.param("http://127.0.0.1:1", "localhost:1", "Use a URL such as https://", id="no-url"),
        pytest.param("127.0.0.1:1", "127.0.0.1:99999", "it is not a URL such as https://", id="no-port"),
        pytest.param("http://127.0.0.1:1", "https://:6443", "it is not a URL such as https://", id="no-host"),
        pytest.param("127.0.0.1:1", "[::1", "cannot be used: Invalid IPv6 URL. Check it with", id="half-an-address"),
        pytest.param("token: secret", "tokenFile: gone", "No such file or directory", id="no-such-file"),
        pytest.param(
            'server: "http:', 'certificate-authority-data: a, server: "https:', "Invalid base64", id="no-base64"
        ),
        pytest.param("user: {token: secret}", "user: a", "does not have the form that kubectl config", id="no-user"),
        pytest.param(
            "token: secret", EXEC % "no-such-program", "The command no-such-program of user me", id="no-command"
        ),
        pytest.param("token: secret", "exec: a", "returns no credentials", id="no-command-line"),
        pytest.param(
            "token: secret", EXEC % "'false'", "returns no credentials. Run kubectl get namespaces", id="no-login"
        ),
        pytest.param("", "", "does not answer: the connection is refused, or there is no route", id="no-server-there"),
        pytest.param("127.0.0.1:1", "a.invalid:1", "does not answer: its name cannot be resolved", id="no-such-host"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(run: Run, write: Write, old: str, new: str, words: str) -> None:
    """What is wrong with it and what to do, in one line; nothing of what a library raises or logs."""
    result = run("map", "--kubeconfig", write("kubeconfig", KUBECONFIG.replace(old, new) if old else KUBECONFIG))
    assert (2, "") == (result.status, result.out)
    assert words in result.err
    assert 1 == len(result.err.splitlines())


def test_files_of_a_kubeconfig_are_relative_to_it(run: Run, write: Write) -> None:
    """As in kubectl, wherever the command runs."""
    write("folder/token", "secret")
    kubeconfig = write("folder/kubeconfig", KUBECONFIG.replace("token: secret", "tokenFile: token"))
    assert "does not answer" in run("map", "--kubeconfig", kubeconfig).err


def test_no_kubeconfig_at_all(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file nor a pod's service account."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG")
    result = run("map")
    assert (2, True) == (
        result.status,
        "The kubeconfig ~/.kube/config does not exist, so there is no cluster to read." in result.err,
    )


Answers = dict[str, tuple[int, str]]
LIST = '{"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": %s}'


@pytest.fixture
def answers(write: Write) -> Iterator[Answers]:
    """What a server answers by path: an empty list of every kind, where a test says nothing else."""
    by_path: Answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = by_path.get(self.path.partition("?")[0], (200, LIST % "[]"))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    write("kubeconfig", KUBECONFIG.replace("127.0.0.1:1", f"127.0.0.1:{server.server_port}"))
    yield by_path
    server.shutdown()
    server.server_close()


STATUS = json.dumps({"kind": "Status", "message": "the server could not find the requested resource", "code": 404})
SERVICES = "/api/v1/services"


@pytest.mark.parametrize(
    "status, body, words",
    [
        pytest.param(404, STATUS, "answers 404 to GET /api/v1/services", id="not-found"),
        pytest.param(404, "<html>not found</html>", "answers 404 to GET /api/v1/services", id="a-page-not-found"),
        pytest.param(200, "<html>log in</html>", "is not a JSON object with items", id="a-page"),
        pytest.param(200, "[]", "is not a JSON object with items", id="no-object"),
        pytest.param(200, "{}", "is not a JSON object with items", id="no-items"),
        pytest.param(200, LIST % '{"a": 1}', "is not a JSON object with items", id="items-that-are-no-list"),
        pytest.param(200, LIST % '["a"]', "is not a JSON object with items", id="items-that-are-no-objects"),
        pytest.param(500, "{}", "answers 500 to GET /api/v1/services (status 500, no reason given)", id="a-failure"),
        pytest.param(401, "{}", "does not accept these credentials", id="not-logged-in"),
        pytest.param(410, "{}", "the list expired at the API server", id="expired-again-and-again"),
    ],
)
def test_services_that_cannot_be_read(run: Run, answers: Answers, status: int, body: str, words: str) -> None:
    """A map without Services would be empty, and wrong."""
    answers[SERVICES] = status, body
    result = run("map", "--kubeconfig", "kubeconfig")
    assert (2, "") == (result.status, result.out)
    assert words in result.err


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_kind_that_is_not_served(run: Run, answers: Answers, kind: object) -> None:
    """Gateway API, Calico and our own kinds may be absent; a kind of Kubernetes itself may not."""
    [row] = [row for row in KINDS if row is kind]
    answers.update({row.path(version): (404, STATUS) for version in row.versions})
    may_be_absent = row.optional or row.group == API_GROUP
    result = run("map", "--kubeconfig", "kubeconfig")
    assert (0 if may_be_absent else 2) == result.status
    assert may_be_absent or f"{row.kind} objects cannot be listed" in result.err


def test_an_empty_list_may_be_null(run: Run, answers: Answers) -> None:
    """As Go encodes a slice that was never filled."""
    answers[SERVICES] = 200, LIST % "null"
    assert 0 == run("map", "--kubeconfig", "kubeconfig").status


def test_a_configuration_that_cannot_be_read(run: Run, answers: Answers) -> None:
    """A warning: the map is then one of the default configuration."""
    answers["/api/v1/namespaces/exposure-system/configmaps/exposure-operator"] = 403, '{"message": "forbidden"}'
    result = run("map", "--kubeconfig", "kubeconfig")
    assert (0, True) == (result.status, "cannot be read (forbidden), so the default configuration" in result.err)
