"""The file of edits: nothing acknowledged is lost, nothing else is believed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from headlight.errors import HeadlightError
from headlight.review.fitting import edits_in_words
from headlight.review.lines import unpack_rows
from headlight.review.log import CHECK, FILE, EditLog, move, rename
from headlight.review.review import review
from headlight.runs import load_run
from tests.conftest import rewrite_info
from tests.explore.handmade import FIT, handmade_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    clusters = {name: [f"{name}/{i:03}.png" for i in range(50)] for name in ("a", "b", "c")}
    return handmade_run(tmp_path / "r.headlight", tmp_path, clusters).path


@pytest.mark.parametrize(
    "text", ["x", "1,", "-1", "1-2-3", "5-3", "2,1", "1-4,4", "10", "1.5", "²"]
)
def test_rows_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        unpack_rows(text, 10)


def test_edits_are_lines_that_anyone_can_read(run: Path) -> None:
    now = review(load_run(run))
    now.edit(rename(0, "cats & <dogs>"))
    now.edit(move({1: np.array([0, 1, 2])}))
    lines = [json.loads(line) for line in (run / FILE).read_text("utf-8").splitlines()]
    assert lines[0].keys() == {"fit", "at", "edit", "cluster", "name"}
    keys = b"".join(sorted(now.keys[row].tobytes() for row in range(3)))
    images = {"1": base64.b64encode(keys).decode()}
    assert (lines[0]["name"], lines[1]["images"]) == ("cats & <dogs>", images)
    assert {line["fit"] for line in lines} == {FIT}


def test_a_torn_last_line_is_ignored_at_every_length_and_then_replaced(run: Path) -> None:
    now = review(load_run(run))
    now.edit(rename(0, "first"))
    whole, check = (run / FILE).read_bytes(), (run / CHECK).read_bytes()
    now.edit(rename(1, "second"))
    second = (run / FILE).read_bytes()[len(whole) :]
    (run / CHECK).write_bytes(check)
    for length in range(len(second)):
        (run / FILE).write_bytes(whole + second[:length])
        found = review(load_run(run))
        assert (found.names[0], found.names[1], found.n_edits) == ("first", "b", 1)
    found.edit(rename(2, "third"))
    again = review(load_run(run))
    assert again.names == {0: "first", 1: "b", 2: "third"}
    assert (run / FILE).read_bytes().count(b"\n") == 2


def test_a_damaged_line_is_said_with_its_number(run: Path) -> None:
    now = review(load_run(run))
    for name in ("x", "y", "z"):
        now.edit(rename(0, name))
    lines = (run / FILE).read_bytes().splitlines(keepends=True)
    (run / CHECK).unlink()
    (run / FILE).write_bytes(lines[0] + b'{"fit": 7}\n' + lines[2])
    with pytest.raises(HeadlightError, match=r"line 2 of .*edits\.jsonl is damaged"):
        review(load_run(run))
    (run / FILE).write_bytes(lines[0].replace(b'"cluster": 0', b'"cluster": "x"') + lines[1])
    with pytest.raises(HeadlightError, match="line 1 .*'x' is no cluster"):
        review(load_run(run))


@pytest.mark.parametrize("damage", ["emptied", "deleted", "shortened", "changed"])
def test_acknowledged_edits_that_are_lost_or_changed_are_noticed(run: Path, damage: str) -> None:
    now = review(load_run(run))
    for name in ("x", "y", "z"):
        now.edit(rename(0, name))
    whole = (run / FILE).read_bytes()
    lines = whole.splitlines(keepends=True)
    left = {"emptied": b"", "shortened": b"".join(lines[:2]), "changed": whole.replace(b"y", b"u")}
    if damage == "deleted":
        (run / FILE).unlink()
    else:
        (run / FILE).write_bytes(left[damage])
    with pytest.raises(HeadlightError, match="lacks edits that were made, or was changed: restore"):
        review(load_run(run))
    with pytest.raises(HeadlightError, match="lacks edits"):
        edits_in_words(load_run(run))
    (run / CHECK).unlink()  # as the sentence says
    again = review(load_run(run))
    again.edit(rename(1, "on"))
    assert review(load_run(run)).names[1] == "on"
    (run / FILE).write_bytes(whole)
    (run / CHECK).unlink()
    assert review(load_run(run)).names[0] == "z"


def test_edits_a_kill_left_without_their_checksum_count(run: Path) -> None:
    now = review(load_run(run))
    now.edit(rename(0, "x"))
    check = (run / CHECK).read_bytes()
    now.edit(rename(0, "y"))
    (run / CHECK).write_bytes(check)
    again = review(load_run(run))
    assert again.names[0] == "y"
    assert now.refresh() is False


def test_edits_of_another_fit_are_kept_but_not_applied(run: Path) -> None:
    now = review(load_run(run))
    now.edit(rename(0, "old"))
    text = (run / FILE).read_text().replace(FIT, "f" * 16)
    (run / FILE).write_text(text)
    (run / CHECK).unlink()
    found = review(load_run(run))
    assert (found.names[0], found.n_edits) == ("a", 0)
    assert "1 edit of another review" in found.note
    found.edit(rename(0, "new"))
    assert (run / FILE).read_text().startswith(text)
    rewrite_info(run, lambda info: info["fit"].update(id="3" * 16))
    with pytest.raises(HeadlightError, match="fitted again"):
        found.edit(rename(0, "newer"))


def test_two_processes_editing_see_each_other(run: Path) -> None:
    one, two = review(load_run(run)), review(load_run(run))
    one.edit(rename(0, "by one"))
    two.edit(rename(1, "by two"))
    assert two.names[0] == "by one"
    assert one.refresh()
    assert one.names == two.names
    one.undo()
    two.edit(rename(2, "more"))
    assert review(load_run(run)).names == {0: "by one", 1: "b", 2: "more"}


def test_appends_from_many_threads_are_all_there(run: Path) -> None:
    def edits(name: str) -> None:
        mine = review(load_run(run))
        for i in range(8):
            mine.edit(rename(0, f"{name}{i}"))

    threads = [threading.Thread(target=edits, args=(name,)) for name in "pqr"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert review(load_run(run)).n_edits == 24


EDITOR = """
import sys
from headlight.runs import load_run
from headlight.review.log import rename
from headlight.review.review import review
now = review(load_run(sys.argv[1]))
for i in range(100_000):
    now.edit(rename(0, f"name {i} " + "x" * 150))
    print(i, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 40])
