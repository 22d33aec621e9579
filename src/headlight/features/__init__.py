"""Features: made from images by an encoder, kept on disk, resumable."""

from headlight.features.embed import (
    Encoded,
    Encoding,
    EncodingHere,
    Known,
    Stages,
    ViewsOf,
    embed_source,
    encode,
)
from headlight.features.imported import FeatureFile, import_features
from headlight.features.store import FeatureStore, StoreSettings
from headlight.features.update import EmbedReport, Progress

__all__ = [
    "EmbedReport",
    "Encoded",
    "Encoding",
    "EncodingHere",
    "FeatureFile",
    "FeatureStore",
    "Known",
    "Progress",
    "Stages",
    "StoreSettings",
    "ViewsOf",
    "embed_source",
    "encode",
    "import_features",
]
