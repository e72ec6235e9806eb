"""The ResNets' normalisation against the numbers of ImageNet."""

import torch

from facerec_oltr.backbones import ResNetConfig


def test_imagenets_normalisation_is_that_of_images_on_0_to_1() -> None:
    """A grey of 127.5 is 0.5, (0.5 - 0.485) / 0.229 and so on; black is -0.485 / 0.229."""
    grey, black = torch.zeros(1, 3, 32, 32), -torch.ones(1, 3, 32, 32)
    plain = ResNetConfig(width=2).build(shape=(32, 32, 3), attention=None).eval()
    normalised = ResNetConfig(width=2, normalisation="imagenet").build(shape=(32, 32, 3), attention=None).eval()
    normalised.load_state_dict(plain.state_dict())  # the same names: it has no weights of its own
    for image, value in ((grey, 0.5), (black, 0.0)):
        channels = [(value - 0.485) / 0.229, (value - 0.456) / 0.224, (value - 0.406) / 0.225]
        by_hand = torch.tensor(channels).view(1, 3, 1, 1).expand(1, 3, 32, 32)
        torch.testing.assert_close(normalised(image), plain(by_hand))
