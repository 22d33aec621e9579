"""An image as text, inside a page."""

from __future__ import annotations

import base64
import io

from PIL import Image


def data_uri(image: Image.Image, form: str, quality: int) -> str:
    """An image inside a ``data:`` URI; JPEG where Pillow has no WebP.

    Arguments:
        image: RGB.
        form: ``PNG``, ``JPEG`` or ``WEBP``.
        quality: 1 to 100, of the latter two.
    """
    if form == "WEBP" and form not in Image.SAVE:
        form = "JPEG"
    stream = io.BytesIO()
    image.save(stream, form, quality=quality)
    return f"data:image/{form.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
