"""Writes docs/reliability.md from the outcome of all tests of a case.

Run: python -m pytest -p tests.torture.plugin -m case

It marks the tests that cases.py names. A test of several trials counts them
with the fixture `trials`; the fixture `told` takes what a user is told.
"""

from __future__ import annotations

import collections
import datetime
import importlib.metadata
import os
import pathlib
import platform

import pytest

from tests.torture.cases import CASES, PARTS

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "reliability.md"

_INTRODUCTION = """\
# What a run survives

Each row is a way to break a run, tried by the test suite: it must go on with
nothing lost, or end with one line that says what is wrong and an exit code (2:
input or config, 3: somebody else works there, 4: numbers are not finite, 5:
reading or writing failed). Lost counts trials in which a run ended otherwise:
other numbers in the end, a checkpoint gone, a trace instead of a line, a hang.

This page is written by the tests themselves; those that take seconds are in
every run of the suite, the others are marked nightly:

```bash
python -m pytest -p tests.torture.plugin -m case
```

With `pip install -e ".[fuzz]"` the readers of tables and pictures are fuzzed
too, `$TAGREC_FUZZ_SECONDS` (30) each.
"""

_CONTROL = """## What it says and does

- **Errors** are one line, `ERROR: where: found, expected. Fix: how`. `--debug`
  of any command shows the trace besides. A fault of ours is one line too, with
  the file and line it comes from, and exit code 1.
- **SIGTERM or SIGINT**: training saves at the end of the step and ends with 0;
  a second signal ends it at once, with the checkpoint before. Other commands
  (extending, answering, measuring) end with 128 and the number of the signal,
  and leave files whole or not at all. The same command goes on.
- **`--restore`**: `auto` goes on from the newest whole checkpoint, and sets
  damaged ones aside with a warning; a step, from that one or not at all; `none`
  begins anew. Only whole ones count for `checkpoint.keep`.
- **`--allow_changes`** goes on with other data or another config,
  `--restore_cast` with numbers of another type; what differs is told.
- **A step that is not finite**, or whose loss rises by more than
  `optimizer.max_loss_rise`, changes no parameter; the batch's products and
  people are added to `skipped_steps.jsonl`. After `train.max_skipped_steps` in
  a row the run ends (4).
- **With `train.max_roll_backs`** a loss above its limit at step s lets the run
  go back to its newest checkpoint, of step c, with optimizer, averages and what
  is known of usual losses as they were there. Step c then takes the batch after
  that of step s, and so on: batches c to s are passed over for ever, and a run
  of n steps reads as many more. This shift is saved with every checkpoint, so
  that a run that is interrupted anywhere takes the same batches and ends the
  same, bit for bit. After that many times to one checkpoint the run ends (4).
- **The last line** of training says where its time went: `goodput` is the
  share of steps that count; the rest is compiling, waiting for data, restoring,
  checkpoints, evaluation, and steps lost by kills and roll backs.
"""

_counts: dict[int, collections.Counter[str]] = collections.defaultdict(
  collections.Counter
)
_told: dict[int, dict[str, str]] = collections.defaultdict(dict)


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  cases = collections.defaultdict(list)
  for number, case in CASES.items():
    for test in case.tests:
      cases[test].append(number)
  for item in items:
    for number in cases[item.nodeid.partition("[")[0]]:
      item.add_marker(pytest.mark.case)
      item.user_properties.append(("case", number))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
  if report.when != "call" and not report.failed:
    return
  facts = report.user_properties
  cases = [value for name, value in facts if name == "case"]
  trials = sum(value for name, value in facts if name == "trials") or 1
  for case in cases:
    _counts[case]["tests"] += 1
    _counts[case]["skipped"] += report.skipped
    _counts[case]["trials"] += 0 if report.skipped else trials
    _counts[case]["lost"] += trials if report.failed else 0
    _told[case] |= dict(value for name, value in facts if name == "told")


def pytest_sessionfinish(session: pytest.Session) -> None:
  config = session.config
  if hasattr(config, "workerinput") or config.option.collectonly:
    return
  if missing := CASES.keys() - _counts.keys():
    print(f"\n{PAGE} is not written: no test of cases {sorted(missing)} ran")
    return
  PAGE.write_text(_page(), encoding="utf-8")
  print(f"\nwrote {PAGE}")


def _page() -> str:
  parts = [_INTRODUCTION, _conditions()]
  for part, numbers in PARTS.items():
    rows = [_row(number) for number in numbers if number in _counts]
    parts.append(
      f"## {part}\n\n"
      "| case | what is done | tests | trials | survived | lost |\n"
      "|---:|---|---:|---:|---:|---:|\n" + "\n".join(rows) + "\n"
    )
  parts += [_CONTROL, _messages()]
  return "\n".join(parts)


def _conditions() -> str:
  versions = ", ".join(
    f"{name} {importlib.metadata.version(name)}"
    for name in ("jax", "flax", "optax", "orbax-checkpoint")
  )
  # Not before conftest.py has set up JAX.
  from tagrec_jax.training.run_folder import versions as made

  today = datetime.datetime.now(datetime.UTC).date()
  return (
    f"Last written on {today}, commit `{made()['commit'][:7]}`:"
    f" {platform.system()} with {os.cpu_count()} cores,\n"
    f"Python {platform.python_version()}, {versions}.\n"
  )


def _row(number: int) -> str:
  found = _counts[number]
  survived = found["trials"] - found["lost"]
  what = CASES[number].what
  if found["skipped"]:
    what += f" ({found['skipped']} tests could not run there)"
  return (
    f"| {number} | {what} | {found['tests']} | {found['trials']} | {survived}"
    f" | {found['lost']} |"
  )


def _messages() -> str:
  rows = [
    f"| {number} | {_cell(what)} | {_cell(message)} |"
    for number in sorted(_told)
    for what, message in _told[number].items()
  ]
  return (
    "## What is told\n\n"
    "Rows that are refused stand, with these reasons, in `rejections.jsonl`"
    " beside the\nprepared data; all are counted, and above"
    " `config.data.max_bad_rows` reading stops.\n\n"
    "| case | what is found | what is told |\n|---:|---|---|\n"
    + "\n".join(rows)
    + "\n"
  )


def _cell(text: str) -> str:
  return text.replace("|", "\\|").replace("\n", " ")
