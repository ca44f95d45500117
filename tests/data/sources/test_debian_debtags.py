from __future__ import annotations

import gzip
import pathlib

import pytest

from tagrec_jax.core.errors import StorageError, UserError
from tagrec_jax.data.records import Item, Rejection, Tag
from tagrec_jax.data.sources.debian_debtags import DebianDebtags

PACKAGES = """\
Package: libfoo-perl
Source: foo (1.2-3)
Version: 1.2-3+b1
Installed-Size: 71
Maintainer: Zed Pobre <zed@debian.org>
Description: library of foo
Tag: devel::lang:perl, devel::library,
 role::devel-lib, special::not-yet-tagged
Section: perl
Priority: optional
Size: 1000

Package: bar
Description-en: program for bars
 It draws bars,
 .
 and more.
Installed-Size: many


Package: \xe9
Maintainer: Somebody
"""

LIBFOO = Item(
  "libfoo-perl",
  title="libfoo-perl: library of foo",
  tags=("devel::lang:perl", "devel::library", "role::devel-lib"),
  numbers={"size_bytes": 1000.0, "installed_kb": 71.0},
  categories={"brand": "Zed Pobre", "section": "perl", "priority": "optional"},
  group="foo",
)


def test_files_of_debian(tmp_path):
  (tmp_path / "Packages").write_text(PACKAGES, encoding="latin-1")
  source = DebianDebtags(str(tmp_path))
  libfoo, bar, size, bad = source.read()
  assert libfoo == LIBFOO
  assert bar == Item(
    "bar",
    title="bar: program for bars",
    description="It draws bars,\n\nand more.",
    group="bar",
  )
  assert isinstance(size, Rejection)
  assert (size.line, size.field, size.reason) == (
    *(13, "Installed-Size"),
    "not a number",
  )
  assert isinstance(bad, Rejection)
  assert (bad.line, bad.reason) == (21, "not UTF-8")
  (tmp_path / "vocabulary").write_text(
    "Facet: devel\nDescription: Development\n\n"
    "Tag: devel::library\nDescription: Libraries\n Code of others.\n\n"
    "Tag:\nDescription: none\n"
  )
  assert [pathlib.Path(file).name for file in source.files()] == [
    "Packages",
    "vocabulary",
  ]
  tag, nameless, *_ = source.read()
  assert tag == Tag("devel::library", "Libraries\nCode of others.")
  assert isinstance(nameless, Rejection)


@pytest.fixture
def tidy(tmp_path):
  def write(items: bytes, tags: str = "[]") -> DebianDebtags:
    (tmp_path / "items.jsonl.gz").write_bytes(items)
    (tmp_path / "tag_vocabulary.json").write_text(tags)
    return DebianDebtags(str(tmp_path))

  return write


def test_tidied_files(tidy):
  source = tidy(
    gzip.compress(
      b'{"id": "libfoo-perl", "title": "library of foo", "brand": "Zed Pobre",'
      b' "section": "perl", "priority": "optional", "size_bytes": 1000,'
      b' "installed_kb": 71, "source": "foo", "tags": ["devel::lang:perl",'
      b' "devel::library", "role::devel-lib"], "split": "test"}\n'
      b'{"id": "bar", "title": "program", "description": "Draws.",'
      b' "app_categories": ["Game"], "size_bytes": -1}\n'
      b"{\n"
    ),
    '[{"facet": "devel"}, {"tag": "devel::library", "description": "Code"},'
    ' {"tag": 1.5}]',
  )
  tag, bad_tag, libfoo, bar, negative, broken = source.read()
  assert tag == Tag("devel::library", "Code")
  assert libfoo == LIBFOO
  assert bar == Item(
    "bar",
    title="bar: program",
    description="Draws.",
    sets={"app_categories": ("Game",)},
    group="bar",
  )
  assert [r.reason for r in (bad_tag, negative, broken)] == [
    *("not an id", "negative"),
    "not JSON",
  ]


@pytest.mark.parametrize("tags", ["", "{", "5", "[" * 100_000])
def test_a_vocabulary_that_cannot_be_read(tidy, tags):
  with pytest.raises(UserError, match=r"tag_vocabulary\.json: not readable"):
    list(tidy(gzip.compress(b""), tags).read())


@pytest.mark.parametrize(
  "items",
  [
    b"no gzip",
    gzip.compress(b"{}\n" * 99)[:20],
    gzip.compress(b"{}")[:-4] + b"0" * 4,
    gzip.compress(b"{}")[:10] + b"\xff" * 9,
  ],
  # Named, as an archive holds the second of its making.
  ids=["no archive", "cut", "wrong length", "no stream"],
)
def test_damaged_archives(tidy, items):
  with pytest.raises(StorageError, match=r"items\.jsonl\.gz: cannot be read"):
    list(tidy(items).read())


def test_missing_files_say_where_they_come_from(tmp_path, data_settings):
  settings = data_settings(folder=str(tmp_path))
  with pytest.raises(UserError, match="Fix: on Debian: apt-cache show"):
    DebianDebtags.from_settings(settings).files()


def test_bookworm(data_folder, unchecked_types):
  source = DebianDebtags(str(data_folder / "debian_debtags"))
  records = list(source.read())
  items = {r.id: r for r in records if isinstance(r, Item)}
  tags = {r.id: r for r in records if isinstance(r, Tag)}
  assert len(items) == 30_293  # three are there in two versions
  assert len(tags) == 642
  assert len(records) == 30_296 + 642
  assert all(item.tags and item.group for item in items.values())
  assert len({tag for item in items.values() for tag in item.tags}) == 572
  assert items["0ad"].sets == {"app_categories": ("Game", "StrategyGame")}
  assert items["0ad"].title.startswith("0ad: Real-time strategy")
  spoken = tags["accessibility::accessible-via:at-spi"].description
  assert spoken.startswith("Accessibility through AT-SPI")
