"""Benchmarks from the files as published to the table of scores."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from headlight.benchmark.baselines import compare, k_means, umap_k_means
from headlight.benchmark.datasets.imagenet import TEN
from headlight.benchmark.run import about, benchmark, spread
from headlight.cli.commands import app
from headlight.clustering import Features
from headlight.errors import HeadlightError
from headlight.features import EmbedReport
from headlight.runs import load_run

HUES = np.random.default_rng(5).integers(40, 216, (10, 3))


def pattern(kind: int, seed: int, side: int = 32) -> np.ndarray:
    """(side, side, 3) uint8: one of ten colours, in waves of one of ten directions and widths."""
    rng = np.random.default_rng([kind, seed])
    y, x = np.mgrid[:side, :side]
    angle, length = np.pi * kind / 10, 4 + 2 * (kind % 4)
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / length + rng.uniform(0, 6))
    image = HUES[kind] + 38 * wave[..., None] + rng.normal(0, 3, (side, side, 3))
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10's archive, with 40 images to fit on and 20 kept aside."""
    folder = tmp_path_factory.mktemp("cifar10")
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for i in range(6):
            kinds = [k % 10 for k in range(8 * i, 8 * i + 8)] if i < 5 else [*range(10)] * 2
            records = [
                bytes([k]) + pattern(k, 100 * i + j).transpose(2, 0, 1).tobytes()
                for j, k in enumerate(kinds)
            ]
            name = f"data_batch_{i + 1}.bin" if i < 5 else "test_batch.bin"
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content := b"".join(records))
            archive.addfile(info, io.BytesIO(content))
    return folder


@pytest.fixture(scope="module")
def measured(cifar10: Path) -> dict:
    return benchmark("cifar10", cifar10, views=1, seeds=2, device="cpu", cache=cifar10 / "cache")


def test_every_method_is_scored_on_the_images_kept_aside(measured: dict) -> None:
    assert (measured["images"], measured["test_images"], measured["n_clusters"]) == (40, 20, 10)
    methods = {row["method"]: row for row in measured["methods"]}
    assert {"headlight, robust", "headlight, paper", "k-means"} <= set(methods)
    for row in methods.values():
        for name in ("acc", "nmi", "ari"):
            values = row[name]["values"]
            assert len(values) == 2
            assert row[name]["mean"] == pytest.approx(np.mean(values), abs=1e-4)
            assert row[name]["std"] == pytest.approx(np.std(values, ddof=1), abs=1e-4)
        assert row["seconds"]["mean"] > 0
    # 1.0 and .875 of 20 images.
    for name, least in (("headlight, robust", 0.94), ("k-means", 0.79)):
        assert methods[name]["acc"]["mean"] > least, methods[name]
    assert json.loads(json.dumps(measured)) == measured


def test_counts_unlike_the_published_ones_are_said(measured: dict) -> None:
    notes = " ".join(measured["notes"])
    assert "CIFAR-10 has 50,000 train images, but here there are 40" in notes
    assert "CIFAR-10 has 10,000 test images, but here there are 20" in notes


def test_second_run_embeds_nothing_and_scores_the_same(cifar10: Path, measured: dict) -> None:
    reports: list[EmbedReport] = []
    stages: list[str] = []

    def stage(name: str) -> None:
        stages.append(name)

    again = benchmark(
        "cifar10",
        cifar10,
        views=1,
        seeds=1,
        recipe="robust",
        device="cpu",
        cache=cifar10 / "cache",
        stages=stage,
        on_embedded=reports.append,
    )
    assert [(r.kept, r.added) for r in reports] == [(40, 0), (20, 0)]
    assert stages == ["embed", "embed", "fit"]
    before = {row["method"]: row for row in measured["methods"]}
    assert "headlight, paper" not in {row["method"] for row in again["methods"]}
    for row in again["methods"]:
        for name in ("acc", "nmi", "ari"):
            assert row[name]["values"] == before[row["method"]][name]["values"][:1]
            assert row[name]["std"] is None


def test_other_settings_get_features_of_their_own(cifar10: Path, measured: dict) -> None:
    cache = cifar10 / "cache"
    before = sorted(p.name for p in cache.iterdir())
    result = benchmark("cifar10", cifar10, views=0, seeds=1, device="cpu", cache=cache)
    after = sorted(p.name for p in cache.iterdir())
    assert len(after) == len(before) + 1  # of the test images nothing has changed
    assert set(before) < set(after)
    assert "headlight, paper" not in {row["method"] for row in result["methods"]}
    assert any("paper is left out" in note for note in result["notes"])


