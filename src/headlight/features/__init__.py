"""Features: made from images by an encoder, kept on disk, resumable."""

from headlight.features.embed import EmbedReport, Progress, embed_source, encode
from headlight.features.store import FeatureStore, StoreSettings

__all__ = ["EmbedReport", "FeatureStore", "Progress", "StoreSettings", "embed_source", "encode"]
