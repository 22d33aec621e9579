"""The same images, wherever they lie, give the same clusters; nothing that fails on the way there
changes them."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from headlight.explore.app.cache import PictureCache
from headlight.explore.app.images import Pictures
from headlight.features import FeatureStore
from headlight.images import open_source, remote
from headlight.pipeline import cluster
from headlight.review.finding import find_rows
from headlight.run import Run, load_run
from headlight.runs import embed_run, relocate_run
from tests.conftest import draw, make_photos
from tests.images.test_tar import write_tar
from tests.stores import Store

ENCODER = "lite0@64"
PER_KIND = 14


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "headlight", *map(str, arguments)]


def clustered(source: str | Path, out: Path) -> Run:
    options = {"encoder": ENCODER, "views": 1, "view_images": 20, "device": "cpu"}
    return cluster(source, 3, out=out, **options)


def by_content(run: Run) -> list[tuple[object, ...]]:
    """What a fit says of each image, whatever it is called."""
    table = run.assignments
    names = [name for name in table.column_names if name != "path"]
    rows = table.select(["image", *[name for name in names if name != "image"]])
    return sorted(zip(*(column.to_pylist() for column in rows.columns), strict=True))


def spread(photos: Path, place: Path, store: Store) -> dict[str, str]:
    """The same images in every kind of source, in no order."""
    files = sorted(photos.rglob("*.png"))
    random.Random(0).shuffle(files)
    store.put_folder(photos, "photos")
    parts = [files[:17], files[17:19], files[19:]]
    for i, part in enumerate(parts):
        members = {f"{n:06d}.png": file.read_bytes() for n, file in enumerate(part)}
        members |= {f"{n:06d}.cls": b"0" for n in range(len(part))}
        write_tar(place / "tars" / f"shard-{i:03d}.tar", members)
        folder = place / "tables" / f"split={'ab'[i % 2]}"
        folder.mkdir(parents=True, exist_ok=True)
        images = [{"bytes": file.read_bytes(), "path": file.name} for file in part]
        table = pa.table({"image": images, "label": [0] * len(part)})
        pq.write_table(table, folder / f"part-{i}.parquet", row_group_size=5)
    (place / "list.txt").write_text("\n".join(map(str, files)))
    store.put_folder(place / "tars", "tars")
    store.put_folder(place / "tables", "tables")
    return {
        "folder": str(photos),
        "tar": str(place / "tars"),
        "parquet": str(place / "tables"),
        "list": str(place / "list.txt"),
        "s3": f"{store.url}/photos",
        "s3 tar": f"{store.url}/tars/shard-{{000..002}}.tar",
        "s3 parquet": f"{store.url}/tables",
    }


def test_the_same_images_give_the_same_clusters_from_every_kind_of_source(
    tmp_path: Path, store: Store
) -> None:
    sources = spread(make_photos(tmp_path / "photos", PER_KIND), tmp_path, store)
    runs = {name: clustered(spec, tmp_path / f"{name}.run") for name, spec in sources.items()}
    first = runs["folder"]
    assert len(first.assignments) == 3 * PER_KIND
    assert len(set(first.labels.tolist())) == 3
    model = load_file(first.path / "model.safetensors")
    for name, run in runs.items():
        assert by_content(run) == by_content(first), name
        found = load_file(run.path / "model.safetensors")
        assert {key: one.tobytes() for key, one in found.items()} == {
            key: one.tobytes() for key, one in model.items()
        }, name
        assert run.info.source.uri == sources[name]
    same_names = runs["s3"].assignments
    assert same_names.equals(first.assignments)


def test_killed_in_the_middle_of_a_bucket_it_goes_on_to_the_same_result(
    tmp_path: Path, store: Store
) -> None:
    photos = make_photos(tmp_path / "photos", 90)  # more than one commit
    store.put_folder(photos, "photos")
    killed = tmp_path / "killed.run"
    options = ["-k", "3", "--encoder", ENCODER, "--views", "0", "--device", "cpu", "--quiet"]
    start = command("cluster", f"{store.url}/photos", "-o", killed, *options)

    store.fault = lambda _: time.sleep(0.02)
    process = subprocess.Popen(start, stderr=subprocess.DEVNULL)
    while rows(killed) == 0 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    kept = rows(killed)
    assert 0 < kept < 270  # it was hit in the middle

    read: Counter[str] = Counter()
    chance = random.Random(1)

    def flaky(path: str) -> str | None:
        if path.endswith(".png") and not (killed / "assignments.parquet").exists():
            read[path] += 1
        return "503" if chance.random() < 0.03 else None

    store.fault = flaky
    again = subprocess.run(start, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert len(read) == 270 - kept < read.total()
    options = {"encoder": ENCODER, "views": 0, "device": "cpu"}
    whole, now = cluster(photos, 3, out=tmp_path / "whole.run", **options), load_run(killed)
    assert now.assignments.equals(whole.assignments)
    assert now.clusters.equals(whole.clusters)


def rows(run: Path) -> int:
    store = run / "features.lance"
    return len(FeatureStore.open(store)) if store.exists() else 0


def test_a_run_of_a_bucket_lives(tmp_path: Path, store: Store) -> None:
    """Update, predict, export, relocate, the review app: nothing needs the images to be files."""
    photos = make_photos(tmp_path / "photos", 10)
    store.put_folder(photos, "photos")
    url = f"{store.url}/photos"
    run = clustered(url, tmp_path / "r.run")

    new = {f"disc/new-{i}.png": draw("disc", 100 + i) for i in range(3)}
    for name, image in new.items():
        image.save(tmp_path / "one.png")
        store.put(f"photos/{name}", (tmp_path / "one.png").read_bytes())
    store.delete("photos/noise/00.png")
    embedded = run.update().embedded
    assert (embedded.kept, embedded.added, embedded.gone) == (29, 3, 1)
    assert len(run.paths) == 32

    assert run.predict(f"{url}/disc").num_rows == 13
    exported = run.export("folders", tmp_path / "sorted")
    assert (exported.exported, exported.linked, exported.copied) == (32, 0, 32)
    assert {file.stat().st_size for file in (tmp_path / "sorted").rglob("*.png")}

    pictures = Pictures(
        run.source, run.assignments["path"], PictureCache(tmp_path / "c", range(32))
    )
    assert all(one.data for one in pictures.thumbnails(range(32)))
    pictures.close()

    assert find_rows(run, [f"{url}/disc/01.png"]).tolist() == [run.paths.index("disc/01.png")]
    store.put_folder(photos, "moved")
    assert relocate_run(run.path, open_source(f"{store.url}/moved"))[0] == 29
    assert load_run(run.path).source.uri == f"{store.url}/moved"
    assert relocate_run(run.path, open_source(photos))[0] == 29  # back to this machine


def test_images_that_fail_are_quarantined_and_taken_up_when_they_are_back(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "WAITS", (0.0,))
    store.put_folder(make_photos(tmp_path / "photos", 4), "photos")
    source = open_source(f"{store.url}/photos")
    assert source.count == 12
    store.delete("photos/disc/00.png")
    store.fault = lambda path: "503" if "stripes/01" in path else None
    options = {"encoder": ENCODER, "views": 0, "device": "cpu"}
    _, report = embed_run(source, tmp_path / "r.run", **options)
    reasons = dict(report.quarantine)
    assert reasons.keys() == {"disc/00.png", "stripes/01.png"}
    assert "on purpose" in reasons["stripes/01.png"]
    assert report.added == 10
    store.fault = lambda _: None
    _, report = embed_run(open_source(f"{store.url}/photos"), tmp_path / "r.run", **options)
    assert (report.kept, report.added, report.quarantine) == (10, 1, [])


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "can't be read .* run the same command again"),
        ({}, "s3://no-such-bucket/x: there is nothing there"),
    ],
)
def test_what_can_not_be_reached_is_one_sentence_and_a_failure(
    tmp_path: Path, store: Store, environment: dict[str, str], sentence: str
) -> None:
    done = subprocess.run(
        command("cluster", "s3://no-such-bucket/x", "-o", tmp_path / "r.run"),
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert re.search(sentence, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "r.run").exists()


def test_no_credentials_get_into_a_run(tmp_path: Path, store: Store) -> None:
    store.put_folder(make_photos(tmp_path / "photos", 3), "photos")
    run = clustered(f"{store.url}/photos", tmp_path / "r.run")
    secret = b"a secret that is easy to find"
    assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() == secret
    for file in run.path.rglob("*"):
        assert not file.is_file() or secret not in file.read_bytes(), file
