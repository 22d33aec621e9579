"""The model as ONNX: what it says in onnxruntime is what headlight says."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headlight.clustering import SCP
from headlight.encoders import load_encoders
from headlight.errors import HeadlightError
from headlight.export import export_onnx
from headlight.export.model_card import escaped
from headlight.images import DecodeLimits, decode, open_source
from headlight.review.log import mark_outliers, merge, move, rename
from headlight.review.model import GroupsModel, References, groups_model, percent
from headlight.review.review import review
from headlight.runs import Run, embed_run, fit_run, load_run
from headlight.runs.features import plain_features
from tests.conftest import rewrite_info

pytest.importorskip("onnx", reason="ONNX export (pip install 'headlight-images[export]')")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="ONNX export (pip install 'headlight-images[export]')"
)


def predicted(file: Path, **inputs: np.ndarray) -> tuple[Any, Any]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["labels", "probabilities"], inputs)


def plain_views(run: Run) -> np.ndarray:
    (encoder,) = load_encoders(run.info.encoder.name).parts
    limit = DecodeLimits().file_bytes
    images = [run.source.read(p, limit) for p in run.assignments["path"].to_pylist()]
    return np.stack([encoder.plain_view(decode(data, encoder.min_side)) for data in images])


def with_numbers(scp: SCP, groups: list[int], references: References | None = None) -> GroupsModel:
    return GroupsModel(scp, groups, True, 1.0, 1.0, 0, references)


@pytest.fixture(scope="module")
def exported(fitted: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "model"
    report = export_onnx(fitted, out)
    assert (report.path, report.exported) == (out, 36)
    return out


def test_the_head_predicts_from_features_as_the_run_does(fitted: Run, exported: Path) -> None:
    features = plain_features(fitted).astype(np.float32)
    labels, probabilities = predicted(exported / "head.onnx", features=features)
    assert (labels.dtype, probabilities.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(labels, fitted.assignments["cluster"].to_numpy())
    np.testing.assert_allclose(probabilities, fitted.model.predict_proba(features), atol=1e-4)
    one, _ = predicted(exported / "head.onnx", features=features[:1])
    assert one.tolist() == labels[:1].tolist()


def test_the_whole_model_predicts_from_pixels(fitted: Run, exported: Path) -> None:
    labels, probabilities = predicted(exported / "model.onnx", pixels=plain_views(fitted))
    np.testing.assert_array_equal(labels, fitted.assignments["cluster"].to_numpy())
    confidence = fitted.assignments["confidence"].to_numpy()
    np.testing.assert_allclose(probabilities.max(axis=1), confidence, atol=0.05)  # bf16 there


def test_the_six_lines_of_the_card_label_a_photo(
    fitted: Run, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    card = (exported / "README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(code.splitlines()) == 6
    monkeypatch.chdir(shutil.copytree(exported, tmp_path / "model"))
    names = fitted.clusters["name"].to_pylist()
    rows = fitted.assignments.to_pylist()
    for row in (rows[0], rows[15], rows[30]):
        shutil.copy(open_source(fitted.info.source.uri).file(row["path"]), "photo.jpg")
        exec(code, {})
        assert capsys.readouterr().out.strip() == names[row["cluster"]]


def test_the_files_say_what_they_are(fitted: Run, exported: Path) -> None:
    import onnx

    assert sorted(file.name for file in exported.iterdir()) == [
        "README.md",
        "clusters.json",
        "head.onnx",
        "model.onnx",
    ]
    for name in ("head.onnx", "model.onnx"):
        model = onnx.load(exported / name)
        said = {prop.key: prop.value for prop in model.metadata_props}
        assert said["headlight.fit"] == fitted.fit.id
        assert json.loads(said["headlight.clusters"])["0"] == "cluster-0"
    assert "uint8 (n, 224, 224, 3), upright RGB" in said["headlight.input"]
    read = json.loads((exported / "clusters.json").read_text("utf-8"))
    assert [row["column"] for row in read["clusters"]] == [0, 1, 2]
    assert (read["image"]["size"], read["image"]["crop"]) == (224, 0.875)
    card = (exported / "README.md").read_text("utf-8")
    for part in ("## Use", "## Limits", "## Licence", fitted.info.encoder.weights):
        assert part in card
    assert "36 images" in card


@pytest.fixture
def head_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the seconds that an encoder takes."""
    import headlight.export.onnx_encoder as module

    def no_encoder(run: Run) -> Any:
        raise module.Unexportable("not wanted in this test")

    monkeypatch.setattr(module, "encoder_of", no_encoder)


