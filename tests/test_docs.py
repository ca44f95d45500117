"""What the documents name exists."""

from __future__ import annotations

import json
import os
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCUMENTS = [
  "README.md",
  "CONTRIBUTING.md",
  "docs/launch.md",
  "docs/performance.md",
  "docs/products.md",
  "docs/interest.md",
  "docs/posts.md",
  "docs/scaling.md",
  "docs/tag_peers.md",
  "colab/hashtags.ipynb",
  "colab/music_and_films.ipynb",
  "colab/quickstart.ipynb",
  "colab/shop.ipynb",
  "colab/tags_for_products.ipynb",
]
documents = pytest.mark.parametrize("name", DOCUMENTS)

LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
MODULE = re.compile(r"python -m (experiments(?:\.\w+)+)")
CONFIG = re.compile(r"--config=(\S+?\.py)")
PATH = re.compile(
  r"`((?:tagrec_jax|experiments|configs|tests|colab|\.ci)/[\w/.-]+)`"
)
# The rows of 'Follow a batch' name files inside the package.
INSIDE = re.compile(
  r"`((?:data|models|sharding|objectives|training|core)/[^`]*)`"
)
# Files that an example makes.
EXAMPLES = {
  "configs/x.py",
  "tagrec_jax/models/encoder/mean.py",
  "tests/models/encoder/test_mean.py",
}


COMMAND = re.compile(r"python -m experiments\.(\w+(?:\.\w+)*)([^`'&]*)")
FLAG = re.compile(r"--(\w+)")
DEFINED = re.compile(r"DEFINE_\w+\(\s*\"(\w+)\"")


def text_of(name: str) -> str:
  text = (ROOT / name).read_text()
  if name.endswith(".ipynb"):
    cells = json.loads(text)["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
  return text


def missing(text: str, folder: str = ".") -> set[str]:
  """Files that a text in `folder` names and that are not there."""
  links = {os.path.normpath(f"{folder}/{path}") for path in LINK.findall(text)}
  named = {*links, *CONFIG.findall(text), *PATH.findall(text)}
  named |= {m.replace(".", "/") + ".py" for m in MODULE.findall(text)}
  named |= {f"tagrec_jax/{path}" for path in INSIDE.findall(text)}
  return {path for path in named - EXAMPLES if not (ROOT / path).exists()}


def test_missing_sees():
  text = "[a](no.md) `tests/no.py` `data/no.py` python -m experiments.no "
  text += "--config=configs/no.py:tiny"
  assert missing(text) == {
    *("no.md", "tests/no.py", "tagrec_jax/data/no.py"),
    *("experiments/no.py", "configs/no.py"),
  }


@documents
def test_what_a_document_names_exists(name):
  assert not missing(text_of(name), os.path.dirname(name) or ".")


@pytest.mark.parametrize(
  "command",
  [
    "python -m pytest",
    "python -m experiments.train --config=configs/quickstart.py",
    "python -m experiments.recommend",
  ],
)
def test_what_the_readme_promises_is_run(command):
  def words(name: str) -> str:
    return " ".join(text_of(name).replace("\\\n", " ").split())

  assert command in words("README.md")
  assert command in words(".ci/run")


def unknown_flags(text: str) -> set[str]:
  """Flags of commands in a text that the commands do not have."""
  unknown = set()
  for name, words in COMMAND.findall(text.replace("\\\n", " ")):
    path = ROOT / "experiments" / f"{name.replace('.', '/')}.py"
    source = path.read_text()
    shared = ["command"] + ["several"] * ("several.join()" in source)
    sources = [(ROOT / "experiments" / f"{n}.py").read_text() for n in shared]
    known = set(DEFINED.findall("".join([source, *sources])))
    known |= {"config", "help"}
    line = re.sub(r'"[^"]*"', "", words.partition("\n")[0])  # of others
    unknown |= set(FLAG.findall(line)) - known
  return unknown


def test_unknown_flags_sees():
  text = "python -m experiments.train --no --config=x \\\n --workdir=x --nil"
  text += ' --workdir="--of_another"'
  assert unknown_flags(text) == {"no", "nil"}


@documents
def test_commands_of_documents_have_their_flags(name):
  assert not unknown_flags(text_of(name))
