"""The project itself as a contestant: its normal path, nothing special."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import subject
from experiments.benchmarks.child import Run
from experiments.peers import search
from tagrec_jax import build
from tagrec_jax.core import host
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.rng import named_key
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.decoding import topk
from tagrec_jax.objectives.softmax import Softmax
from tagrec_jax.run.measure import Asker, Measure
from tagrec_jax.training import loop
from tagrec_jax.training.state import new_state
from tagrec_jax.training.step import make_train_step
from tagrec_jax.training.writers import Writers

LOG_EVERY = 10  # steps


def training(
  folder: str = "", made_up: Mapping[str, int] | None = None, **changes: Any
) -> Run:
  """`training.loop` itself, from log to log; work is questions answered.

  Args:
    made_up: data to use instead of the folder's, see `subject.made_up`.
    changes: see `subject.settings`.
  """
  host.keep_large_blocks()
  changes |= dict.fromkeys(("train__steps", "train__evaluate_every"), 10**8)
  settings = subject.settings(
    folder, **{"train__log_every": LOG_EVERY} | changes
  )
  dataset = subject.made_up(**made_up) if made_up else build.dataset(settings)
  model = build.model(settings, dataset)
  backend = build.backend(settings, build.recipe(settings, model))
  batches = build.train_batches(settings, dataset, backend.host_share)
  asked: dict[int, int] = {}

  def counted(step: int) -> Any:
    batch = batches(step)
    asked[step] = int(np.count_nonzero(batch["target_ids"] != UNKNOWN))
    return batch

  gate = _Gate(
    lambda gate: loop.train(
      backend, counted, settings.train, writers=Writers([gate])
    )
  )

  def run(logs: int) -> dict[str, float]:
    first = gate.step
    for _ in range(logs):
      values = gate.pass_one()
    work = sum(asked.pop(step) for step in range(first, gate.step))
    return {"work": work, "steps": gate.step - first, "loss": values["loss"]}

  return run


def evaluation(folder: str, parameters: str) -> Run:
  """`run.measure.Measure` on test, without intervals; work is people.

  Args:
    parameters: an npz of named leaves.
  """
  host.keep_large_blocks()
  settings = subject.settings(folder)
  dataset = build.dataset(settings)
  model = build.model(settings, dataset)
  params = model.init(named_key(0, "benchmark"))
  with np.load(parameters) as file:
    leaves = [jnp.asarray(file[name]) for name in named_leaves(params)]
  params = jax.tree.unflatten(jax.tree.structure(params), leaves)
  measure = Measure(settings, dataset, "test", intervals=False)
  scores = Asker(model).of(params)

  def run(passes: int) -> dict[str, float]:
    for _ in range(passes):
      report = measure.one(
        "items", lambda batch: scores(batch)["items"], "benchmark"
      )
    metrics = {n: report.metrics[n] for n in ("recall@20", "ndcg@20")}
    return {"work": passes * report.people["people"], **metrics}

  return run


def step_memory(made_up: Mapping[str, int], **changes: Any) -> Run:
  """Bytes that one compiled update needs besides state and batch."""
  settings = subject.settings("", **changes)
  dataset = subject.made_up(**made_up)
  recipe = build.recipe(settings, build.model(settings, dataset))
  compiled = (
    jax.jit(make_train_step(recipe), donate_argnums=0)
    .lower(
      jax.eval_shape(lambda: new_state(recipe)),
      build.train_batches(settings, dataset, (0, 1))(0),
      named_key(0, "train"),
    )
    .compile()
  )
  return _compiled_only(compiled)


def loss_memory(rows: int, length: int, width: int, products: int) -> Run:
  """Bytes that the softmax loss and its gradient need besides arguments."""

  def loss(queries_BTD: Any, vectors_CD: Any, targets_BT: Any) -> Any:
    bias_C = jnp.zeros(products)
    return Softmax()(queries_BTD, vectors_CD, bias_C, targets_BT).mean()

  def array(*shape: int, dtype: Any = jnp.float32) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)

  compiled = (
    jax.jit(jax.value_and_grad(loss, (0, 1)))
    .lower(
      array(rows, length, width),
      array(products, width),
      array(rows, length, dtype=jnp.int32),
    )
    .compile()
  )
  return _compiled_only(compiled)


def _compiled_only(compiled: Any) -> Run:
  size = compiled.memory_analysis().temp_size_in_bytes
  return lambda _: {"work": 1, "temporary_bytes": size}


def batches(folder: str, **changes: Any) -> Run:
  """Training batches without a model; work is questions, as in `training`."""
  settings = subject.settings(folder, **changes)
  made = build.train_batches(settings, build.dataset(settings), (0, 1))
  steps = itertools.count()

  def run(number: int) -> dict[str, float]:
    work = people = 0
    for step in itertools.islice(steps, number):
      batch = made(step)
      work += int(np.count_nonzero(batch["target_ids"] != UNKNOWN))
      people += int(batch["history_segments"].max(axis=1).sum())
    return {"work": work, "people": people}

  return run


def retrieval(queries: int, products: int, width: int, k: int) -> Run:
  """`decoding.topk.top_k_tiled`; work is queries."""
  query_BD, vectors_CD = map(jnp.asarray, search.draw(queries, products, width))
  bias_C = jnp.zeros(products)
  seen_BH = jnp.zeros((queries, 0), jnp.int32)

  def run(times: int) -> dict[str, float]:
    for _ in range(times):
      ids_BK, _ = topk.top_k_tiled(query_BD, vectors_CD, bias_C, k, seen_BH)
      ids_BK.block_until_ready()
    return {
      "work": times * queries,
      "found": search.checksum(np.asarray(ids_BK)),
    }

  return run


class _Gate:
  """A writer of metrics that holds a loop after each log until it may go on.

  Args:
    train: runs the loop with this as a writer; called in a thread.
  """

  def __init__(self, train: Callable[[_Gate], Any]):
    self.step = 0  # of the last log
    self._train = train
    self._open = threading.Semaphore(0)
    self._logs: queue.Queue[Any] = queue.Queue()
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def pass_one(self) -> Mapping[str, float]:
    """Lets the loop run to its next log; what it wrote there."""
    self._open.release()
    found = self._logs.get()
    if isinstance(found, BaseException):
      raise found
    self.step, values = found
    return values

  def begin(self, step: int) -> None:
    self.step = step
    self._open.acquire()

  def write(self, step: int, values: Mapping[str, float]) -> None:
    self._logs.put((step, values))
    self._open.acquire()

  def close(self) -> None:
    """Nothing is open."""

  def _run(self) -> None:
    try:
      self._train(self)
    except BaseException as error:  # noqa: BLE001 raised again where it is read
      self._logs.put(error)
