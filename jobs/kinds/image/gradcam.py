"""Where a network looks: Grad-CAM (Selvaraju et al. 2017, ICCV)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from jobs.models.network import Network


def grad_cam(network: Network, x: Tensor, classes: Tensor) -> Tensor | None:
    """float32 [n, size, size] on the CPU in 0..1: how much each place of the last map speaks for the class, ReLU'd.

    L = ReLU(sum_k a_k A_k), a_k = mean over places of d logit / d A_k; each image's map is divided by its maximum (all zero
    where nothing speaks for the class) and enlarged to the images' size. ``x`` [n, c, size, size] as fed, ``classes`` [n].
    None where the network has no map, and where its head has no slope (votes). The network's own gradients stay as they are.
    """
    with torch.enable_grad():
        fed = x.detach().requires_grad_(True)
        maps, features = network.backbone.maps_and_features(fed)
        if maps is None:
            return None
        logits = network.classify(features)
        if not logits.requires_grad:
            return None
        (gradient,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), maps)
    weights = gradient.float().mean(dim=(2, 3), keepdim=True)
    cam = functional.relu((weights * maps.detach().float()).sum(dim=1))
    cam = cam / cam.amax(dim=(1, 2), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
    return functional.interpolate(cam[:, None], size=x.shape[2:], mode="bilinear", align_corners=False)[:, 0].cpu()
