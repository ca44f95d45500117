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
  parts.append(_messages())
  return "\n".join(parts)


def _conditions() -> str:
  versions = ", ".join(
    f"{name} {importlib.metadata.version(name)}"
    for name in ("jax", "flax", "optax", "orbax-checkpoint")
  )
  today = datetime.datetime.now(datetime.UTC).date()
  return (
    f"Last written on {today}: {platform.system()} with {os.cpu_count()} cores,"
    f" Python {platform.python_version()},\n{versions}.\n"
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
