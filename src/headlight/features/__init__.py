"""Features: made from images by an encoder, kept on disk, resumable."""

from headlight.features.embed import EmbedReport, Progress, Stages, embed_source, encode
from headlight.features.imported import FeatureFile, import_features
from headlight.features.store import FeatureStore, Stored, StoreSettings

__all__ = [
    "EmbedReport",
    "FeatureFile",
    "FeatureStore",
    "Progress",
    "Stages",
    "StoreSettings",
    "Stored",
    "embed_source",
    "encode",
    "import_features",
]
