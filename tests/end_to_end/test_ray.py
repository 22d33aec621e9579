"""A real Ray of three machines on this one, of which something dies while images are encoded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from headlight.distributed import on_ray
from headlight.encoders import Encoders, load_encoders
from headlight.errors import HeadlightError
from headlight.features import FeatureStore, ViewsOf
from headlight.images import open_source
from tests.conftest import draw

pytest.importorskip("ray", reason="Ray (pip install 'headlight-images[ray]')")
psutil = pytest.importorskip("psutil", reason="psutil, which comes with Ray")

IMAGES = 600
HEADLIGHT = [sys.executable, "-m", "headlight"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, a few of them equal, and one that is none."""
    folder = tmp_path_factory.mktemp("ray") / "photos"
    folder.mkdir()
    for i in range(IMAGES):
        kind = ("disc", "stripes", "noise")[i % 3]
        draw(kind, i if i % 40 else 0, (64, 48)).save(folder / f"{i:03}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return folder


@pytest.fixture(scope="module")
def undisturbed(photos: Path) -> Path:
    run = photos.parent / "undisturbed"
    headlight("cluster", photos, "-k", 3, "-o", run, "--views", 1)
    return run


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def headlight(*arguments: object) -> str:
    command = [*HEADLIGHT, *map(str, arguments), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return done.stderr


def started(photos: Path, run: Path, address: str) -> subprocess.Popen[str]:
    command = [*HEADLIGHT, "cluster", str(photos), "-k", "3", "-o", str(run), "--views", "1"]
    return subprocess.Popen(
        [*command, "--ray", address, "--quiet"], stderr=subprocess.PIPE, text=True
    )


def rows(run: Path) -> int:
    try:
        return len(FeatureStore.open(run / "features.lance"))
    except HeadlightError:
        return 0


def wait_for_rows(run: Path, process: subprocess.Popen[str]) -> None:
    """Until a part of the images has been committed."""
    deadline = time.monotonic() + 300
    while not rows(run):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def same(run: Path, other: Path) -> None:
    """Features, assignments and quarantine are equal, and no image is there twice."""
    stores = [FeatureStore.open(path / "features.lance") for path in (run, other)]
    paths, features = zip(*(store.load() for store in stores), strict=True)
    assert len(set(paths[0].to_pylist())) == len(paths[0]) == IMAGES
    assert paths[0].equals(paths[1])
    assert np.array_equal(features[0].plain, features[1].plain)
    assert np.array_equal(features[0].views, features[1].views)
    for name in ("assignments.parquet", "quarantine.parquet"):
        tables = [pq.read_table(path / name) for path in (run, other)]
        assert tables[0].equals(tables[1])


def kill_an_actor() -> None:
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [""])[0].startswith("ray::MapWorker"):
            process.kill()
            return
    raise AssertionError("no actor is there")


@pytest.mark.parametrize("dies", ["an actor", "a machine", "the driver"])
def test_whatever_dies_the_result_is_that_of_one_process(
    dies: str, photos: Path, undisturbed: Path, machines: Any, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = started(photos, run, machines.address)
    try:
        wait_for_rows(run, process)
        if dies == "an actor":
            kill_an_actor()
        elif dies == "a machine":
            machines.remove_node(machines.list_all_nodes()[-1], allow_graceful=False)
        elif dies == "the driver":
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            assert 0 < rows(run) < IMAGES
            process = started(photos, run, machines.address)
        error = process.communicate(timeout=400)[1]
        assert process.returncode == 0, error
    finally:
        process.kill()
    same(run, undisturbed)


def test_predictions_come_in_the_order_of_the_source(
    photos: Path, undisturbed: Path, tmp_path: Path
) -> None:
    files = tmp_path / "here.parquet", tmp_path / "there.parquet"
    headlight("predict", undisturbed, photos, "-o", files[0])
    headlight("predict", undisturbed, photos, "-o", files[1], "--ray", "local")
    tables = [pq.read_table(file) for file in files]
    assert tables[0].equals(tables[1])
    assert tables[0]["path"].to_pylist() == sorted(p.name for p in photos.iterdir())


def test_what_a_machine_lacks_is_said(photos: Path, tmp_path: Path) -> None:
    encoders = load_encoders("lite0")
    source = open_source(photos)
    assert source.count
    source.uri = "/not/on/this/machine"
    with (
        closing(on_ray("local")(encoders, "cpu", "auto", None)) as encoding,
        pytest.raises(HeadlightError, match=r"cluster: /not/on/this/machine: no such folder"),
    ):
        list(encoding.encode(source, source, ViewsOf(0, None, 1), None))
    other = Encoders((replace(encoders.parts[0], weights_hash="0" * 64),))
    with pytest.raises(HeadlightError, match="weights on a machine of the cluster are other ones"):
        on_ray("local")(other, "cpu", "auto", None)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nonsense", "auto"])
def test_where_no_cluster_is_one_sentence_says_so(
    address: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    command = [*HEADLIGHT, "embed", str(photos), "-o", str(tmp_path / "r"), "--ray", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert f"--ray {address}: there is no Ray cluster to be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "r").exists()
