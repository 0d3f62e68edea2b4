"""The training loop: its plan, its end inside the budget, its checkpoints, its refusals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.rungs.dnn import Dnn, DnnSettings
from model.rungs.neural import DivergedError, Plan, Training
from model.rungs.recommender import FitContext, as_model
from tests.model.rungs.shops import tasteful_shop

ROOT = Path(__file__).resolve().parents[3]
SHOP = tasteful_shop(users=60)
SETTINGS = DnnSettings(most_epochs=12, batch_size=32, learning_rate=0.02)


def context(**changes) -> FitContext:
    values = {"until": SHOP.start_of("validation"), "choosing": True, "cpu_seconds": 600.0}
    return FitContext(**{**values, "history_length": 10, "frequent_length": 5, **changes})


def network(settings: DnnSettings = SETTINGS) -> Dnn:
    dnn = Dnn(SHOP.items, settings, name="dnn")
    as_model(dnn, 10, 5)
    return dnn


def test_the_rate_rises_then_falls_to_zero():
    plan = Plan(steps=100, cpu_seconds=50.0, learning_rate=1.0)
    rates = [plan.rate(step, 0.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)  # one of five warm-up steps
    assert max(rates) > 0.99
    assert rates[100] == pytest.approx(0.0)
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_the_clock_ends_a_training_that_is_slower_than_planned():
    plan = Plan(steps=1_000_000, cpu_seconds=50.0, learning_rate=1.0)
    assert plan.progress(10, 50.0) == 1.0
    assert plan.rate(10, 50.0) == pytest.approx(0.0)
    dnn = network()
    shop_context = context()
    dnn.prepare(SHOP, shop_context)
    examples = dnn.examples(SHOP, shop_context)
    slow = Plan(steps=1_000_000, cpu_seconds=1.0, learning_rate=0.01)
    before = time.process_time()
    notes = Training(dnn, examples, slow, SHOP, shop_context).run()
    assert notes["stopped_by"] == "budget"
    assert notes["steps"] < 1_000_000
    assert notes["train_cpu_seconds"] <= time.process_time() - before


def test_a_plan_is_a_function_of_settings_and_data_alone():
    dnn, shop_context = network(), context()
    dnn.prepare(SHOP, shop_context)
    examples = dnn.examples(SHOP, shop_context)
    assert dnn._plan(examples, shop_context, again=False) == dnn._plan(
        examples, shop_context, again=False
    )
    assert dnn._plan(examples, context(cpu_seconds=7.0), again=False).steps < 2_000


def test_a_loss_that_is_not_a_number_stops_by_name():
    dnn = network(DnnSettings(most_epochs=3, batch_size=32, learning_rate=float("inf")))
    with pytest.raises(DivergedError, match=r"loss of dnn became nan.*lower .model. learning_r"):
        dnn.fit(SHOP, context())


def test_training_stops_early_and_keeps_the_best_weights():
    dnn = network(DnnSettings(most_epochs=400, batch_size=32, learning_rate=0.05))
    notes = dnn.fit(SHOP, context())
    reached = [point["validation_ndcg_at_10"] for point in notes["learning_curve"]]
    training = Training(dnn, dnn.examples(SHOP, context()), Plan(1, 1.0, 0.1), SHOP, context())
    assert training.window.ndcg(training.model) == pytest.approx(max(reached), abs=1e-5)
    if notes["stopped_by"] == "early stop":
        assert max(reached) == reached[-4]


CHILD = """
import os, sys
from pathlib import Path
from tests.model.rungs.test_neural import SHOP, context, network
from model.rungs.neural import Training
updates = []
check = Training._require_finite
Training._require_finite = lambda self, loss: (updates.append(loss), check(self, loss))
if sys.argv[2] == "kill":
    save = Training._save
    def save_and_die(self):
        save(self)
        if len(self.state.curve) == 3:
            os.kill(os.getpid(), 9)
    Training._save = save_and_die
