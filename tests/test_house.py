"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
CODE = ("tagrec_jax", "experiments", "configs")
MAX_LINES = 400
MAX_FUNCTION = 60  # lines of a function, its docstring apart

UNSAFE_MODULES = {
  *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")
}
UNSAFE_CALLS = {
  *("eval", "exec", "compile", "__import__", "os.system", "os.popen"),
  *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
}
UNSAFE_KEYWORDS = {("allow_pickle", True), ("shell", True)}


def python_files(*folders: str) -> list[pathlib.Path]:
  return sorted(p for f in folders for p in (ROOT / f).rglob("*.py"))


def text_files() -> list[pathlib.Path]:
  """All files a person wrote, wherever they stand in the checkout."""
  tops = [
    *(p for p in ROOT.iterdir() if p.is_file() and p.name != ".git"),
    *(ROOT / f for f in (*CODE, "tests", ".ci", "colab", "docs")),
  ]
  files = [q for p in tops for q in ([p] if p.is_file() else p.rglob("*"))]
  made = {"__pycache__", ".ipynb_checkpoints"}
  return sorted(
    p
    for p in files
    if p.is_file()
    and not made & set(p.parts)
    and b"\0" not in p.read_bytes()[:1024]
  )


def unsafe(source: str) -> list[str]:
  """What in this source could run code that it reads: 'line: what'."""
  found = []
  for node in ast.walk(ast.parse(source)):
    names: list[str] = []
    if isinstance(node, ast.Import):
      names = [a.name.split(".")[0] for a in node.names]
    elif isinstance(node, ast.ImportFrom):
      names = [(node.module or "").split(".")[0]]
    if isinstance(node, ast.Import | ast.ImportFrom):
      found += [f"{node.lineno}: {n}" for n in names if n in UNSAFE_MODULES]
    elif isinstance(node, ast.Call):
      called = ast.unparse(node.func)
      if called in UNSAFE_CALLS:
        found.append(f"{node.lineno}: {called}")
      given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
      for name, value in UNSAFE_KEYWORDS:
        if given.get(name) is value:
          found.append(f"{node.lineno}: {name}={value}")
      if called.endswith(".extractall") and given.get("filter") != "data":
        found.append(f"{node.lineno}: extractall without filter='data'")
  return found


@pytest.mark.parametrize(
  "source",
  [
    "import pickle",
    "from cloudpickle import loads",
    "import os.path, shelve",
    "eval('1')",
    "exec(code)",
    "yaml.load(text, Loader=yaml.Loader)",
    "np.load(path, allow_pickle=True)",
    "subprocess.run('ls', shell=True)",
    "archive.extractall(folder)",
  ],
)
def test_unsafe_sees(source):
  assert unsafe(source)


@pytest.mark.parametrize(
  "source",
  [
    "np.load(path, allow_pickle=False)",
    "yaml.safe_load(text)",
    "jax.jit(f).lower(x).compile()",
    "archive.extractall(folder, filter='data')",
    "model.eval()",
  ],
)
def test_unsafe_lets_pass(source):
  assert not unsafe(source)


def test_nothing_read_can_run():
  found = {
    f"{path.relative_to(ROOT)}:{what}"
    for path in python_files(*CODE)
    for what in unsafe(path.read_text())
  }
  assert not found


def test_files_are_short():
  lengths = {
    str(p.relative_to(ROOT)): len(p.read_text().splitlines())
    for p in python_files(*CODE, "tests", ".ci")
  }
  assert not {p: n for p, n in lengths.items() if n >= MAX_LINES}


def test_functions_are_short():
  found = {}
  for path in python_files(*CODE):
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.FunctionDef):
        first = node.body[0]
        docstring = ast.get_docstring(node) is not None
        start = (first.end_lineno or 0) if docstring else node.lineno
        lines = (node.end_lineno or 0) - start
        if lines > MAX_FUNCTION:
          found[f"{path.relative_to(ROOT)}:{node.name}"] = lines
  # The list of all defaults is one function, and is read as a table.
  found.pop("configs/base.py:get_config", None)
  assert not found


def test_names_say_what_a_module_is_about():
  vague = {"utils", "util", "helpers", "helper", "common", "misc"}
  stems = {p.stem: p for p in python_files(*CODE, "tests", ".ci")}
  assert not vague & set(stems)
  assert not vague & {p.parent.name for p in stems.values()}


def test_packages_hold_nothing_in_init():
  full = [
    str(p.relative_to(ROOT))
    for p in python_files(*CODE)
    if p.name == "__init__.py" and p.read_text().strip()
  ]
  assert full == ["tagrec_jax/__init__.py"]  # the version


def test_tests_are_no_packages():
  assert not list((ROOT / "tests").rglob("__init__.py"))


def test_no_path_or_host_of_one_machine():
  machine = re.compile(
    r"(?<![\w.~}])/(home|root|Users|opt|work|tmp|mnt|srv|private)/"
    r"|[A-Z]:\\\w|(pypi|pythonhosted|npmjs)\.(org|com)"
  )
  found = {
    f"{path.relative_to(ROOT)}:{number}: {line.strip()[:60]}"
    for path in text_files()
    for number, line in enumerate(path.read_text().splitlines(), start=1)
    if machine.search(line)
  }
  assert not found


@pytest.mark.parametrize(
  "name", ["requirements.lock", "build.lock", "models.lock"]
)
def test_lock_names_hashes_and_nothing_else(name):
  text = (ROOT / ".ci" / name).read_text()
  pins = text.replace("\\\n", "").splitlines()
  pins = [line for line in pins if not line.startswith("#")]
  assert pins
  for pin in pins:
    assert re.fullmatch(
      r"[a-z0-9.-]+==\S+( ; [^\"@]+?)?( +--hash=sha256:[0-9a-f]{64})+", pin
    ), pin.split()[0]
  heavy = {"torch", "tensorflow", "keras"}
  assert not heavy & {pin.split("==")[0] for pin in pins}
