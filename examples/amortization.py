"""Lossless amortization, in numbers: what can a head that sees only the image do about text?

Images are labelled by a classifier that also reads a text about each of them. When the text is a
function of the features, a head that never reads it gets the same labels, the better the wider
it is. When the text tells more than the features do, no width helps: the error stops at a floor,
which is computed here without any head. Statement and proof: docs/lossless-amortization.md.

In the first table everything is drawn, so there is no end of training images and what is measured
is capacity alone. The second one is 1,797 real digits, captioned with their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from torch import Tensor

DIM, TEXT, CLASSES = 4, 3, 5
WIDTHS = (0, 4, 16, 64, 256)


@dataclass(frozen=True)
class Setting:
    """How much more the text knows than the features.

    Arguments
        name: for the table.
        noise: standard deviation of what is added to each number of the text (each has variance 1).
        seen: the encoder keeps this many of the image's `DIM` numbers. The text is about all.
    """

    name: str
    noise: float = 0.0
    seen: int = DIM


SETTINGS = (
    Setting("text = g(features)"),
    Setting("text = g(features) + 0.1 noise", noise=0.1),
    Setting("text = g(features) + 0.3 noise", noise=0.3),
    Setting("text = g(features) + 1.0 noise", noise=1.0),
    Setting("encoder keeps 3 of 4 numbers", seen=3),
    Setting("encoder keeps 2 of 4 numbers", seen=2),
)


@dataclass
class Worlds:
    """Random captioners and text-aided classifiers, all used at once: H = settings × worlds.

    Every setting has the same worlds. A captioner writes t = √2 cos(x W + b), plus noise; the
    classifier takes the largest of z U + t V, where z are the features. It is linear: with the
    text at hand the labels are easy.
    """

    captioner: Tensor  # (H, DIM, TEXT)
    phase: Tensor  # (H, 1, TEXT)
    from_features: Tensor  # (H, DIM, CLASSES)
    from_text: Tensor  # (H, TEXT, CLASSES)
    noise: Tensor  # (H, 1, 1)
    kept: Tensor  # (H, 1, DIM), 1 for what the encoder keeps
    draw: torch.Generator

    def images(self, n: int) -> Tensor:
        """`n` new images a world: (H, n, DIM)."""
        return torch.randn(len(self.noise), n, DIM, generator=self.draw)

    def features(self, x: Tensor) -> Tensor:
        """What the frozen encoder passes on: (H, n, DIM), zeros for what it loses."""
        return x * self.kept

    def text(self, x: Tensor) -> Tensor:
        """A text about each image: (H, n, TEXT)."""
        t = 2**0.5 * torch.cos(torch.baddbmm(self.phase, x, self.captioner))
        return t + self.noise * torch.randn(t.shape, generator=self.draw)

    def labels(self, z: Tensor, t: Tensor) -> Tensor:
        """The text-aided classifier: (H, n) of 0..CLASSES-1."""
        return (z @ self.from_features + t @ self.from_text).argmax(-1)

    def relabel(self, x: Tensor) -> Tensor:
        """Labels of other images with the same features, by texts written for those: (H, n)."""
        other = torch.where(self.kept > 0, x, torch.randn(x.shape, generator=self.draw))
        return self.labels(self.features(x), self.text(other))


def make_worlds(settings: tuple[Setting, ...], worlds: int, seed: int) -> Worlds:
    """`worlds` random worlds, repeated for each setting; H runs over settings first."""
    draw = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> Tensor:
        return torch.randn(worlds, *shape, generator=draw).repeat(len(settings), 1, 1)

    def each(values: list[list[float]]) -> Tensor:
        return torch.tensor(values).repeat_interleave(worlds, dim=0).unsqueeze(1)

    return Worlds(
        captioner=randn(DIM, TEXT),
        phase=3 * randn(1, TEXT),
        from_features=randn(DIM, CLASSES) / DIM**0.5,
        from_text=1.5 * randn(TEXT, CLASSES) / TEXT**0.5,
        noise=each([[s.noise] for s in settings]),
        kept=each([[float(i < s.seen) for i in range(DIM)] for s in settings]),
        draw=draw,
    )


def forward(parameters: list[Tensor], x: Tensor) -> Tensor:
    """Logits of H heads at once, linear or with one hidden layer: (H, n, dim) → (H, n, CLASSES)."""
    weight, bias, *hidden = parameters
    out = torch.baddbmm(bias, x, weight)
    return forward(hidden, out.relu()) if hidden else out


def train(worlds: Worlds, width: int, steps: int, *, reads: bool = False) -> list[Tensor]:
    """A head for each world, on new labelled images at each step.

    Arguments
        worlds: H of them.
        width: of the hidden layer; 0 for none.
        steps: of Adam, 128 images each, the learning rate falling from 0.05 to 0.
        reads: give the head the text too.

    Returns
        weights and biases, each (H, …).
    """
    heads = len(worlds.noise)
    first = DIM + TEXT if reads else DIM
    sizes = [first, width, CLASSES] if width else [first, CLASSES]
    parameters = []
    for a, b in pairwise(sizes):
        parameters.append(torch.randn(heads, a, b, generator=worlds.draw) * (2 / a) ** 0.5)
        parameters.append(torch.zeros(heads, 1, b))
    for p in parameters:
        p.requires_grad_()
    adam = torch.optim.Adam(parameters, lr=0.05, fused=True)
    decay = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 1e-3, steps)
    for _ in range(steps):
        x = worlds.images(128)
        z, t = worlds.features(x), worlds.text(x)
        logits = forward(parameters, torch.cat([z, t], -1) if reads else z)
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), worlds.labels(z, t).flatten(), reduction="sum"
        )
        adam.zero_grad()
        (loss / 128).backward()
        adam.step()
        decay.step()
    return [p.detach() for p in parameters]


def error(worlds: Worlds, head: list[Tensor], x: Tensor, redraws: int = 20) -> Tensor:
    """Share of labels, of images that look like `x` to the encoder, that are not the head's: (H,).

    Each of `x` is labelled `redraws` times, which measures closer than once.
    """
    guess = forward(head, worlds.features(x)).argmax(-1)
    wrong = [(guess != worlds.relabel(x)).float().mean(-1) for _ in range(redraws)]
    return torch.stack(wrong).mean(0)


def error_reading(worlds: Worlds, head: list[Tensor], x: Tensor) -> Tensor:
    """Share of the images `x` that a head with features and text labels wrongly: (H,)."""
    z, t = worlds.features(x), worlds.text(x)
    guess = forward(head, torch.cat([z, t], -1)).argmax(-1)
    return (guess != worlds.labels(z, t)).float().mean(-1)


def floor(worlds: Worlds, x: Tensor, draws: int) -> tuple[Tensor, Tensor]:
    """The least error of any rule that knows only the features: the mean of 1 − maxₖ P(k | z).

    P is counted over 2 × `draws` labels of each of `x`. The largest share of a count is a little
    too high; the class chosen by one half of the labels and counted in the other is a little too
    low: the floor lies between.

    Returns
        a lower and an upper estimate, (H,) each.
    """
    counts = torch.zeros(2, *x.shape[:2], CLASSES)
    one = torch.ones(*x.shape[:2], 1)
    for i in range(2 * draws):
        counts[i % 2].scatter_add_(-1, worlds.relabel(x).unsqueeze(-1), one)
    most = counts.sum(0).amax(-1) / (2 * draws)
    crossed = counts[1].gather(-1, counts[0].argmax(-1, keepdim=True)).squeeze(-1) / draws
    return 1 - most.mean(-1), 1 - crossed.mean(-1)


def measure(
    settings: tuple[Setting, ...] = SETTINGS,
    widths: tuple[int, ...] = WIDTHS,
    *,
    worlds: int = 3,
    steps: int = 1000,
    images: int = 2000,
    draws: int = 200,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Errors on new images, each (settings, worlds).

    Returns
        "low" and "high": the floor. "reads": a linear head that reads the text. "0", "4", …: heads
        that don't, by the width of their hidden layer.
    """
    drawn = make_worlds(settings, worlds, seed)
    x = drawn.images(images)
    low, high = floor(drawn, x, draws)
    reads = error_reading(drawn, train(drawn, 0, steps, reads=True), x)
    found = {"low": low, "high": high, "reads": reads}
    for width in widths:
        found[str(width)] = error(drawn, train(drawn, width, steps), x)
    return {name: e.reshape(len(settings), worlds).numpy() for name, e in found.items()}