@pytest.mark.usefixtures("head_only")
def test_the_model_answers_in_the_groups_as_reviewed_and_the_card_says_how_well(
    fitted_copy: Path, tmp_path: Path
) -> None:
    run = load_run(fitted_copy)
    features = plain_features(run).astype(np.float32)
    made = review(run)
    made.edit(merge([0, 2], into=2))
    made.edit(rename(2, "discs | *and* <noise>"))
    row = int(np.flatnonzero(made.labels == 1)[0])
    made.edit(move({9: np.array([row])}, {9: "odd"}))
    made.edit(move({10: np.array([35])}, {10: "gone"}))
    made.edit(mark_outliers(np.array([35]), True))
    out = export_onnx(load_run(run.path), tmp_path / "out").path
    labels, probabilities = predicted(out / "head.onnx", features=features)
    model = groups_model(review(load_run(run.path)))
    np.testing.assert_array_equal(labels, model.predict(features))
    assert model.agreement == (labels == made.labels)[:35].mean() >= 0.94
    assert probabilities.shape == (36, 3)
    clusters = json.loads((out / "clusters.json").read_text("utf-8"))
    assert [(c["cluster"], c["name"]) for c in clusters["clusters"]] == [
        (1, "cluster-1"),
        (2, "discs | *and* <noise>"),
        (9, "odd"),
    ]
    assert (clusters["reviewed"], clusters["none"]) == (True, -1)
    assert clusters["agreement"] == round(model.agreement, 4)
    card = (out / "README.md").read_text("utf-8")
    assert r"| 2 | discs \| \*and\* &lt;noise&gt; |" in card
    agrees = (
        f"agrees with {percent(model.agreement)} of the images' groups, and with 100 % of the 1 "
    )
    assert f"{agrees}image placed" in card
    assert f"labels those of the run for {round(35 * model.agreement)}" in card
    assert "Never predicted, because they hold no images but outliers: gone." in card
    assert "1 image was marked as an outlier; the model learned nothing from it" in card
    assert "no model that takes pixels: not wanted in this test" in card
    assert not (out / "model.onnx").exists()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # empty clusters
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99),
    k=st.integers(1, 6),
    dim=st.integers(2, 20),
    recipe=st.sampled_from(["robust", "paper"]),
    most_flat=st.sampled_from([2, 256]),
)
def test_every_kind_of_head_becomes_the_same_function(
    seed: int, k: int, dim: int, recipe: str, most_flat: int
) -> None:
    from headlight.export.onnx_check import run_model
    from headlight.export.onnx_head import head_model

    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(40, 2, dim)) + 3 * rng.normal(size=(40, 1, dim))).astype(np.float32)

    class Tree(SCP):  # from three clusters on
        constants = replace(SCP.constants, most_flat=most_flat)

    scp = Tree(k, recipe=recipe, random_state=0, n_epochs=1).fit(x)
    new = np.concatenate([rng.normal(size=(20, dim)) * 5, scp.projection_.mean[None].numpy()])
    new = new.astype(np.float32)
    points = rng.normal(size=(3, scp.projection_.components.shape[1])).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    near = References(points, rng.uniform(-0.2, 0.4, 3).astype(np.float32))
    for references in (None, near):
        model = with_numbers(scp, list(range(7, 7 + k)), references)
        labels, probabilities = run_model(head_model(model), {"features": new})
        np.testing.assert_allclose(probabilities, scp.predict_proba(new), atol=1e-4)
        top = np.sort(probabilities, axis=1)
        clear = top[:, -1] - top[:, -2] > 1e-3 if k > 1 else np.ones(len(new), bool)
        clear &= np.abs(model.nearness(new)) > 1e-5
        rows = scp.projection_(torch.from_numpy(new)).numpy()
        belongs = (rows @ near.points.T >= near.least).any(axis=1) | (references is None)
        expected = np.where(belongs, scp.predict(new) + 7, -1)
        np.testing.assert_array_equal(labels[clear], expected[clear])


