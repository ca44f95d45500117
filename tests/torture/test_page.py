"""docs/reliability.md speaks of the tests there are, and of nothing lost."""

from __future__ import annotations

import ast
import pathlib
import re

from tests.torture.cases import CASES, PARTS
from tests.torture.plugin import PAGE

ROOT = pathlib.Path(__file__).parents[2]
ROW = re.compile(
  r"^\| (\d+) \| (.+?) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE
)


def functions(path: str) -> set[str]:
  tree = ast.parse((ROOT / path).read_text())
  return {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_there_are_forty_cases_and_each_test_exists():
  assert list(CASES) == list(range(1, 41))
  assert [n for part in PARTS.values() for n in part] == list(CASES)
  for case in CASES.values():
    for test in case.tests:
      path, name = test.split("::")
      assert name in functions(path), test


def test_the_page_is_of_these_cases_and_nothing_is_lost():
  """Not so: python -m pytest -p tests.torture.plugin -m case."""
  rows = ROW.findall(PAGE.read_text())
  found = {int(number): what for number, what, *_ in rows}
  assert found == {number: case.what for number, case in CASES.items()}
  for number, _, tests, trials, survived, lost in rows:
    assert int(lost) == 0, number
    assert int(survived) == int(trials) >= int(tests) > 0, number
