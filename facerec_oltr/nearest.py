"""Which centroids are near: the squared distance of features to all centroids, less what orders nothing."""

import torch
from torch import Tensor


@torch.no_grad()
def order_by_distance(features: Tensor, centroids: Tensor) -> Tensor:
    """‖m_c‖² − 2 v_b·m_c of features (B, D) and centroids (C, D), as (B, C): ‖v_b − m_c‖² less ‖v_b‖².

    It takes O(B·C) memory, and no copy of the centroids. It says which centroid is nearest, not how near: close to one
    it has no digits left, so the distance is to be taken from the difference. It is never computed in 16 bits, where
    centroids far from the origin and close to each other would be taken for one another.
    """
    with torch.autocast(features.device.type, enabled=False):
        return torch.addmm(centroids.norm(dim=1).square(), features, centroids.T, alpha=-2)
