"""Pictures that show the same shot: the same file, saved again, mirrored, or cut out of one another.

Found by four means, each for what it can: the files' digests; the perceptual hash, confirmed on the thumbnails; a
cut-out by looking for the one thumbnail inside the other; and, where the copy detector's weights are on this machine,
its embedding, which also knows pictures that were turned, recoloured or edited.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.dataset.health.figures import CopyGroup, Measures
from engine.dataset.health.limits import (
    COPY_ALIKE,
    COPY_COSINE,
    COPY_SUSPECTED,
    CUT_OUT_ALIKE,
    CUT_OUT_SUSPECTED,
    HASH_NEAR,
)
from engine.dataset.scan import Picture
from engine.errors import shown

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

_SMALL = 64  # side of what is compared
_CUT_SIDES = tuple(0.5 + 0.05 * step for step in range(10))  # of the largest that fits: 0.5 to 0.95
_WHOLE_BEHIND = 0.01  # of likeness: a cut-out, even of nearly all, fits worse when it is taken for the whole
_MOST_OF_ONE = 50
_MOST_PAIRS = 1_000  # that a cut-out is looked for in, those of the most alike colours first


@dataclass(frozen=True)
class Shot:
    """A picture as it is compared. `vector` is the copy detector's unit row, where there is one."""

    picture: Picture
    measures: Measures
    thumbnail: bytes
    vector: np.ndarray | None = None

    @functools.cached_property
    def grey(self) -> np.ndarray:
        """[height, width] in 0..255, the short side 64."""
        import numpy as np

        return np.asarray(_at_side(_opened(self.thumbnail).convert("L"), _SMALL), dtype=np.float32)

    @functools.cached_property
    def square(self) -> np.ndarray:
        """The whole picture squeezed to 64 x 64, of mean 0 and length 1."""
        import numpy as np

        small = _opened(self.thumbnail).convert("L").resize((_SMALL, _SMALL))
        values = np.asarray(small, dtype=np.float32)
        values = values - values.mean()
        return values / max(float(np.linalg.norm(values)), 1e-6)

    @functools.cached_property
    def colours(self) -> np.ndarray:
        """Shares of 4 x 4 x 4 colours, [64]."""
        import numpy as np

        values = np.asarray(_opened(self.thumbnail).resize((_SMALL, _SMALL))) // 64
        index = values[..., 0] * 16 + values[..., 1] * 4 + values[..., 2]
        return np.bincount(index.ravel(), minlength=64) / index.size


def find_copies(shots: Sequence[Shot], stop: Callable[[], None] = lambda: None) -> tuple[CopyGroup, ...]:
    """Groups of one shot each, in the pictures' order; a picture is in one group at most.

    `stop` is called now and then and may raise.
    """
    links: dict[tuple[int, int], str] = {}
    _same_files(shots, links)
    _same_hashes(shots, links)
    _cut_outs(shots, links, stop)
    if all(shot.vector is not None for shot in shots):
        _same_vectors(shots, links, stop)
    return tuple(_group(shots, members, links) for members in _components(len(shots), links))


def _same_files(shots: Sequence[Shot], links: dict[tuple[int, int], str]) -> None:
    first: dict[str, int] = {}
    for at, shot in enumerate(shots):
        one = first.setdefault(shot.picture.digest, at)
        if one != at:
            links[one, at] = "the same file"


def _same_hashes(shots: Sequence[Shot], links: dict[tuple[int, int], str]) -> None:
    """Pairs of near hashes, straight or mirrored, whose thumbnails agree."""
    import numpy as np

    straight = np.array([shot.measures.phash for shot in shots], dtype=np.uint64)
    mirrored = np.array([shot.measures.phash_mirrored for shot in shots], dtype=np.uint64)
    for at in range(len(shots) - 1):
        for others, how in ((straight, "the same shot"), (mirrored, "mirrored")):
            near = np.bitwise_count(others[at + 1 :] ^ straight[at]) <= HASH_NEAR.amber
            for other in np.flatnonzero(near) + at + 1:
                pair = (at, int(other))
                if pair not in links and _agree(shots[at], shots[other], how == "mirrored"):
                    links[pair] = how


