"""Cluster your own embeddings: `SCP` is a scikit-learn clusterer for arrays.

Here the "embeddings" are the raw pixels of scikit-learn's digits. Any (n, dim) array will do; with
several vectors per image (augmented views), (n, views, dim).
"""

from __future__ import annotations

from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headlight import SCP
from headlight.evaluation import score


def main() -> None:
    """Fit on the first 1,500 digits, and assign the others with the same head."""
    digits = load_digits()
    seen, new = digits.data[:1500], digits.data[1500:]
    pipeline = make_pipeline(StandardScaler(with_std=False), SCP(n_clusters=10, random_state=0))
    labels = pipeline.fit_predict(seen)
    print("seen:", score(digits.target[:1500], labels))
    print("new:", score(digits.target[1500:], pipeline.predict(new)))
    doubtful = pipeline.predict_proba(new).max(axis=1).argsort()[:5]
    print("least certain of the new:", (doubtful + 1500).tolist())


if __name__ == "__main__":
    main()
