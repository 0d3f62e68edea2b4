"""The batcher against a model whose runs the test holds back, so that no order is chance."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.embedded.batching import BatchedModel
from serving.embedded.config_files import BatchingSettings
from serving.embedded.engine import Deadline
from serving.embedded.signatures import Signature, TensorSpec
from serving.embedded.status import Code, ServingError
from tests.serving.servers import wait_until

SPEC = TensorSpec("x:0", 1, (None, 2))
DOUBLE = Signature("double", {"x": SPEC}, {"y": SPEC}, None)


class Doubler:
    """y = 2 x; runs only while the gate is open, and remembers the sizes of its runs."""

    not_answered = frozenset()

    def __init__(self):
        self.signatures = {"double": DOUBLE}
        self.definitions = {}
        self.gate = threading.Event()
        self.gate.set()
        self.sizes = []
        self.failure = None
        self.closed = False

    def predict(self, signature, inputs, outputs, deadline):
        assert (signature.name, list(outputs)) == ("double", ["y"])
        deadline.remaining()  # raises when it has passed
        self.sizes.append(len(inputs["x"]))
        assert self.gate.wait(60)
        if self.failure:
            raise self.failure
        return {"y": inputs["x"] * 2}

    def close(self):
        self.closed = True


@pytest.fixture
def model():
    return Doubler()


@pytest.fixture
def batched(model):
    made = []

    def make(**settings):
        made.append(BatchedModel(model, BatchingSettings(**{"threads": 1, **settings})))
        return made[-1]

    yield make
    model.gate.set()
    for each in made:
        each.close()


def ask(batched, first=0.0, rows=1, seconds=60):
    inputs = {"x": np.full((rows, 2), first, np.float32)}
    return batched.predict(DOUBLE, inputs, ["y"], Deadline.after(seconds))["y"]


def occupy(pool, batched, model):
    """Lets one request take the only thread and stand still."""
    model.gate.clear()
    running = pool.submit(ask, batched, 100.0)
    wait_until(lambda: model.sizes, "the first run begins")
    return running


def wait_for_rows(batched, rows):
    wait_until(lambda: sum(batch.rows for batch in batched._waiting) == rows, f"{rows} rows wait")


def test_what_waits_together_runs_together(batched, model):
    both = batched(max_batch_size=4)
    with ThreadPoolExecutor(4) as pool:
        running = occupy(pool, both, model)
        waiting = [pool.submit(ask, both, float(number)) for number in (1, 2, 3)]
        wait_for_rows(both, 3)
        model.gate.set()
        assert running.result().tolist() == [[200, 200]]
        answers = [future.result().tolist() for future in waiting]
    assert answers == [[[2, 2]], [[4, 4]], [[6, 6]]]
    assert model.sizes == [1, 3]


def test_a_batch_is_padded_to_an_allowed_size(batched, model):
    padded = batched(max_batch_size=4, allowed_sizes=(2, 4))
    with ThreadPoolExecutor(4) as pool:
        occupy(pool, padded, model)
        waiting = [pool.submit(ask, padded, float(number)) for number in (1, 2, 3)]
        wait_for_rows(padded, 3)
        model.gate.set()
        assert [future.result().tolist() for future in waiting] == [[[2, 2]], [[4, 4]], [[6, 6]]]
    assert model.sizes == [2, 4]


def test_rows_that_do_not_fit_open_the_next_batch(batched, model):
    small = batched(max_batch_size=3)
    with ThreadPoolExecutor(3) as pool:
        occupy(pool, small, model)
        waiting = [pool.submit(ask, small, 1.0, rows=2)]
        wait_for_rows(small, 2)
        waiting.append(pool.submit(ask, small, 2.0, rows=2))
        wait_for_rows(small, 4)
        model.gate.set()
        assert [len(future.result()) for future in waiting] == [2, 2]
    assert model.sizes == [1, 2, 2]


def test_a_full_queue_refuses(batched, model):
    narrow = batched(max_batch_size=2, max_enqueued=1)
    with ThreadPoolExecutor(2) as pool:
        occupy(pool, narrow, model)
        waiting = pool.submit(ask, narrow, 1.0, rows=2)
        wait_for_rows(narrow, 2)
        with pytest.raises(
            ServingError, match="queue to which this task was submitted is full"
        ) as e:
            ask(narrow, 2.0)
        assert e.value.code is Code.UNAVAILABLE
        model.gate.set()
        assert waiting.result().tolist() == [[2, 2], [2, 2]]


def test_a_deadline_ends_the_waiting_and_the_run_does_without(batched, model):
    patient = batched(max_batch_size=2)
    with ThreadPoolExecutor(2) as pool:
        occupy(pool, patient, model)
        with pytest.raises(ServingError) as refused:
            ask(patient, 1.0, seconds=0.05)
        assert refused.value.code is Code.DEADLINE_EXCEEDED
        waiting = pool.submit(ask, patient, 3.0)
        wait_for_rows(patient, 2)  # in the same batch as the one that was given up
        model.gate.set()
        assert waiting.result().tolist() == [[6, 6]]
    assert model.sizes == [1, 1]


def test_a_failed_run_is_told_to_all_and_the_next_one_answers(batched, model):
    frail = batched(max_batch_size=4)
    with ThreadPoolExecutor(3) as pool:
        occupy(pool, frail, model)
        waiting = [pool.submit(ask, frail) for _ in range(2)]
        wait_for_rows(frail, 2)
        model.failure = ZeroDivisionError("no")
        model.gate.set()
        for future in waiting:
            with pytest.raises(ServingError, match="ZeroDivisionError: no") as refused:
                future.result()
            assert refused.value.code is Code.INTERNAL
    model.failure = None
    assert ask(frail, 1.0).tolist() == [[2, 2]]


def test_more_rows_than_a_batch_holds(batched):
    with pytest.raises(ServingError, match=r"Task size 3 is larger than .* 2") as refused:
        ask(batched(max_batch_size=2), rows=3)
    assert refused.value.code is Code.INVALID_ARGUMENT


def test_inputs_of_different_lengths_are_refused(batched):
    inputs = {"x": np.zeros((2, 2), np.float32), "z": np.zeros((3, 2), np.float32)}
    with pytest.raises(ServingError, match="equal 0th-dimension size"):
        batched().predict(DOUBLE, inputs, ["y"], Deadline())


def test_an_output_that_is_not_batch_major_is_refused(batched, model):
    model.predict = lambda *_: {"y": np.zeros(7, np.float32)}
    with pytest.raises(ServingError, match="0th dimension") as refused:
        ask(batched())
    assert refused.value.code is Code.FAILED_PRECONDITION


def test_no_rows_pass_by_the_batches(batched, model):
    assert ask(batched(), rows=0).shape == (0, 2)
    assert model.sizes == [0]


def test_close_runs_what_waits(model):
    closing = BatchedModel(model, BatchingSettings(threads=1, timeout_seconds=60.0))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, closing, 1.0)
        wait_for_rows(closing, 1)
        closing.close()
        assert waiting.result().tolist() == [[2, 2]]
    assert model.closed


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=12),
    timeout=st.sampled_from([0.0, 0.001]),
    threads=st.integers(1, 3),
)
def test_everybody_gets_their_own_rows(sizes, timeout, threads):
    batching = BatchingSettings(
        max_batch_size=4,
        timeout_seconds=timeout,
        threads=threads,
        max_enqueued=100,
        allowed_sizes=(1, 2, 4),
    )
    model = Doubler()
    batched = BatchedModel(model, batching)
    with ThreadPoolExecutor(len(sizes)) as pool:
        answers = list(pool.map(lambda pair: ask(batched, *pair), enumerate(sizes)))
    batched.close()
    for number, (rows, answer) in enumerate(zip(sizes, answers, strict=True)):
        assert answer.tolist() == [[2.0 * number] * 2] * rows
    assert set(model.sizes) <= {1, 2, 4}
