"""Whether two pictures are one shot, saved again, mirrored, cropped or recoloured: shortlisted by vectors, then seen.

No vector alone decides it. Measured on DreamBooth's dog6, teapot, duck_toy and bear_plushie at 768 px: SSCD gives a
70 % crop (of each side) of a picture 0.657 and more, yet two photographs of one sitting up to 0.777; EfficientNet-Lite0
0.679 and 0.910. Laid over one another by their details, the copies (JPEG 60, 70 % crop, mirrored, all three at once)
agree to 0.970 and more, different photographs to 0.646 and less.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

# From which cosine a pair is worth a look, by encoder: below every altered copy measured.
CANDIDATE = {"sscd": 0.5, "efficientnet-lite0": 0.6}
SAME_SHOT = 0.9  # agreement from which two pictures are one shot

_SIDE = 320
_FEW = 6  # matched details below which nothing can be laid over anything
_LEAST_SHARED = 0.15  # of the picture
_FLAT_DIFFERENCE = 4.0  # of 255, between pictures without details


def candidate_pairs(vectors: np.ndarray, encoder: str) -> list[tuple[int, int]]:
    """Pairs (first < second) worth a look, most alike first; `vectors` [n, width] of length 1 by this encoder."""
    alike = np.triu(vectors @ vectors.T, 1)
    firsts, seconds = np.nonzero(alike >= CANDIDATE[encoder])
    order = np.argsort(-alike[firsts, seconds], kind="stable")
    return [(int(firsts[at]), int(seconds[at])) for at in order]


def agreement(one: Image.Image, other: Image.Image) -> float:
    """How well two pictures agree, 0..1, where one is laid over the other by turning, sizing, shifting, mirroring.

    The correlation of their greys over what they share; `SAME_SHOT` and more is one shot. About 0.07 s a pair on a
    core, so for candidates only.
    """
    ground = _grey(one)
    found = _details(ground)
    best = 0.0
    for turned in (other, ImageOps.mirror(other)):
        best = max(best, _laid_over(ground, found, _grey(turned)))
        if best >= SAME_SHOT:
            return best
    return max(best, _flat_agreement(one, other))


def _laid_over(ground: np.ndarray, found: tuple, other: np.ndarray) -> float:
    import cv2

    (points, marks), (other_points, other_marks) = found, _details(other)
    if marks is None or other_marks is None or min(len(marks), len(other_marks)) < 2:
        return 0.0
    matches = [
        best
        for best, second in cv2.BFMatcher().knnMatch(other_marks, marks, k=2)
        if best.distance < 0.8 * second.distance  # Lowe 2004: a match must be clearly nearer than the next
    ]
    if len(matches) < _FEW:
        return 0.0
    source = np.array([other_points[match.queryIdx].pt for match in matches], np.float32)
    target = np.array([points[match.trainIdx].pt for match in matches], np.float32)
    matrix, _ = cv2.estimateAffinePartial2D(source, target, ransacReprojThreshold=3.0)
    if matrix is None:
        return 0.0
    size = (ground.shape[1], ground.shape[0])
    laid = cv2.warpAffine(other, matrix, size)
    shared = cv2.warpAffine(np.full_like(other, 255), matrix, size) > 250
    if shared.mean() < _LEAST_SHARED:
        return 0.0
    # A little blur, as the one may have been made smaller than the other.
    return _correlation(cv2.GaussianBlur(ground, (0, 0), 1.5)[shared], cv2.GaussianBlur(laid, (0, 0), 1.5)[shared])


def _flat_agreement(one: Image.Image, other: Image.Image) -> float:
    """Of pictures without details, such as a sky: 1 where the wholes are nearly equal, straight or mirrored, else 0."""
    small = [np.asarray(image.convert("RGB").resize((32, 32)), np.float32) for image in (one, other)]
    difference = min(float(np.abs(small[0] - turned).mean()) for turned in (small[1], small[1][:, ::-1]))
    return 1.0 if difference < _FLAT_DIFFERENCE else 0.0


def _details(grey: np.ndarray) -> tuple:
    """Keypoints, and their descriptors [n, 128] or None."""
    import cv2

    return cv2.SIFT_create(500).detectAndCompute(grey, None)


def _grey(image: Image.Image) -> np.ndarray:
    scale = _SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.array(image.convert("L").resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one.astype(np.float64), other.astype(np.float64)
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-9))
