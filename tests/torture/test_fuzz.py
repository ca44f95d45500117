"""Readers under bytes that a fuzzer finds, for as long as a night allows."""

from __future__ import annotations

import importlib.util
import io
import os
import pathlib
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = pathlib.Path(__file__).with_name("fuzz_readers.py")
SECONDS = int(os.environ.get("TAGREC_FUZZ_SECONDS", "30"))


def parquet() -> bytes:
  file = io.BytesIO()
  pq.write_table(pa.table({"item_id": ["001"], "title": ["hat"]}), file)
  return file.getvalue()


def png() -> bytes:
  file = io.BytesIO()
  Image.new("RGB", (4, 4)).save(file, "PNG")
  return file.getvalue()


SEEDS = {
  "csv": b'item_id,title,tags,price\r\n001,"a, ""b""",x|y,9.5\n',
  "jsonl": b'{"item_id": "001", "tags": ["a"], "price": 9.5}\n',
  "parquet": parquet(),
  "png": png(),
}


@pytest.mark.nightly
@pytest.mark.parametrize("kind", SEEDS)
def test_a_fuzzer_finds_nothing(tmp_path, trials, kind):
  if importlib.util.find_spec("atheris") is None:
    pytest.skip('no fuzzer: pip install -e ".[fuzz]"')
  corpus, work = tmp_path / "corpus", tmp_path / "work"
  corpus.mkdir()
  work.mkdir()
  (corpus / "seed").write_bytes(SEEDS[kind])
  done = subprocess.run(
    [
      *(sys.executable, str(SCRIPT), kind, str(work), str(corpus)),
      *(f"-max_total_time={SECONDS}", "-timeout=20", "-rss_limit_mb=4096"),
      f"-artifact_prefix={tmp_path}/",
    ],
    env=os.environ | {"PYTHONPATH": str(ROOT)},
    capture_output=True,
    text=True,
    timeout=SECONDS + 120,
    check=False,
  )
  assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
  (runs,) = re.findall(r"Done (\d+) runs", done.stderr)
  assert int(runs) > 100
  trials(int(runs))
