"""Contestants side by side: noise hits all alike, and only ratios are told.

Each contestant is a process of its own, so memory peaks and thread pools do not
mix. They take turns, A B C, C B A, A B C ...; a contestant's ratio of a round
is its rate (work per second) over that of the reference in the same round.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import warn

_ROOT = pathlib.Path(__file__).resolve().parents[2]

_PATIENCE = 900.0  # seconds

TUNED_ALLOCATOR = {
  "MALLOC_MMAP_MAX_": "0",
  "MALLOC_TRIM_THRESHOLD_": str(2**34),
  "MALLOC_TOP_PAD_": str(2**28),
}
"""glibc keeps large blocks, as `tagrec_jax.core.host` arranges for us."""


@dataclasses.dataclass(frozen=True)
class Contestant:
  """How a process is started, see `experiments.benchmarks.child`.

  Attributes:
    name: in tables.
    target: 'module:function' that sets it up.
    options: the function's arguments.
    environment: added to that of the process.
    python: the interpreter.
  """

  name: str
  target: str
  options: Mapping[str, Any]
  environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
  python: str = sys.executable


@dataclasses.dataclass(frozen=True)
class Score:
  """What a contestant came to.

  Attributes:
    name: as above.
    rate: median over the rounds of work per second.
    ratio, lowest, highest: of the ratios to the reference, one a round; the
      median and its extremes.
    peak_bytes: the most resident memory of the whole process, interpreter,
      libraries and set-up included (`ru_maxrss`).
    setup: seconds until it was ready, compilation included.
    turns: every answer of the process.
  """

  name: str
  rate: float
  ratio: float
  lowest: float
  highest: float
  peak_bytes: int
  setup: float
  turns: list[dict[str, float]]

  @property
  def rates(self) -> list[float]:
    """Work per second, one for each round."""
    return [turn["work"] / turn["seconds"] for turn in self.turns]


class Process:
  """A contestant that is ready to be asked; a context manager.

  Args:
    logs: a folder for what it says on stderr.
    patience: seconds without an answer, then it is killed.

  Raises:
    UserError: with its last words, if it ends before it is told to.
  """

  def __init__(
    self,
    contestant: Contestant,
    logs: pathlib.Path,
    patience: float = _PATIENCE,
  ):
    self.name = contestant.name
    self._patience = patience
    logs.mkdir(parents=True, exist_ok=True)
    self._words = logs / f"{contestant.name.replace(' ', '_')}.txt"
    path = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    with self._words.open("wb") as words:
      self._child = subprocess.Popen(  # noqa: S603 our own module
        [
          contestant.python,
          "-m",
          "experiments.benchmarks.child",
          contestant.target,
          json.dumps(dict(contestant.options)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        text=True,
        env={
          **os.environ,
          "PYTHONPATH": os.pathsep.join(filter(None, path)),
          **contestant.environment,
        },
      )

  def __enter__(self) -> Process:
    return self

  def __exit__(self, *_: Any) -> None:
    with contextlib.suppress(BrokenPipeError):
      self._in.close()
    try:
      self._child.wait(timeout=10)
    except subprocess.TimeoutExpired:
      self._child.kill()
      self._child.wait()
    self._out.close()

  def ready(self) -> dict[str, float]:
    """Waits until it is set up."""
    return self._answer()

  def run(self, turns: int) -> dict[str, float]:
    """The answer to {"run": turns}."""
    try:
      self._in.write(json.dumps({"run": turns}) + "\n")
      self._in.flush()
    except BrokenPipeError:
      pass  # its last words say more
    return {"turns": turns, **self._answer()}

  @property
  def _in(self) -> Any:
    return self._child.stdin

  @property
  def _out(self) -> Any:
    return self._child.stdout

  def _answer(self) -> dict[str, float]:
    timer = threading.Timer(self._patience, self._child.kill)
    timer.start()
    line = self._out.readline()
    timer.cancel()
    if line:
      return json.loads(line)
    code = self._child.wait()
    words = self._words.read_text(errors="replace").split("\n")
    last = next((w.strip() for w in reversed(words) if w.strip()), "silence")
    raise UserError(
      f"contestant '{self.name}'",
      f"ended with code {code}: {last.removeprefix('ERROR: ')}",
    )


def contest(
  contestants: Sequence[Contestant],
  *,
  rounds: int,
  seconds: float,
  logs: pathlib.Path,
  step: Callable[[str], None] = lambda _: None,
) -> list[Score]:
  """Lets them take turns; the first one is the reference.

  Args:
    seconds: about how long a turn should be.
    logs: a folder for what they say on stderr.
    step: told what is done next, 2 + rounds times for each contestant.

  Returns:
    One score for each that lived to the end. Whoever does not is named in a
    warning.

  Raises:
    UserError: if the reference does not live.
  """
  with contextlib.ExitStack() as stack:
    alive = []
    for contestant in contestants:
      step(f"{contestant.name} sets up")
      process = stack.enter_context(Process(contestant, logs))
      runner = _Runner(process)
      step(f"{contestant.name} warms up")
      if runner.survives(runner.warm_up, seconds):
        alive.append(runner)
      elif contestant is contestants[0]:
        raise runner.error
    for number in range(rounds):
      for runner in alive[:: -1 if number % 2 else 1]:
        step(f"round {number + 1} of {rounds}: {runner.name}")
        runner.survives(runner.take_turn)
      if alive[0].error:
        raise alive[0].error
      alive = [runner for runner in alive if not runner.error]
  return [_score(runner, alive[0]) for runner in alive]


class _Runner:
  """A process, how long its turns are, and what it did."""

  def __init__(self, process: Process):
    self.name = process.name
    self.turns: list[dict[str, float]] = []
    self.setup = 0.0
    self.error: Any = None
    self._process = process
    self._size = 1

  def survives(self, act: Callable[..., None], *arguments: Any) -> bool:
    """Whether it lives after this."""
    try:
      act(*arguments)
    except UserError as error:
      self.error = error
      warn(str(error))
    return not self.error

  def warm_up(self, seconds: float) -> None:
    self.setup = self._process.ready()["setup"]
    taken = self._process.run(1)["seconds"]
    self._size = max(1, round(seconds / max(taken, 1e-9)))

  def take_turn(self) -> None:
    self.turns.append(self._process.run(self._size))

  @property
  def rates(self) -> list[float]:
    return [turn["work"] / turn["seconds"] for turn in self.turns]


def _score(runner: _Runner, reference: _Runner) -> Score:
  pairs = zip(runner.rates, reference.rates, strict=True)
  ratios = [mine / theirs for mine, theirs in pairs] or [math.nan]
  return Score(
    name=runner.name,
    rate=statistics.median(runner.rates),
    ratio=statistics.median(ratios),
    lowest=min(ratios),
    highest=max(ratios),
    peak_bytes=int(max(turn["peak_bytes"] for turn in runner.turns)),
    setup=runner.setup,
    turns=runner.turns,
  )
