"""Features: made from images by an encoder, kept on disk, resumable."""

from headlight.features.embed import Encoded, Stages, embed_source, encode
from headlight.features.imported import FeatureFile, import_features
from headlight.features.store import FeatureStore, StoreSettings
from headlight.features.update import EmbedReport, Progress

__all__ = [
    "EmbedReport",
    "Encoded",
    "FeatureFile",
    "FeatureStore",
    "Progress",
    "Stages",
    "StoreSettings",
    "embed_source",
    "encode",
    "import_features",
]