def test_a_kill_loses_no_acknowledged_edit(run: Path, after: int) -> None:
    command = [sys.executable, "-c", EDITOR, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as editor:
        assert editor.stdout
        told = -1
        while told < after:
            told = int(editor.stdout.readline())
        editor.send_signal(signal.SIGKILL)
        told = max([told, *(int(line) for line in editor.stdout.read().split("\n")[:-1])])
    found = review(load_run(run))
    made = int(found.names[0].split()[1])
    assert made in (told, told + 1)  # one may have been written and not yet been told
    found.undo()
    assert review(load_run(run)).names[0].startswith(f"name {made - 1} ")


@pytest.fixture
def tiny_disk(tmp_path: Path):
    """A file system of 128 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or not mount:
        pytest.skip("a full disk (needs root, to mount a small one)")
    size = ["-o", "size=128k", "tmpfs", str(folder)]
    if subprocess.run([mount, "-t", "tmpfs", *size], capture_output=True).returncode:
        pytest.skip("a full disk (no tmpfs can be mounted here)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_refuses_the_edit_and_loses_nothing(tiny_disk: Path, tmp_path: Path) -> None:
    clusters = {"a": [f"{i}.png" for i in range(30)], "b": []}
    path = handmade_run(tiny_disk / "r", tmp_path, clusters).path
    now = review(load_run(path))
    now.edit(rename(0, "kept"))
    filler = (tiny_disk / "filler").open("wb", buffering=0)
    with filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(bytes(512))
    made = 0
    with pytest.raises(HeadlightError, match="not saved.*no space left on device"):
        while True:
            now.edit(rename(1, f"{made} " + "n" * 190))
            made += 1
    names, edits = dict(now.names), now.n_edits
    assert edits == made + 1
    again = review(load_run(path))
    assert (again.names, again.n_edits) == (names, edits)
    assert (path / FILE).read_bytes().endswith(b"\n")
    (tiny_disk / "filler").unlink()
    now.edit(rename(1, "room again"))
    assert review(load_run(path)).names == {0: "kept", 1: "room again"}


def test_a_folder_that_cannot_be_written_is_said(run: Path) -> None:
    now = review(load_run(run))
    (run / FILE).mkdir()
    log = EditLog(run, FIT)
    with pytest.raises(HeadlightError, match="can't be written"):
        log.append(rename(0, "x"))
    (run / FILE).rmdir()
    now.edit(rename(0, "x"))