@pytest.mark.usefixtures("head_only")
def test_a_cluster_most_of_whose_images_moved_is_two_groups(
    fitted_copy: Path, tmp_path: Path
) -> None:
    run = load_run(fitted_copy)
    edits = review(run)
    edits.edit(move({9: np.flatnonzero(edits.labels == 0)[:8]}, {9: "moved"}))  # of 12
    features = plain_features(run).astype(np.float32)
    out = export_onnx(load_run(run.path), tmp_path / "out").path
    labels, probabilities = predicted(out / "head.onnx", features=features)
    model = groups_model(review(run))
    np.testing.assert_array_equal(labels, model.predict(features))
    assert (labels == edits.labels).mean() >= 0.94
    np.testing.assert_allclose(probabilities, model.probabilities(features), atol=1e-4)


@pytest.mark.usefixtures("head_only")
def test_an_image_of_no_group_has_no_label_and_the_card_shows_how(
    fitted_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    import headlight.export.model as module

    run = load_run(fitted_copy)
    features = plain_features(run).astype(np.float32)
    rows = run.model.projection_(torch.from_numpy(features)).numpy()
    fitted = run.assignments["cluster"].to_numpy()
    centre = rows[fitted == 1].mean(axis=0)
    centre /= np.linalg.norm(centre)
    cosines = rows @ centre
    least = (cosines[fitted == 1].min() + cosines[fitted != 1].max()) / 2
    near = References(centre[None], np.array([least], np.float32))
    own = groups_model(review(run))
    monkeypatch.setattr(module, "groups_model", lambda _: replace(own, references=near))
    out = export_onnx(run, tmp_path / "out").path
    labels, _ = predicted(out / "head.onnx", features=features)
    np.testing.assert_array_equal(labels, np.where(fitted == 1, 1, -1))
    assert json.loads((out / "clusters.json").read_text("utf-8"))["none"] == -1
    card = (out / "README.md").read_text("utf-8")
    assert "far from all of them gets the label −1" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    np.save(out / "features.npy", features)
    monkeypatch.chdir(out)
    exec(code, {})
    assert capsys.readouterr().out.strip() == str(
        ["cluster-1" if k == 1 else "none" for k in fitted]
    )


def test_a_model_that_says_something_else_is_not_handed_out(fitted: Run) -> None:
    from headlight.export.onnx_check import check_head
    from headlight.export.onnx_head import head_model

    now = review(fitted)
    own = groups_model(now)
    assert check_head(head_model(own), now, own).same == 36
    other = SCP.from_state(*fitted.model.state())
    for change in (
        lambda: other.head_.scale_logits(50),
        lambda: other.head_.reorder(torch.tensor([1, 0, 2])),
    ):
        change()  # the same labels with other probabilities; then other labels
        with pytest.raises(HeadlightError, match="are not headlight's"):
            check_head(head_model(replace(own, scp=other)), now, own)
    width = fitted.model.projection_.components.shape[1]
    nowhere = References(np.zeros((1, width), np.float32), np.ones(1, np.float32))
    with pytest.raises(HeadlightError, match="are not headlight's"):
        check_head(head_model(replace(own, references=nowhere)), now, own)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_said_before_anything_is_made(
    fitted: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    import headlight.export.model as module

    real = importlib.util.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == package else real(name))
    with pytest.raises(HeadlightError, match=r"pip install 'headlight-images\[export\]'"):
        export_onnx(fitted, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_features_made_elsewhere_give_a_head_alone(photos: Path, tmp_path: Path) -> None:
    source = open_source(photos)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(source.count, 16)) + np.repeat(rng.normal(size=(3, 16)) * 4, 12, 0)
    np.save(tmp_path / "made.npy", vectors.astype(np.float32))
    run, _ = embed_run(source, tmp_path / "run", encoder=f"features:{tmp_path / 'made.npy'}")
    run = fit_run(run, 3, device="cpu")
    out = export_onnx(run, tmp_path / "out").path
    features = plain_features(run).astype(np.float32)
    labels, _ = predicted(out / "head.onnx", features=features)
    np.testing.assert_array_equal(labels, run.assignments["cluster"].to_numpy())
    assert not (out / "model.onnx").exists()
    card = (out / "README.md").read_text("utf-8")
    assert "the features were precomputed" in card
    assert "features.npy" in card


@pytest.mark.parametrize("family", ["vit", "registers"])  # the second takes the newer exporter
def test_transformers_encoders_are_written_quietly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], family: str
) -> None:
    pytest.importorskip("transformers", reason="transformers (pip install 'headlight-images[hub]')")
    pytest.importorskip("onnxscript", reason="ONNX export (pip install 'headlight-images[export]')")
    from headlight.encoders import load_encoder
    from headlight.export.onnx_encoder import encoder_model
    from tests.encoders.checkpoints import networks, noise, run_torch, save, scatter

    encoder = load_encoder(f"hf:{save(scatter(networks()[family]), tmp_path / family)}")
    capfd.readouterr()
    model, opset = encoder_model(encoder, encoder.build())
    assert capfd.readouterr() == ("", "")
    assert opset == model.opset_import[0].version
    pixels = noise(encoder, 3)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (features,) = session.run(["features"], {"pixels": pixels})
    np.testing.assert_allclose(features, run_torch(encoder, pixels), atol=1e-5)


