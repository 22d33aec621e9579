"""Several encoders in one run, from images to clusters."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from headlight.cli.printing import show_run
from headlight.cli.terminal import Terminal
from headlight.encoders import load_encoder, load_encoders
from headlight.evaluation import score
from headlight.pipeline import cluster
from headlight.runs import fit_run

transformers = pytest.importorskip(
    "transformers", reason="transformers (pip install 'headlight-images[hub]')"
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny DINOv2 of random weights: what it sees tells little of what an image shows."""
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, patch_size=14, image_size=70
    )
    folder = tmp_path_factory.mktemp("dinov2")
    transformers.Dinov2Model(config).save_pretrained(folder)
    return folder


def test_a_poor_encoder_beside_a_good_one_does_no_harm(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real digits, whose true classes are known."""
    folder = shutil.copytree(checkpoint, tmp_path / "tiny+poor")
    names = ["lite0@64", f"hf:{folder}"]
    how: dict = {"views": 1, "device": "cpu"}
    alone, both = (
        cluster("digits", 10, encoder=name, out=tmp_path / f"{i}", **how)
        for i, name in enumerate([names[0], "+".join(names)])
    )

    def acc(run) -> float:
        labels = run.source.labels()
        truth = [labels[path] for path in run.assignments["path"].to_pylist()]
        return score(truth, run.assignments["cluster"].to_numpy())["acc"]

    assert acc(alone) > 0.89  # .908 with float32 features, .915 with bfloat16
    assert acc(both) > acc(alone) - 0.03
    dims = [load_encoder(name).dim for name in names]
    assert list(both.features.settings.dims) == dims
    assert both.model.n_features_in_ == sum(dims)

    with pytest.MonkeyPatch.context() as patch:
        only = np.array([True, False])
        patch.setattr("headlight.clustering.fusion._worth_using", lambda *shares: only)
        again = fit_run(both, 10, device="cpu")
        folder.rename(tmp_path / "elsewhere")  # a fit needs features only
        nameless = fit_run(both, 10, device="cpu")
    assert nameless.fit.encoders_left_out == ("encoder 2",)
    assert again.fit.encoders_left_out == (names[1],)
    assert acc(again) == pytest.approx(acc(alone), abs=0.01)
    show_run(Terminal(quiet=False, as_json=False), again)
    assert f"{names[1]} adds nothing to the best" in " ".join(capsys.readouterr().err.split("\n"))


@pytest.mark.parametrize("form", ["lite0@64+{0}", "{0}+lite0@64", "lite0@64+{0}+lite0"])
def test_a_plus_in_the_name_of_a_folder_joins_no_encoders(
    form: str, checkpoint: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "a+b")
    parts = load_encoders(form.format(f"hf:{folder}")).parts
    assert sorted(part.dim for part in parts) == [32, *[1280] * (len(parts) - 1)]
    assert len(parts) == 1 + form.count("lite0")
