"""What every part of the benchmark is given: where, how long, with whom."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.progress import (
  BarColumn,
  MofNCompleteColumn,
  Progress,
  TextColumn,
  TimeRemainingColumn,
)

from experiments.benchmarks.contest import Contestant, Score, contest
from tagrec_jax.core.log import say

SECONDS = 1.5  # of a turn: longer than noise, short enough to alternate


@dataclasses.dataclass(frozen=True)
class Bench:
  """What every part needs.

  Attributes:
    workdir: for pictures, logs and what peers read.
    folder: of S3-Rec's data; '' for the storefront.
    rounds: turns of each contestant.
    recbole: an interpreter that has RecBole; '' leaves it out.
    pretrained: a folder of a text encoder, for the part 'text_encoding'.
  """

  workdir: pathlib.Path
  folder: str
  rounds: int
  recbole: str = ""
  pretrained: str = ""

  @property
  def data(self) -> pathlib.Path:
    return self.workdir / "data"

  def contest(self, contestants: Sequence[Contestant]) -> list[Score]:
    """One contest with a progress bar; the first one is the reference."""
    steps = len(contestants) * (2 + self.rounds)
    with _bar(steps) as step:
      return contest(
        contestants,
        rounds=self.rounds,
        seconds=SECONDS,
        logs=self.workdir / "logs",
        step=step,
      )

  def alone(self, contestant: Contestant) -> Score:
    """One contestant by itself, its turns one after another."""
    return self.contest([contestant])[0]


@contextlib.contextmanager
def _bar(steps: int) -> Iterator[Callable[[str], None]]:
  """A bar on a terminal, a line for each step elsewhere."""
  console = Console(stderr=True)
  bar = Progress(
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.description}"),
    console=console,
    disable=not console.is_terminal,
  )
  task = bar.add_task("", total=steps + 1)

  def step(what: str) -> None:
    bar.update(task, advance=1, description=what)
    if bar.disable:
      say(what)

  with bar:
    yield step