ODD = """
import torch

class Odd(torch.nn.Module):
    input_size = 8

    def forward(self, images):
        print("a word that must not be seen")
        values = images.mean((2, 3))
        return values + torch.linalg.eigvals(values @ values.T).real.sum()
"""


def test_a_network_that_onnx_cannot_express_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from headlight.encoders import load_encoder
    from headlight.export.onnx_encoder import Unexportable, encoder_model

    (tmp_path / "odd_network.py").write_text(ODD)
    monkeypatch.chdir(tmp_path)
    encoder = load_encoder("torch:odd_network:Odd")
    capfd.readouterr()
    with pytest.raises(Unexportable, match="PyTorch can't write the encoder as ONNX: .*eig"):
        encoder_model(encoder, encoder.build())
    assert capfd.readouterr() == ("", "")


def test_an_export_silences_nobody_and_imports_nothing_from_the_current_folder(
    fitted: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from headlight.export.onnx_encoder import encoder_model, encoder_of

    (tmp_path / "torch.py").write_text("raise SystemExit('this is not PyTorch')")
    monkeypatch.chdir(tmp_path)
    encoder = encoder_of(fitted)
    capfd.readouterr()
    printed = 0
    with ThreadPoolExecutor() as pool:
        export = pool.submit(encoder_model, encoder, encoder.build())
        while not export.done():
            printed += os.write(1, b".")
            wait([export], timeout=0.05)
    assert export.result()[0].graph.output[0].name == "features"
    assert capfd.readouterr().out == "." * printed


def test_a_network_too_large_for_a_file_is_refused_before_it_is_tried() -> None:
    import torch

    from headlight.encoders import load_encoder
    from headlight.export.onnx_encoder import Unexportable, encoder_model

    with torch.device("meta"):
        huge = torch.nn.Linear(30_000, 30_000)
    with pytest.raises(Unexportable, match=r"3.6 GB, exceed the limit of ONNX files"):
        encoder_model(load_encoder("lite0"), huge)


def test_other_weights_than_the_runs_are_never_put_in_front(fitted_copy: Path) -> None:
    from headlight.export.onnx_encoder import Unexportable, encoder_of

    run = load_run(fitted_copy)
    assert encoder_of(run).name == "lite0"
    rewrite_info(fitted_copy, lambda info: info["encoder"].update(weights="00"))
    run = load_run(fitted_copy)
    with pytest.raises(Unexportable, match="not those of the run"):
        encoder_of(run)
    rewrite_info(fitted_copy, lambda info: info["encoder"].update(name="lite0+lite0@160"))
    run = load_run(fitted_copy)
    with pytest.raises(Unexportable, match="of several encoders"):
        encoder_of(run)


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_names_stay_literal_in_the_card(name: str) -> None:
    safe = escaped(f"a{name}b")
    assert "\n" not in safe
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*_\[\]]", safe)
    assert not set(safe) & set("<>")
