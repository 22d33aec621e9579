"""What `make demo` does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_demo_clusters_the_digits_and_says_where_the_report_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "headlight", "demo", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["source"] == {"uri": "digits", "images": 1797, "quarantined": 0}
    assert len(result["clusters"]) == 10
    # Far above chance (.10): the clusters are digits, not noise.
    assert result["scores"]["acc"] > 0.5
    page = Path(result["report"]).read_text("utf-8")
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