def test_robust_alone_embeds_views_of_as_many_images_as_it_uses(
    cifar10: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headlight.benchmark.run.views_used", lambda recipe: 16)
    how: dict = {"views": 1, "recipe": "robust", "seeds": 1, "device": "cpu", "cache": tmp_path}
    result = benchmark("cifar10", cifar10, **how)
    assert "augmented views: 1 of about 16 images" in about(result)
    assert result["methods"][0]["acc"]["mean"] > 0.94
    (train,) = tmp_path.glob("train-*")
    assert 8 <= len(load_run(train).features.load()[1].viewed) <= 24


def test_imagenet10_is_judged_on_the_images_fitted_on(tmp_path: Path) -> None:
    for kind, name in enumerate(TEN.classes):
        folder = tmp_path / "data" / "train" / name
        folder.mkdir(parents=True)
        for i in range(3):
            Image.fromarray(pattern(kind, i, 48)).save(folder / f"{name}_{i}.JPEG", quality=95)
    (folder / "broken.JPEG").write_bytes(b"no image")
    out = tmp_path / "result.md"
    result = benchmark(
        "imagenet10",
        tmp_path / "data",
        views=0,
        seeds=1,
        recipe="robust",
        device="cpu",
        cache=tmp_path / "cache",
        out=out,
    )
    assert (result["images"], result["test_images"]) == (30, None)
    assert "evaluated on the same" in about(result)
    assert "1 train image could not be used." in result["notes"]
    for row in result["methods"]:
        cells = [row["method"], *(spread(row[name]) for name in ("acc", "nmi", "ari"))]
        assert f"| {' | '.join(cells)} |" in out.read_text("utf-8")
    assert "±" not in spread(result["methods"][0]["acc"])


def test_settings_that_cannot_be_are_refused_before_any_work(cifar10: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = tmp_path / "cache"
    for settings, expected in [
        ({"name": "mnist"}, "unknown data set 'mnist': give one of cifar10, cifar20"),
        ({"seeds": 0}, "--seeds 0: give 1 or more"),
        ({"views": -1}, "--views -1"),
        ({"recipe": "best"}, "--recipe best: give robust or paper"),
        ({"recipe": "paper", "views": 0}, "--recipe paper learns from pairs of views"),
        ({"out": tmp_path / "r.txt"}, "give a .md or .json file"),
        ({"out": tmp_path / "nowhere" / "r.md"}, "in a folder that exists"),
        ({"cache": tmp_path / "file"}, "file is a file: give a folder"),
        ({"encoder": "lite9"}, "unknown encoder"),
        ({"data": tmp_path}, "has no images of CIFAR-10: put cifar-10-binary.tar.gz there"),
    ]:
        arguments = {"name": "cifar10", "data": cifar10, "cache": cache} | settings
        with pytest.raises(HeadlightError) as error:
            benchmark(**arguments)
        assert expected in str(error.value)
        assert "\n" not in str(error.value)
    assert not cache.exists()


def test_command_prints_a_table_or_one_object(
    cifar10: Path, measured: dict, tmp_path: Path
) -> None:
    out = tmp_path / "r.json"
    arguments = ["cifar10", "--data", cifar10, "--cache", cifar10 / "cache", "--views", 1]
    arguments += ["--seeds", 1, "--recipe", "robust", "--device", "cpu", "--out", out]
    shown = command(*arguments)
    assert "headlight, robust" in shown.stdout
    assert "fitted on 40 train images, evaluated on 20 test images" in shown.stdout
    assert "40 already embedded" in shown.stderr
    printed = command(*arguments, "--json", "--quiet")
    assert json.loads(printed.stdout) == json.loads(out.read_text("utf-8"))


def test_command_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    unknown = command("cifar11", "--data", tmp_path, code=1)
    assert unknown.stderr.startswith("headlight: unknown data set 'cifar11': give one of cifar10")
    missing = command("stl10", "--data", tmp_path, code=1)
    assert missing.stderr.startswith(f"headlight: {tmp_path} has no images of STL-10: put")
    assert unknown.stderr.count("\n") == missing.stderr.count("\n") == 1
    command("cifar10", code=2)


def command(*arguments: object, code: int = 0) -> Any:
    """`headlight benchmark` with these arguments."""
    done = CliRunner().invoke(app, ["benchmark", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def blobs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 64) float16 and their classes, 4 of them."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(4, 64))
    classes = np.arange(n) % 4
    return (centres[classes] + 0.2 * rng.normal(size=(n, 64))).astype(np.float16), classes


def check_baseline(method) -> None:
    features, classes = blobs(200, 1)
    other, truth = blobs(100, 2)
    fitted, again = method(features, 4, 7), method(features, 4, 7)
    assert fitted.labels.dtype == np.int64
    assert np.array_equal(fitted.labels, again.labels)
    names = dict(zip(fitted.labels[:4].tolist(), classes[:4].tolist(), strict=True))
    assert [names[c] for c in fitted.labels.tolist()] == classes.tolist()
    assert [names[c] for c in fitted.label(other).tolist()] == truth.tolist()


def test_k_means_finds_blobs_and_labels_others() -> None:
    check_baseline(k_means)


def test_umap_k_means_finds_blobs_and_labels_others() -> None:
    pytest.importorskip(
        "umap", reason="UMAP as a baseline (pip install 'headlight-images[benchmarks]')"
    )
    check_baseline(umap_k_means)


def test_umap_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headlight.benchmark.baselines.has_umap", lambda: False)
    with pytest.raises(HeadlightError, match="pip install 'headlight-images\\[benchmarks\\]'"):
        umap_k_means(blobs(20, 0)[0], 4, 0)


def test_compare_judges_new_images_by_the_labeller_and_says_what_a_method_refuses() -> None:
    plain, classes = blobs(80, 1)
    features = Features(plain)
    other, truth = blobs(40, 2)
    told: list[tuple[int, int]] = []

    def refuse(features: Features, n_clusters: int, seed: int):
        raise ValueError("too few")

    methods = {"k-means": lambda x, k, seed: k_means(x.plain, k, seed)}
    (new,) = compare(methods, features, other, truth, n_clusters=4, seeds=1)
    (same,) = compare(
        methods, features, None, classes, n_clusters=4, seeds=2, progress=lambda *x: told.append(x)
    )
    assert new["acc"]["values"] == [1.0]
    assert same["acc"]["values"] == [1.0, 1.0]
    assert told == [(0, 2), (1, 2), (2, 2)]
    with pytest.raises(HeadlightError, match="mine: too few"):
        compare({"mine": refuse}, features, None, classes, n_clusters=4, seeds=1)
