"""Few-shot learning without forgetting (Gidaris & Komodakis, CVPR 2018): weights for few-shot classes are generated.

    logit_k = τ cos(v, w_k)

w_k is learned for a base class. For a few-shot class it is made from the class's N training features z, of length 1,
and from the base classes' weights w̄_b, of length 1, by attention (equations 4 to 6):

    w   = φ_avg ⊙ w_avg + φ_att ⊙ w_att
    w_avg = (1/N) Σ_i z_i
    w_att = (1/N) Σ_i Σ_b softmax_b(γ cos(φ_q z_i, k_b)) w̄_b

The sum over i stands outside everything, so w is the mean over the class's images of what each of them would make
alone, and no image's feature need be kept. A few-shot class's weight is written into its row of the classifier
when a stage begins and when an epoch is over; to answer is then an ordinary cosine classifier's work.

The generator learns from episodes in which base classes play the few-shot ones. An episode is a batch: some of its
classes are chosen, their own weights and keys set aside; each of their images in turn is the query, and the class's
other images in the batch are what its weight is made from. So with n images a class in a batch the generator learns for
classes of n − 1. The authors draw the exemplars apart from the queries; here every image is both, and never for itself.
"""

import math
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from facerec_oltr.components import Config
from facerec_oltr.heads._base import ClassMeans, Head, Moment
from facerec_oltr.heads.cosine import Cosine


class WeightGenerator(Head):
    """A cosine classifier whose few-shot classes have generated weights.

    Args:
        features: D.
        classes: C.
        scale: τ at the start; learned, as all that follows.
        attention_scale: γ at the start.
        novel_share: of a batch's classes with two images and more, those that play few-shot.
    """

    few_shot: Tensor
    """(C,) bool: the classes whose weights are generated."""

    def __init__(
        self, features: int, classes: int, *, scale: float, attention_scale: float, novel_share: float
    ) -> None:
        super().__init__()
        self.novel_share = novel_share
        self.classifier = Cosine(features, classes, scale=scale, squashed=False, learned_scale=True)
        self.gamma = nn.Parameter(torch.tensor(attention_scale))
        self.keys = nn.Parameter(torch.randn(classes, features) * math.sqrt(2 / features))
        self.phi_q = nn.Linear(features, features)
        nn.init.zeros_(self.phi_q.bias)
        self.phi_q.weight.data.copy_(torch.eye(features) + 0.001 * torch.randn(features, features))
        self.phi_avg, self.phi_att = (nn.Parameter(torch.ones(features)) for _ in range(2))
        self.register_buffer("few_shot", torch.zeros(classes, dtype=torch.bool))

    def inherit(self, previous: Head) -> None:
        """Take over the cosine classifier of the base classes, or all of another generator."""
        if isinstance(previous, WeightGenerator):
            self.load_state_dict(previous.state_dict())
        else:
            self.classifier.inherit(previous)

    def divide(self, few_shot: Tensor) -> None:
        """Learn whose weights to generate."""
        self.few_shot.copy_(few_shot)

    def refresh(self, class_means: ClassMeans, when: Moment) -> None:
        """Generate the few-shot classes' weights from their training features."""
        if self.few_shot.any():  # after each epoch too: what is validated then has the weights of its own generator
            generated = class_means(lambda features: self.generate(features, ~self.few_shot))
            with torch.no_grad():
                self.classifier.weight[self.few_shot] = generated[self.few_shot]

    def generate(self, features: Tensor, base: Tensor) -> Tensor:
        """Give the weight that each of (B, D) would make alone, (B, D), with attention over the classes `base` (C,)."""
        z = F.normalize(features)
        keys, weights = F.normalize(self.keys[base]), F.normalize(self.classifier.weight[base])
        attention = torch.softmax(self.gamma * F.normalize(self.phi_q(z)) @ keys.T, dim=1)
        return self.phi_avg * z + self.phi_att * (attention @ weights)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, D) to (B, C)."""
        return self.classifier(features)

    def training_logits(self, features: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        """Play an episode with classes drawn from torch's generator."""
        return self.episode(features, labels, images, self._drawn(labels, images))

    def episode(self, features: Tensor, labels: Tensor, images: Tensor, novel: Tensor) -> Tensor:
        """Give the logits (B, C) of a batch in which the classes `novel` (K,) play few-shot.

        Args:
            features: (B, D).
            labels: (B,).
            images: (B,) which image each row shows; rows that show the same one are never each other's exemplars.
            novel: each with two images and more in the batch.
        """
        logits = self.classifier(features)
        if not len(novel):
            return logits
        base = ~self.few_shot
        base[novel] = False
        rows = torch.isin(labels, novel).nonzero().squeeze(1)
        _, image_of_row = images[rows].unique(return_inverse=True)
        by_image = _means(self.generate(features[rows], base), image_of_row)
        novel, class_of_row = labels[rows].unique(return_inverse=True)
        class_of_image = class_of_row.new_empty(len(by_image)).scatter_(0, image_of_row, class_of_row)
        by_class, sizes = _means(by_image, class_of_image), class_of_image.bincount().unsqueeze(1)
        n = sizes[class_of_row]
        of_the_others = (n * by_class[class_of_row] - by_image[image_of_row]) / (n - 1)
        logits = logits.index_copy(1, novel, self.classifier.against(features, by_class))
        own = self.classifier.scale * F.cosine_similarity(features[rows], of_the_others)
        return logits.index_put((rows, labels[rows]), own)

    def _drawn(self, labels: Tensor, images: Tensor) -> Tensor:
        """Classes of the batch (K,) to play few-shot: at least one where it can be, and never all base classes."""
        pairs = torch.stack([labels, images]).unique(dim=1)
        classes, sizes = pairs[0].unique(return_counts=True)
        able = classes[sizes > 1]
        most = int((~self.few_shot).sum()) - 1
        number = min(max(1, round(self.novel_share * len(able))), most)
        return able[torch.randperm(len(able)).to(able.device)[:number]]


def _means(values: Tensor, groups: Tensor) -> Tensor:
    """The mean of values (B, D) by group (B,), numbered without gaps, as (G, D)."""
    sizes = groups.bincount()
    sums = values.new_zeros(len(sizes), values.shape[1]).index_add(0, groups, values)
    return sums / sizes.unsqueeze(1)


class WeightGeneratorConfig(Config):
    """Choices of the weight generator.

    The scales are those that the authors start from; on ImageNet they start γ at 30. Half of an episode's queries are
    of novel classes in their experiments on Mini-ImageNet.
    """

    keeps_memory: ClassVar[bool] = False
    splits_by_class: ClassVar[bool] = False
    kind: Literal["weight_generator"] = "weight_generator"
    scale: Annotated[float, Field(gt=0)] = 10.0
    attention_scale: Annotated[float, Field(gt=0)] = 10.0
    novel_share: Annotated[float, Field(gt=0, le=1)] = 0.5

    def build(self, *, features: int, classes: int) -> WeightGenerator:
        """Build the head for D features and C classes."""
        return WeightGenerator(
            features,
            classes,
            scale=self.scale,
            attention_scale=self.attention_scale,
            novel_share=self.novel_share,
        )