def _agree(one: Shot, other: Shot, mirror: bool) -> bool:
    if not _of_one_shape(one, other):
        return False
    turned = other.square[:, ::-1] if mirror else other.square
    return float((one.square * turned).sum()) >= COPY_ALIKE.amber


def _of_one_shape(one: Shot, other: Shot) -> bool:
    aspects = [shot.picture.width / shot.picture.height for shot in (one, other)]
    return abs(math.log(aspects[0] / aspects[1])) <= 0.1


def _same_vectors(shots: Sequence[Shot], links: dict[tuple[int, int], str], stop: Callable[[], None]) -> None:
    """Pairs that the copy detector is sure of, and those it suspects and the thumbnails nearly prove.

    Its word alone is not enough at the usual limit: two frames of one sitting come as near as a picture and its part.
    """
    import numpy as np

    rows = np.stack([shot.vector for shot in shots if shot.vector is not None])
    alike = np.triu(rows @ rows.T, 1)
    suspected = np.argwhere(alike >= COPY_SUSPECTED.amber)
    suspected = suspected[np.argsort(-alike[tuple(suspected.T)])][:_MOST_PAIRS]
    for one, other in suspected.tolist():
        stop()
        if (one, other) in links:
            continue
        if alike[one, other] >= COPY_COSINE.amber:
            links[one, other] = "nearly the same shot"
        elif (likeness := _cut_out_of_either(shots[one], shots[other])) >= CUT_OUT_SUSPECTED.amber:
            links[one, other] = _cut_or_edited(shots[one], shots[other], likeness)


def _cut_outs(shots: Sequence[Shot], links: dict[tuple[int, int], str], stop: Callable[[], None]) -> None:
    """Pairs of which one picture is found inside the other, straight or mirrored."""
    import numpy as np

    colours = np.stack([shot.colours for shot in shots]) if shots else np.zeros((0, 64))
    pairs: list[tuple[float, int, int]] = []
    for at in range(len(shots) - 1):
        shared = np.minimum(colours[at + 1 :], colours[at]).sum(axis=1)
        likest = np.argsort(-shared)[:_MOST_OF_ONE]
        pairs += [(float(shared[other]), at, int(other) + at + 1) for other in likest if shared[other] >= 0.5]
    for _, one, other in sorted(pairs, reverse=True)[:_MOST_PAIRS]:
        stop()
        if (one, other) in links:
            continue
        if (likeness := _cut_out_of_either(shots[one], shots[other])) >= CUT_OUT_ALIKE.amber:
            links[one, other] = _cut_or_edited(shots[one], shots[other], likeness)


def _cut_out_of_either(one: Shot, other: Shot) -> float:
    """How well one picture lies in the other, straight or mirrored, at the scale and place where it does best."""
    return max(
        cut_out_likeness(grey, whole.grey)
        for part, whole in ((one, other), (other, one))
        for grey in (part.grey, part.grey[:, ::-1])
    )


def _cut_or_edited(one: Shot, other: Shot, likeness: float) -> str:
    """Of two pictures that agree: where the wholes agree as well as any part does, nothing was cut off."""
    if _of_one_shape(one, other):
        straight, mirrored = (float((one.square * square).sum()) for square in (other.square, other.square[:, ::-1]))
        if max(straight, mirrored) >= likeness - _WHOLE_BEHIND:
            return "the same shot, edited" if straight >= mirrored else "mirrored"
    return "a cut-out"


