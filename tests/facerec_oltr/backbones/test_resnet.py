"""ResNets: layouts, sizes and normalisation; that features equal the OLTR authors' is in test_authors.py."""

import pytest
import torch

from facerec_oltr.backbones import ModulatedAttentionConfig, ResNet, ResNetCifarConfig, ResNetConfig


def test_caffes_bottlenecks_stride_in_their_first_convolution_and_its_pooling_rounds_up() -> None:
    usual, caffe = (ResNetConfig(depth=50, layout=layout, width=1) for layout in ("usual", "caffe"))
    nets = [config.build(shape=(64, 64, 3), attention=None) for config in (usual, caffe)]
    strides = [
        [net.get_submodule(f"layer2.0.conv{number}").stride[0] for number in (1, 2, 3)]  # type: ignore[index]
        for net in nets
    ]
    assert strides == [[1, 2, 1], [2, 1, 1]]
    assert nets[0].state_dict().keys() == nets[1].state_dict().keys()
    # 225 pixels: the stem gives 113; padded by one and halved that is 57, unpadded and rounded up 56
    assert [side_of(net, 225) for net in nets] == [57, 56]


def side_of(net: ResNet, size: int) -> int:
    """The side of the first stage's map."""
    sides: list[int] = []
    handle = net.get_submodule("layer1").register_forward_hook(lambda _m, _i, out: sides.append(out.shape[-1]))
    net.eval()(torch.zeros(1, 3, size, size))
    handle.remove()
    return sides[0]


@pytest.mark.parametrize(
    ("size", "stem"), [*((size, "imagenet") for size in (64, 65, 97, 224, 225)), (33, "small"), (64, "small")]
)
@pytest.mark.parametrize("layout", ["usual", "caffe"])
def test_a_linear_gate_is_made_for_the_last_map_of_any_size(size: int, layout: str, stem: str) -> None:
    config = ResNetConfig(width=1, layout=layout, stem=stem)  # type: ignore[arg-type]
    net = config.build(shape=(size, size, 3), attention=ModulatedAttentionConfig(gate="linear")).eval()
    assert net(torch.zeros(1, 3, size, size)).shape == (1, 8)


def test_resnet_32_for_cifar_has_the_published_number_of_parameters() -> None:
    """0.46 million in He et al. (table 6); with shortcuts that pad with zeros, 464,154 with a head for ten classes."""
    net = ResNetCifarConfig().build(shape=(32, 32, 3), attention=None)
    head = 64 * 10 + 10
    assert sum(p.numel() for p in net.parameters()) + head == 464_154


def test_a_depth_that_is_no_six_n_plus_two_is_refused() -> None:
    with pytest.raises(ValueError, match="found 30, expected 6 n"):
        ResNetCifarConfig(depth=30)


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
