"""Ways to put two samples together, and the labels of what comes out.

Each is drawn first, then applied: ``draw`` gives its random parameters as plain data, ``mix`` is a
function of foregrounds, backgrounds and these. The mixing ratio lam is the background's share.
"""

from ltresample.mixing._base import LabelRule, Mix, Mixed, draw_ratio
from ltresample.mixing._column_swap import ColumnDraw, ColumnSwap, swap_columns
from ltresample.mixing._cutmix import BoxDraw, CutMix, paste_boxes
from ltresample.mixing._mamix import MAMix
from ltresample.mixing._mixup import Mixup, mixup
from ltresample.mixing._remix import Remix
from ltresample.mixing._saliency import SaliencyDraw, SaliencyMix, saliency
from ltresample.mixing._unimix import UniMix, unimix_ratio

__all__ = [
    "BoxDraw",
    "ColumnDraw",
    "ColumnSwap",
    "CutMix",
    "LabelRule",
    "MAMix",
    "Mix",
    "Mixed",
    "Mixup",
    "Remix",
    "SaliencyDraw",
    "SaliencyMix",
    "UniMix",
    "draw_ratio",
    "mixup",
    "paste_boxes",
    "saliency",
    "swap_columns",
    "unimix_ratio",
]