def cut_out_likeness(part: np.ndarray, whole: np.ndarray) -> float:
    """The best agreement, -1 to 1, of `part` scaled to half to nearly all of `whole` with what lies there.

    Both are grey [height, width] in float32. The agreement is the smaller of the correlation of the greys and that of
    the edges, which gets a head start: two pictures of one ground and one subject agree in the first only. Small
    pictures are looked through first, so that most pairs cost a millisecond.
    """
    half = tuple(_shrunk(one, 2) for one in (part, whole))
    top, share = max((_placed(*half, share)[0], share) for share in _CUT_SIDES)
    if top < 0.7:
        return min(top, 0.7)
    best = -1.0
    for near in range(-3, 4):
        at, patch, there = _placed(part, whole, share + near * 0.0125)
        if at > best and patch is not None and there is not None:
            best = max(best, min(at, _edges_agree(patch, there) + 0.35))
    return best


def _placed(
    part: np.ndarray, whole: np.ndarray, share: float
) -> tuple[float, np.ndarray | None, np.ndarray | None]:
    """How well `part` at this share of the largest size agrees with its best place in `whole`, and the two patches."""
    import cv2
    import numpy as np

    largest = min(whole.shape[0] / part.shape[0], whole.shape[1] / part.shape[1])
    width, height = (min(round(part.shape[axis] * largest * share), whole.shape[axis]) for axis in (1, 0))
    if min(width, height) < 8:
        return -1.0, None, None
    patch = cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=cv2.INTER_AREA)
    if patch.std() < 4:
        return -1.0, None, None
    _, top, _, (left, upper) = cv2.minMaxLoc(cv2.matchTemplate(whole, patch, cv2.TM_CCOEFF_NORMED))
    return float(top), patch, whole[upper : upper + height, left : left + width]


def _shrunk(grey: np.ndarray, by: int) -> np.ndarray:
    height, width = (length // by * by for length in grey.shape)
    return grey[:height, :width].reshape(height // by, by, width // by, by).mean(axis=(1, 3))


def _edges_agree(one: np.ndarray, other: np.ndarray) -> float:
    import cv2
    import numpy as np

    fields = []
    for grey in (one, other):
        edges = np.stack([cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)])
        fields.append((edges / max(float(np.linalg.norm(edges)), 1e-6)).ravel())
    return float(fields[0] @ fields[1])


def _components(count: int, links: dict[tuple[int, int], str]) -> list[list[int]]:
    """The indices that are linked, directly or through others, two or more together."""
    parent = list(range(count))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for one, other in links:
        parent[root(other)] = root(one)
    groups: dict[int, list[int]] = {}
    for at in range(count):
        groups.setdefault(root(at), []).append(at)
    return sorted(members for members in groups.values() if len(members) > 1)


def _group(shots: Sequence[Shot], members: list[int], links: dict[tuple[int, int], str]) -> CopyGroup:
    """The largest picture is kept, of equals the least compressed, then one with a caption, then the first."""

    def worth(at: int) -> tuple[int, int, bool, int]:
        picture, quality = shots[at].picture, shots[at].measures.jpeg_quality
        pixels = picture.width * picture.height
        return pixels, 101 if quality is None else quality, picture.caption is not None, -at

    keep, *others = sorted(members, key=worth, reverse=True)

    def how(at: int) -> str:
        direct = links.get((min(keep, at), max(keep, at)))
        return direct or next(word for pair, word in links.items() if at in pair)

    return CopyGroup(
        keep=shown(shots[keep].picture.name),
        leave_out=tuple(shown(shots[at].picture.name) for at in others),
        how=tuple(how(at) for at in others),
        keep_path=str(shots[keep].picture.path),
        leave_out_paths=tuple(str(shots[at].picture.path) for at in others),
    )


def _opened(thumbnail: bytes) -> Image.Image:
    from PIL import Image as pillow

    return pillow.open(io.BytesIO(thumbnail)).convert("RGB")


def _at_side(image: Image.Image, side: int) -> Image.Image:
    scale = side / min(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    return image.resize((width, height))


