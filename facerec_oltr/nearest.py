"""Which centroids are near: the squared distance of features to all centroids, less what orders nothing."""

import torch
from torch import Tensor

from facerec_oltr.ranks import out_of_shards, rank_and_ranks, stacked


@torch.no_grad()
def order_by_distance(features: Tensor, centroids: Tensor) -> Tensor:
    """‖m_c‖² − 2 v_b·m_c of features (B, D) and centroids (C, D), as (B, C): ‖v_b − m_c‖² less ‖v_b‖².

    It takes O(B·C) memory, and no copy of the centroids. It says which centroid is nearest, not how near: close to one
    it has no digits left, so the distance is to be taken from the difference. It is never computed in 16 bits, where
    centroids far from the origin and close to each other would be taken for one another.
    """
    with torch.autocast(features.device.type, enabled=False):
        return torch.addmm(centroids.norm(dim=1).square(), features, centroids.T, alpha=-2)


def nearest_centroids(
    features: Tensor, centroids: Tensor, *, but: Tensor | None = None, sharded: bool = False
) -> Tensor:
    """The nearest of the centroids (C, D) to each feature (B, D), as (B, D); of equals the first.

    Args:
        features: (B, D).
        centroids: (C, D); a gradient reaches them, where they take one and are not split.
        but: (B,) a centroid that does not count for each feature; −1 excludes none.
        sharded: the centroids are split over the ranks, and these are this rank's.
    """
    order = order_by_distance(features, centroids)
    if but is not None:
        order[(but >= 0).nonzero().squeeze(1), but[but >= 0]] = torch.inf
    least, place = order.min(dim=1)
    found = centroids[place]
    if not sharded:
        return found
    nearest_rank = stacked(least).argmin(dim=0)
    return out_of_shards(found.masked_fill((nearest_rank != rank_and_ranks()[0]).unsqueeze(1), 0))
