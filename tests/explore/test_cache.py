"""The file of thumbnails: shared, killed, damaged, full, read-only."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from headlight.explore.app.cache import PictureCache

IDS = np.random.default_rng(0).integers(-(2**63), 2**63, 500).tolist()
NOBODY = 65534


def picture(row: int) -> bytes:
    return bytes([row % 251]) * (1000 + 7 * row)


def filled(file: Path, rows: int = 100) -> PictureCache:
    cache = PictureCache(file, IDS)
    for row in range(rows):
        cache.put(row, picture(row))
    return cache


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "thumbnails.sqlite"


def test_pictures_are_found_again_by_image_and_not_by_row(file: Path) -> None:
    cache = PictureCache(file, IDS)
    assert cache.get(3) is None
    assert cache.missing() == list(range(500))
    cache.put(3, b"three")
    cache.put(3, b"three again")
    cache.put(8, b"eight")
    assert cache.get(3) == b"three again"
    cache.close()
    assert cache.get(3) is None
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    others = PictureCache(
        file, [IDS[row] for row in (7, 8, 9, 3)]
    )  # the run has been updated meanwhile
    assert [others.get(row) for row in range(4)] == [None, b"eight", None, b"three again"]
    assert others.missing() == [0, 2]


WRITER = """
import sys
from pathlib import Path
from tests.explore.test_cache import filled
filled(Path(sys.argv[1]), 500)
print("done", flush=True)
sys.stdin.read()
"""


def start(file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def whole(cache: PictureCache) -> int:
    """How many pictures there are; each is right."""
    found = [cache.get(row) for row in range(len(IDS))]
    assert all(data in (None, picture(row)) for row, data in enumerate(found))
    return sum(data is not None for data in found)


def test_processes_share_a_file_from_the_moment_it_is_made(file: Path) -> None:
    writers = [start(file) for _ in range(3)]
    assert [writer.stdout.readline() for writer in writers if writer.stdout] == ["done\n"] * 3
    mine = filled(file, 10)
    assert whole(mine) == 500
    for writer in writers:
        writer.kill()
        writer.communicate()
    assert whole(mine) == whole(PictureCache(file, IDS)) == 500


def test_a_kill_loses_no_picture_that_was_kept(file: Path) -> None:
    mine = PictureCache(file, IDS)
    for _ in range(3):
        writer = start(file)
        kept = whole(mine)
        while whole(mine) == kept < 500:
            assert writer.poll() is None
        writer.kill()
        writer.communicate()
        mine.close()
        mine = PictureCache(file, IDS)
        assert whole(mine) > kept or kept == 500
        assert len(mine.missing()) == 500 - whole(mine)


def garbage(data: bytearray) -> bytes:
    return b"This is no database. " * 1000


def empty(data: bytearray) -> bytes:
    return b""


def torn(data: bytearray) -> bytes:
    return bytes(data[: len(data) // 2 + 100])


def speckled(data: bytearray) -> bytes:
    for i in range(5000, len(data), 997):
        data[i] ^= 0xFF
    return bytes(data)


def overwritten(data: bytearray) -> bytes:
    data[4096:20480] = b"\xff" * 16384
    return bytes(data)


@pytest.mark.parametrize("damage", [garbage, empty, torn, speckled, overwritten])
@pytest.mark.parametrize("opened", [True, False])
def test_a_damaged_file_gives_no_wrong_picture_and_is_used_again(
    file: Path, damage: Callable[[bytearray], bytes], opened: bool
) -> None:
    filled(file).close()
    cache = PictureCache(file, IDS) if opened else None
    file.write_bytes(damage(bytearray(file.read_bytes())))
    cache = cache or PictureCache(file, IDS)
    whole(cache)
    cache.missing()
    for row in range(len(IDS)):
        cache.put(row, picture(row))
    assert whole(cache) == 500
    cache.close()
    assert whole(PictureCache(file, IDS)) == 500


def test_what_is_no_picture_is_not_taken_for_one(file: Path) -> None:
    filled(file, 1).close()
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE picture SET data = 'text', crc = NULL")
        database.commit()
    assert PictureCache(file, IDS).get(0) is None


def test_a_full_disk_keeps_what_there_is(file: Path) -> None:
    cache = filled(file)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        for row in range(100, 500):
            cache.put(row, picture(row))
        assert 100 <= whole(cache) < 500
        cache.close()
        cache = PictureCache(file, IDS)
        assert 100 <= whole(cache) < 500
        none = PictureCache(file.with_name("other"), IDS)
        none.put(499, bytes(300_000))
        assert none.get(499) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    cache.put(499, picture(499))
    assert cache.get(499) == picture(499)


@contextmanager
def as_nobody() -> Iterator[None]:
    """The superuser may write everywhere."""
    if root := os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("locked", ["file", "folder", "both"])
def test_what_must_not_be_written_is_read(locked: str) -> None:
    with as_nobody(), tempfile.TemporaryDirectory(dir="/tmp") as folder:
        file = Path(folder) / "thumbnails.sqlite"
        filled(file).close()
        if locked != "folder":
            file.chmod(0o444)
        if locked != "file":
            Path(folder).chmod(0o555)
        cache = PictureCache(file, IDS)
        assert whole(cache) == 100
        assert len(cache.missing()) == 400
        cache.put(200, picture(200))
        assert cache.get(0) == picture(0)
        cache.close()
        Path(folder).chmod(0o755)


def test_where_there_can_be_no_file_nothing_is_kept(file: Path) -> None:
    file.mkdir()
    for place in (file, file.parent / "missing" / "folder"):
        cache = PictureCache(place, IDS)
        cache.put(0, b"x")
        assert cache.get(0) is None
        assert len(cache.missing()) == 500
        cache.close()


def test_threads_share_it_and_may_come_after_its_end(file: Path) -> None:
    cache = PictureCache(file, IDS)

    def work(row: int) -> None:
        if row == 400:
            cache.close()
        cache.put(row, picture(row))
        cache.get(row)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(500)))
    assert 380 <= whole(PictureCache(file, IDS)) <= 420
