"""The limits of the health check, each with where it is from, so that a person can disagree with it.

"measured here" means: set by looking at what sound and spoilt pictures give (the tests repeat it), not taken from
elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """Where a figure turns amber and red (None: it never does), and whose limit that is."""

    amber: float
    red: float | None
    source: str


_OWN = "measured here"
_CLEANVISION = "CleanVision"

# The set.
COUNT = Limit(10, 5, "usual advice; DreamBooth used 3 to 5")
COUNT_STYLE = Limit(15, 5, "common advice for styles")
COPIES_SHARE = Limit(0.15, 0.5, "lorasmith")
SAME_GROUND_SHARE = Limit(0.4, 0.6, "lorasmith")
SAME_CLOTHES_SHARE = Limit(0.4, 0.6, "lorasmith")
OVERLAY_SHARE = Limit(0.0, 0.1, "LAION and data-juicer drop such pictures")
LETTERING_SURE = Limit(0.75, None, _OWN)  # petals and faces taken for letters are read with 0.47 at most
# Size and shape.
SHORT_SIDE = Limit(768, 512, "argus-curator: 512")
ENLARGED = Limit(1.25, 1.75, "lorasmith")
CUT_AWAY = Limit(0.15, 0.3, "lorasmith")
ASPECT = Limit(2.9, 4.0, f"{_CLEANVISION}; red: lorasmith")
MEGAPIXELS = Limit(4.0, None, "usual advice")
# The picture itself.
SHARPNESS = Limit(40, 12, _OWN)
SHARPNESS_OF_SET = Limit(1 / 25, None, _OWN)
SHARPNESS_SURE = 300.0  # above it a picture is sharp, whatever the others are
CRISP = 0.45  # from it on flat colours meet in sharp contours, however pale: blurred ones give 0.3 at most
DETAIL = Limit(0.19, None, _OWN)
DARK = Limit(0.32, 0.15, _CLEANVISION)
LIGHT = Limit(0.95, None, _CLEANVISION)
CLIPPED = Limit(0.10, None, "lorasmith")  # a white studio ground is as white as a burnt-out sky
BLANK = Limit(0.995, 0.995, "lorasmith")
BORDER = Limit(0.01, 0.05, "lorasmith")
JPEG_QUALITY = Limit(50, 30, "lorasmith")
BLOCKS = Limit(2.3, 4.0, _OWN)
# Likeness of two pictures.
HASH_NEAR = Limit(10, None, "imagededup: 10 of 64 bits")
COPY_ALIKE = Limit(0.95, None, _OWN)
CUT_OUT_ALIKE = Limit(0.92, None, _OWN)
CUT_OUT_SUSPECTED = Limit(0.85, None, _OWN)
COPY_COSINE = Limit(0.85, None, "SSCD: from 0.75 on, 9 of 10 are copies; frames of one sitting reach 0.77")
COPY_SUSPECTED = Limit(0.5, None, _OWN)
GROUND_ALIKE = Limit(0.9, None, _OWN)
# Words.
TOKENS = Limit(75, None, "CLIP reads 75")
PHRASE_SHARE = Limit(0.85, None, "lorasmith")
# Faces.
FACE_SIDE = Limit(128, 64, "lorasmith")
