"""Feature matching between views and its consistency with the cameras, with OpenCV's SIFT and RANSAC."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from ilrm.cameras import Cameras
from ilrm.data.frames.view_selection import view_features
from ilrm.system.progress import progress_bar

RATIO = 0.8  # threshold of Lowe's ratio test
TOLERANCE = 1.0  # pixels, inlier threshold of RANSAC
FEWEST = 20  # inliers required for a pair; fewer may agree by chance
EVIDENCE = 100  # inliers that prove an overlap even if the cameras disagree
NEIGHBOURS = 6  # number of views that each view is matched with
WIDEST = 60.0  # degrees between viewing directions; beyond, matches are mostly wrong
PARALLAX = 1.0  # degrees; matches with less parallax are not triangulated


@dataclass(frozen=True)
class Pair:
    """Matches of two views that are consistent with some epipolar geometry, not necessarily the cameras'."""

    views: tuple[int, int]
    pixels: tuple[np.ndarray, np.ndarray]  # [M, 2] x, y in each view
    errors: np.ndarray  # [M] distances from the epipolar geometry of the given cameras, pixels
    depths: np.ndarray  # in both views, of the matches with parallax, in the unit of the poses


def match(
    images: Float[Tensor, "V 3 H W"], cameras: Cameras, show_progress: bool = True
) -> list[Pair]:
    """Match pairs of views; returns those with at least 20 matches.

    Each view is matched with its six nearest views. A view without any match is then tried with all others,
    as its pose may be wrong, and these pairs are accepted if they have at least 100 matches in total.
    """
    sift = cv2.SIFT.create()
    gray = [cv2.cvtColor(_bytes(image), cv2.COLOR_RGB2GRAY) for image in images]
    features = [sift.detectAndCompute(image, None) for image in gray]

    def match_pairs(chosen: list[tuple[int, int]]) -> list[Pair]:
        matched = []
        for i, j in progress_bar(chosen, desc="matching", unit="pair", disable=not show_progress):
            pixels = _matches(features[i], features[j])
            if pixels is not None:
                matched.append(_pair((i, j), pixels, cameras))
        return matched

    near = _pairs(cameras.c2w)
    pairs = match_pairs(near)
    matched_views = {view for pair in pairs for view in pair.views}
    for view in sorted(set(range(len(images))) - matched_views):
        others = [(min(view, i), max(view, i)) for i in range(len(images)) if i != view]
        far = match_pairs([pair for pair in others if pair not in near])
        near += others
        if sum(len(pair.errors) for pair in far) >= EVIDENCE:
            pairs += far
    return pairs


def _bytes(image: Tensor) -> np.ndarray:
    array = (image.cpu().clamp(0, 1) * 255).round().byte()
    return array.permute(1, 2, 0).contiguous().numpy()


def _pairs(c2w: Float[Tensor, "V 4 4"]) -> list[tuple[int, int]]:
    features = view_features(c2w.cpu())
    distance = np.linalg.norm(features[:, None] - features, axis=-1)
    nearest = np.argsort(distance, axis=1)[:, 1 : NEIGHBOURS + 1]
    forward = c2w[:, :3, 2].cpu().numpy()
    facing = forward @ forward.T > np.cos(np.radians(WIDEST))
    near = [(i, j) for i, j in combinations(range(len(c2w)), 2) if facing[i, j]]
    return [(i, j) for i, j in near if j in nearest[i] or i in nearest[j]]


def _matches(
    a: tuple[Sequence[cv2.KeyPoint], np.ndarray], b: tuple[Sequence[cv2.KeyPoint], np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Mutual matches [M, 2] of distinct points that are inliers of an epipolar geometry, or None."""
    if min(len(a[0]), len(b[0])) < FEWEST:
        return None
    matcher = cv2.BFMatcher()
    forth, back = (matcher.knnMatch(x[1], y[1], k=2) for x, y in ((a, b), (b, a)))
    nearest = {m.queryIdx: m.trainIdx for m, n in back if m.distance < RATIO * n.distance}
    chosen = {
        (a[0][m.queryIdx].pt, b[0][m.trainIdx].pt)
        for m, n in forth
        if m.distance < RATIO * n.distance and nearest.get(m.trainIdx) == m.queryIdx
    }
    if len(chosen) < FEWEST:
        return None
    points = np.array(sorted(chosen)) + 0.5  # [M, 2, 2]; OpenCV has pixel centres at integers
    try:
        _, inlier = cv2.findFundamentalMat(
            points[:, 0], points[:, 1], cv2.USAC_MAGSAC, TOLERANCE, 0.999, 10_000
        )
    except cv2.error:  # raised on some degenerate samples
        return None
    if inlier is None or inlier.sum() < FEWEST:
        return None
    kept = points[inlier.ravel() == 1]
    return kept[:, 0], kept[:, 1]


def _pair(views: tuple[int, int], pixels: tuple[np.ndarray, np.ndarray], cameras: Cameras) -> Pair:
    matrices = [cameras.K[i].double().cpu().numpy() for i in views]
    poses = [cameras.w2c[i].double().cpu().numpy() for i in views]
    return Pair(
        views,
        pixels,
        epipolar_distance(pixels, matrices, poses),
        _depths(pixels, matrices, poses),
    )


def epipolar_distance(
    pixels: tuple[np.ndarray, np.ndarray],  # [M, 2] each
    intrinsics: Sequence[np.ndarray],  # [3, 3] each
    w2c: Sequence[np.ndarray],  # [4, 4] each
) -> np.ndarray:
    """Sampson distance, in pixels, of each match from the cameras' epipolar geometry."""
    motion = w2c[1] @ np.linalg.inv(w2c[0])
    x, y, z = motion[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    inverse = [np.linalg.inv(matrix) for matrix in intrinsics]
    fundamental = inverse[1].T @ cross @ motion[:3, :3] @ inverse[0]
    a, b = (np.c_[part, np.ones(len(part))] for part in pixels)
    lines_b, lines_a = a @ fundamental.T, b @ fundamental
    gradient = np.sqrt((lines_b[:, :2] ** 2).sum(1) + (lines_a[:, :2] ** 2).sum(1))
    return np.abs((b * lines_b).sum(1)) / np.maximum(gradient, 1e-12)


def _depths(
    pixels: tuple[np.ndarray, np.ndarray], intrinsics: list[np.ndarray], w2c: list[np.ndarray]
) -> np.ndarray:
    """Depths of the triangulated matches in both views; negative behind a camera."""
    rays = []
    for part, matrix, pose in zip(pixels, intrinsics, w2c, strict=True):
        ray = np.c_[part, np.ones(len(part))] @ np.linalg.inv(matrix).T @ pose[:3, :3]
        rays.append(ray / np.linalg.norm(ray, axis=1, keepdims=True))
    wide = (rays[0] * rays[1]).sum(1) < np.cos(np.radians(PARALLAX))
    if not wide.any():
        return np.zeros(0)
    projections = [matrix @ pose[:3] for matrix, pose in zip(intrinsics, w2c, strict=True)]
    points = cv2.triangulatePoints(*projections, *(part[wide].T for part in pixels))  # [4, M]
    points = points / np.where(points[3] == 0, 1e-12, points[3])
    return np.concatenate([(pose @ points)[2] for pose in w2c])