dnn = network()
notes = dnn.fit(SHOP, context(folder=Path(sys.argv[1])))
curve = [(p["loss"], p["validation_ndcg_at_10"]) for p in notes["learning_curve"]]
print("UPDATES", len(updates))
print("RESULT", notes["steps"], curve, sum(float(abs(w).sum()) for w in dnn.get_weights()))
"""


def child(folder: Path, mode: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), mode],
        cwd=ROOT,
        env=environment,
        text=True,
        capture_output=True,
        timeout=500,
        check=False,
    )


def told(child: subprocess.CompletedProcess[str], word: str) -> str:
    line = next(line for line in child.stdout.splitlines() if line.startswith(word))
    return line.removeprefix(word)


def test_a_killed_training_goes_on_to_the_same_result(tmp_path):
    killed = child(tmp_path / "a", "kill")
    assert killed.returncode == -signal.SIGKILL
    assert list((tmp_path / "a").glob("dnn-*.npz"))
    resumed, whole = child(tmp_path / "a", "go"), child(tmp_path / "b", "go")
    assert told(resumed, "RESULT") == told(whole, "RESULT")
    # Three of six looks had been taken: the rest is what the resumed run had left to do.
    assert int(told(resumed, "UPDATES")) <= int(told(whole, "UPDATES")) / 2 + 1


def test_a_checkpoint_of_other_data_is_not_resumed(tmp_path):
    dnn = network()
    dnn.fit(SHOP, context(folder=tmp_path))
    other = tasteful_shop(users=50)
    other.meta["digest"] = "sha256:other"
    again = network()
    again.fit(other, context(folder=tmp_path))
    assert len(list(tmp_path.glob("dnn-*.npz"))) == 2


def test_back_propagation_of_the_ten_node_network_by_hand():
    """The gradient of the textbook's network (5 items, 10 hidden nodes), written out in NumPy."""
    random = np.random.default_rng(5)
    dnn = Dnn(5, DnnSettings(hidden_units=10), name="textbook")
    as_model(dnn, 4, 4)
    dnn.set_weights([random.normal(size=w.shape).astype(np.float32) for w in dnn.get_weights()])
    seen = (random.random((7, 6)) < 0.5).astype(np.float32)
    seen[:, 0] = 0.0
    wanted = random.random((7, 6)).astype(np.float32)
    wanted[:, 0] = 0.0
    with tf.GradientTape() as tape:
        loss = dnn.loss({"seen": tf.constant(seen), "wanted": tf.constant(wanted)})
    gradients = tape.gradient(loss, dnn.trainable_variables)

    x, y = seen.astype(np.float64), wanted.astype(np.float64) / wanted.sum()
    w1, b1, w2, b2 = (value.numpy().astype(np.float64) for value in dnn.trainable_variables)
    hidden = np.maximum(x @ w1 + b1, 0.0)
    logits = (hidden @ w2 + b2)[:, 1:]  # the padding has no probability
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    assert float(loss) == pytest.approx(-(y[:, 1:] * np.log(p)).sum(), abs=1e-5)
    # d loss / d logits = p * (sum of the row's targets) - targets.
    delta2 = np.zeros((7, 6))
    delta2[:, 1:] = p * y[:, 1:].sum(axis=1, keepdims=True) - y[:, 1:]
    delta1 = (delta2 @ w2.T) * (x @ w1 + b1 > 0)
    expected = [x.T @ delta1, delta1.sum(axis=0), hidden.T @ delta2, delta2.sum(axis=0)]
    for gradient, by_hand in zip(gradients, expected, strict=True):
        assert np.asarray(gradient) == pytest.approx(by_hand, abs=1e-5)


def test_an_untrained_network_recommends_popularity():
    dnn = network()
    dnn.prepare(SHOP, context())
    inputs = SHOP.states(SHOP.start_of("validation"), length=10, frequent=5)
    nothing = {name: np.zeros_like(value[:1]) for name, value in inputs.items()}
    scores = np.asarray(dnn(nothing)["scores"])[0]
    assert np.argmax(scores) == np.argmax(dnn.scores.bias.numpy()[1:]) + 1
