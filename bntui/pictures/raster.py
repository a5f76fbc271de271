"""Turns an SVG picture into PNG or PDF, with Typst: it brings its own fonts, and embeds those that it uses."""

from __future__ import annotations

from typing import Final, Literal

SCALE: Final = 2.0
"""Pixels of a PNG for each unit of the picture."""
DOTS: Final = 96
"""Units of an inch."""
PAGE: Final = """
#set document(title: sys.inputs.title, date: none)
#set page(width: auto, height: auto, margin: 0pt, fill: none)
#image(bytes(sys.inputs.picture), format: "svg", alt: sys.inputs.title)
"""


def raster(svg: str, title: str, kind: Literal["png", "pdf"], scale: float = SCALE) -> bytes:
    """The picture as a PNG, or as a PDF of one page of its size."""
    import typst

    made = typst.compile(
        PAGE.encode(), format=kind, ppi=DOTS * scale, sys_inputs={"picture": svg, "title": title}
    )  # fmt: skip
    assert isinstance(made, bytes)
    return made
