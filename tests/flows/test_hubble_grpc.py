"""Hubble over gRPC: with a real server of its messages, and on a machine without grpcio."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest

from exposure.flows import hubble_grpc
from tests.flows.conftest import Flows


def answers(number: int) -> Iterator[Any]:
    _, response = hubble_grpc.messages()
    for n in range(number):
        answer = response()
        flow = answer.flow
        flow.verdict, flow.traffic_direction = (1, 1) if n else (2, 1)
        flow.drop_reason_desc = 0 if n else 133
        flow.IP.source, flow.IP.destination = f"198.51.100.{n + 7}", "10.244.1.5"
        flow.l4.TCP.source_port, flow.l4.TCP.destination_port = 40000, 8080
        flow.is_reply.value = False
        flow.source.labels.append("reserved:world")
        flow.destination.namespace, flow.destination.pod_name = "shop", "web-7d9c5b6f4-abcde"
        yield answer


@pytest.fixture
def relay() -> Iterator[str]:
    """The address of a server on loopback that answers GetFlows."""
    grpc = import_module("grpc")
    request, _ = hubble_grpc.messages()
    handler = grpc.unary_stream_rpc_method_handler(
        lambda request, context: answers(request.number),
        request_deserializer=request.FromString,
        response_serializer=lambda answer: answer.SerializeToString(),
    )
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("observer.Observer", {"GetFlows": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait(10)


def test_flows_are_read_from_a_relay(flows: Flows, relay: str) -> None:
    """As many as --last, counted like those of a file."""
    done = flows("--hubble", relay, "--last", "3")
    assert 0 == done.status, done.err
    assert "3 lines: 3 flows (3 at an entry point's pods), 0 bad" in done.err
    assert "198.51.100.7  tcp/8080  0        1" in done.out


def test_a_relay_that_does_not_answer_is_an_error(flows: Flows) -> None:
    """Exit status 2, with the address and gRPC's own status."""
    done = flows("--hubble", "127.0.0.1:1")
    assert 2 == done.status
    assert "127.0.0.1:1 does not answer: UNAVAILABLE" in done.err


def test_without_grpcio_the_message_names_what_to_install(flows: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 2."""

    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(hubble_grpc, "import_module", absent)
    done = flows("--hubble", "127.0.0.1:1")
    assert 2 == done.status
    assert "pip install grpcio protobuf" in done.err