def measure_digits(images: int, dims: int, seed: int) -> tuple[float, float, float]:
    """Real images, few of them, and a caption that is their name.

    Arguments
        images: how many to train on; 597 others are judged.
        dims: the features are this many principal components of the pixels.
        seed: of the split, of the vectors that stand for the ten names, and of the classifier.

    Returns
        errors of a linear head that reads the text, a linear one that doesn't, and one with a
        hidden layer that doesn't.
    """
    digits = load_digits()
    rng = np.random.default_rng(seed)
    z = PCA(dims, random_state=0).fit_transform(digits.data)
    z /= z.std()
    t = rng.normal(size=(10, 8))[digits.target]
    from_features, from_text = rng.normal(size=(dims, 5)), rng.normal(size=(8, 5))
    labels = (z @ from_features / dims**0.5 + 1.5 * t @ from_text / 8**0.5).argmax(axis=1)
    new, seen = np.split(rng.permutation(len(z)), [597])
    seen = seen[:images]

    def error_of(head: ClassifierMixin, inputs: np.ndarray) -> float:
        return 1 - head.fit(inputs[seen], labels[seen]).score(inputs[new], labels[new])

    return (
        error_of(LogisticRegression(C=100, max_iter=5000), np.hstack([z, t])),
        error_of(LogisticRegression(max_iter=5000), z),
        error_of(
            MLPClassifier(64, solver="lbfgs", alpha=1, tol=1e-2, max_iter=500, random_state=0), z
        ),
    )


def cell(errors: np.ndarray) -> str:
    """Mean ± standard deviation, in percent."""
    return f"{100 * errors.mean():.1f} ± {100 * errors.std(ddof=1):.1f}"


def main() -> None:
    """Prints both tables."""
    found = measure()
    middle = (found["low"] + found["high"]) / 2
    row = "{:32}" + "{:>13}" * (len(WIDTHS) + 3)
    print("Drawn images. Error in %, mean ± standard deviation over 3 random worlds.\n")
    widths = [f"width {w}" if w else "linear" for w in WIDTHS]
    print(row.format("", "reads text", *widths, "floor", "last − floor"))
    for i, setting in enumerate(SETTINGS):
        columns = [found["reads"], *(found[str(w)] for w in WIDTHS), middle]
        columns.append(found[str(WIDTHS[-1])] - middle)
        print(row.format(setting.name, *(cell(column[i]) for column in columns)))
    print(f"\nThe floor is known to ± {50 * (found['high'] - found['low']).max():.1f} points.\n")

    row = "{:32}" + "{:>13}" * 3
    print("Real digits, captioned with their names. Error in %, over 3 splits and classifiers.\n")
    print(row.format("", "reads text", "linear", "width 64"))
    for images, dims in ((300, 64), (1200, 64), (1200, 2)):
        errors = np.array([measure_digits(images, dims, seed) for seed in range(3)])
        print(row.format(f"{images} images, {dims} features", *map(cell, errors.T)))


if __name__ == "__main__":
    main()
