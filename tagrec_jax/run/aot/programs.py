"""The programs of a run, lowered for devices that need not be here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Questions
from tagrec_jax.data.posts import post_question_batches, tagged
from tagrec_jax.data.products import product_question_batches
from tagrec_jax.data.questions import question_batches
from tagrec_jax.decoding.tiles import Scored, rows_of, top_k
from tagrec_jax.evaluation.protocols import STRICT
from tagrec_jax.evaluation.ranking import ranks_and_lists
from tagrec_jax.run.aot.made_up import Arrays, Catalogue
from tagrec_jax.run.measure import UNREAD, Asker
from tagrec_jax.sharding import place
from tagrec_jax.tasks.task import Task
from tagrec_jax.training.parallel import JitBackend
from tagrec_jax.training.state import TrainState

REQUESTS = 8
"""Answered at a time by the program that serves."""

LIST = 10
"""Products or tags of each answer."""


@dataclasses.dataclass(frozen=True)
class Program:
  """One program before it is compiled.

  Attributes:
    jaxpr: as traced.
    lowered: ready to be compiled.
  """

  jaxpr: Any
  lowered: Any

  @classmethod
  def of(cls, jitted: Any, *shapes: Any) -> Program:
    traced = jitted.trace(*shapes)
    return cls(traced.jaxpr, traced.lower())


class Programs:
  """The programs of one config on one mesh.

  Args:
    catalogue: arrays of products and tags are arguments of each program here;
      in a run they are constants of it, of the same size on every device.
    mesh: of devices to compile for.

  Raises:
    UserError: for a model or a backend that this does not lower.
  """

  def __init__(self, settings: Settings, catalogue: Catalogue, mesh: Mesh):
    _check(settings)
    self._settings = settings
    self._catalogue = catalogue
    self._mesh = mesh
    self._whole = NamedSharding(mesh, PartitionSpec())
    self._arrays = self._everywhere(catalogue.shapes)
    self.state: TrainState = self._backend(catalogue.few).template()
    self.axes = self._model(catalogue.few).axes

  def __getitem__(self, name: str) -> Program:
    """One of `NAMES`."""
    return NAMES[name](self)

  def train(self) -> Program:
    """All steps of one call, which uses up the state it is given."""
    settings = self._settings
    rows = place.row_parts(self._mesh)
    turns = settings.train.accumulate_steps
    place.check_rows(settings.pipeline.batch_rows, rows, turns)
    batch = build.train_batches(settings, self._catalogue.few, (0, 1))(0)
    stacked = place.stack([batch] * settings.train.steps_per_call)

    def step(arrays: Arrays, live: TrainState, batches: Any) -> Any:
      backend = self._backend(self._catalogue.with_arrays(arrays))
      return backend.train_steps(live, batches)

    places = jax.tree.map(lambda leaf: leaf.sharding, self.state)
    return Program.of(
      jax.jit(step, donate_argnums=1, out_shardings=(places, self._whole)),
      self._arrays,
      self.state,
      place.batch_shapes(stacked, self._mesh),
    )

  def prepare(self) -> Program:
    """What of the catalogue is the same for every question."""
    return Program.of(
      jax.jit(lambda arrays, params: self._asker(arrays).prepare(params)),
      self._arrays,
      self.state.answering,
    )

  def evaluate(self) -> Program:
    """One batch of held-out questions: ranks and lists, or whole scores."""
    settings = self._settings
    size = settings.evaluation.batch_people
    longest = max(settings.evaluation.cutoffs)

    def ask(arrays: Arrays, ready: Any, batch: Any) -> Any:
      answers = self._answers(arrays, ready, batch)
      none = jax.numpy.full((size, 1), -1, np.int32)
      return {
        target: ranks_and_lists(rows, none, none, STRICT, longest)
        if isinstance(rows, Scored)
        else rows
        for target, rows in answers.items()
      }

    return Program.of(
      jax.jit(ask), self._arrays, self._ready(), self._question(size)
    )

  def serve(self) -> Program:
    """The best for a few requests."""

    def answer(arrays: Arrays, ready: Any, batch: Any) -> Any:
      none = jax.numpy.full((REQUESTS, 0), -1, np.int32)
      answers = self._answers(arrays, ready, batch)
      return {
        target: top_k(rows_of(answers[target]), LIST, none)
        for target in build.targets(self._settings)
      }

    return Program.of(
      jax.jit(answer), self._arrays, self._ready(), self._question(REQUESTS)
    )

  def _model(self, dataset: Any) -> Task:
    return build.model(self._settings, dataset, self._catalogue.counts)

  def _answers(self, arrays: Arrays, ready: Any, batch: Any) -> Any:
    asker = self._asker(arrays)
    return asker.answers(ready, asker.ask(ready, batch))

  def _asker(self, arrays: Arrays) -> Asker:
    model = self._model(self._catalogue.with_arrays(arrays))
    return Asker(model, self._mesh)

  def _backend(self, dataset: Any) -> JitBackend:
    recipe = build.recipe(self._settings, self._model(dataset))
    return JitBackend(recipe, self._mesh, self._settings.sharding.preset)

  def _ready(self) -> Any:
    """The shapes of what `prepare` gives, where the compiler puts it."""
    lowered = self.prepare().lowered
    return jax.tree.map(
      lambda shape, where: jax.ShapeDtypeStruct(
        shape.shape, shape.dtype, sharding=where
      ),
      lowered.out_info,
      lowered.compile().output_shardings,
    )

  def _question(self, size: int) -> Any:
    """The arrays of a batch of questions that a model reads."""
    settings, few = self._settings, self._catalogue.few
    if settings.task == "tag_item":
      batches = product_question_batches(
        few,
        few.test_items if len(few.test_items) else np.zeros(size, np.int32),
        features=settings.model.product,
        batch_products=size,
      )
    elif settings.task == "tag_post":
      posts = tagged(few, few.test)
      before = few.assignments.posts[posts.events]
      before -= few.assignments.offsets[posts.people]
      longest = [np.argmax(before)]
      batches = post_question_batches(
        few,
        Questions(posts.people[longest], posts.events[longest]),
        settings.pipeline,
        batch_people=size,
        moment=settings.model.moment,
        person=settings.model.person,
      )
    else:
      starts = few.events.offsets[few.test.people]
      longest = [np.argmax(few.test.events - starts)]
      batches = question_batches(
        few,
        Questions(few.test.people[longest], few.test.events[longest]),
        settings.pipeline,
        batch_people=size,
        moment=settings.model.moment,
        person=settings.model.person,
      )
    batch = {k: v for k, v in next(batches).items() if k not in UNREAD}
    return place.row_shapes(batch, self._mesh)

  def _everywhere(self, tree: Any) -> Any:
    return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._whole),
      tree,
    )


NAMES: Mapping[str, Callable[[Programs], Program]] = {
  "train": Programs.train,
  "prepare": Programs.prepare,
  "evaluate": Programs.evaluate,
  "serve": Programs.serve,
}
"""What can be compiled, in the order of a run."""


def _check(settings: Settings) -> None:
  """Raises UserError for what is not lowered here."""
  for key, found, wanted in (
    ("model.decoder", settings.model.decoder, ("ranking",)),
    ("sharding.backend", settings.sharding.backend, ("jit",)),
  ):
    if found not in wanted:
      raise UserError(
        f"config.{key}",
        f"found '{found}', which is not compiled ahead of time",
        " or ".join(wanted),
        "choose another config",
      )
