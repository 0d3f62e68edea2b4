"""Requests for the server's benchmark, and the threads that send them by REST or gRPC."""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from serving.embedded import messages
from serving.embedded.tensors import Array, encode

EVENT_TYPES = ("view", "click", "cart", "purchase")
TEXT = {"history", "history_event_type", "frequent_items"}
SHOPPERS = 64  # different requests, so that no cache of the processor sees one row only


Call = Callable[[int], bool]  # sends the request of a number, tells whether it was answered
Make = Callable[[], Call]  # opens the connection of one client


@dataclass(frozen=True)
class Shape:
    """The size of the benchmarked model."""

    items: int
    length: int
    frequent: int


def shopper(shape: Shape, seed: int) -> dict[str, list[Any]]:
    """One request's row, full length, ids of the vocabulary that `build` writes."""
    chance = random.Random(seed)  # noqa: S311

    def ids(count: int) -> list[str]:
        return [f"item{chance.randint(1, shape.items)}" for _ in range(count)]

    return {
        "history": ids(shape.length),
        "history_event_type": [chance.choice(EVENT_TYPES) for _ in range(shape.length)],
        "history_age_seconds": [chance.uniform(0, 1e6) for _ in range(shape.length)],
        "frequent_items": ids(shape.frequent),
        "frequent_counts": [float(chance.randint(1, 9)) for _ in range(shape.frequent)],
    }


def arrays(rows: list[dict[str, list[Any]]]) -> dict[str, Array]:
    """The rows as the inputs of one batch."""
    return {
        name: np.array(
            [
                [value.encode() for value in row[name]] if name in TEXT else row[name]
                for row in rows
            ],
            object if name in TEXT else np.float32,
        )
        for name in rows[0]
    }


def drive(make: Make, clients: int, seconds: float) -> tuple[list[float], int]:
    """Asks from `clients` threads until the time is over; returns latencies and failures."""
    end = time.monotonic() + seconds
    latencies: list[float] = []
    failures: list[int] = []

    def ask(first: int) -> None:
        call, number = make(), first
        while time.monotonic() < end:
            started = time.perf_counter()
            if not call(number):
                failures.append(number)
            latencies.append(time.perf_counter() - started)
            number += clients

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies, len(failures)


def rest_client(port: int, shape: Shape) -> Make:
    """Clients that ask by REST, one kept-alive connection each."""
    bodies = [
        json.dumps({"instances": [shopper(shape, seed)]}).encode() for seed in range(SHOPPERS)
    ]

    def make() -> Call:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

        def call(number: int) -> bool:
            connection.request("POST", "/v1/models/next_item:predict", bodies[number % SHOPPERS])
            answer = connection.getresponse()
            return bool(answer.read()) and answer.status == 200

        return call

    return make


def grpc_client(port: int, shape: Shape) -> Make:
    """Clients that ask by gRPC, one channel each."""
    requests = [_request(shopper(shape, seed)) for seed in range(SHOPPERS)]

    def make() -> Call:
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

        def call(number: int) -> bool:
            try:
                return bool(predict(requests[number % SHOPPERS], timeout=60))
            except grpc.RpcError:
                return False

        return call

    return make


def _request(row: dict[str, list[Any]]) -> bytes:
    request = messages.PredictRequest()
    request.model_spec.name = "next_item"
    for name, values in arrays([row]).items():
        request.inputs[name].CopyFrom(encode(values))
    serialised: bytes = request.SerializeToString()
    return serialised
