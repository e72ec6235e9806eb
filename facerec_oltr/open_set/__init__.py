"""Open-set rules: how familiar an image is, apart from what it is classified as.

A rule is fitted on training features or logits (or on nothing, or on the head's memory), and judges the outputs of any
classifier: a score, higher = more familiar, and a top class. `metrics.open_set.decide` makes of both and a threshold
(`threshold`) a decision, class or UNKNOWN = -1. numpy and scipy only; rows go through in
blocks, so that memory stays bounded.

    rule = config.fit(training_outputs, training_labels, classes=C, memory=head_memory)
    threshold = threshold_config.choose(rule.judge(validation_outputs), validation_labels)
    decided = decide(*rule.judge(test_outputs), threshold)
"""

from typing import Annotated

from pydantic import Field

from facerec_oltr.open_set._base import Judgement, Outputs, Rule, RuleConfig
from facerec_oltr.open_set.energy import Energy, EnergyConfig
from facerec_oltr.open_set.hold_out import hold_out
from facerec_oltr.open_set.knn import Knn, KnnConfig
from facerec_oltr.open_set.max_logit import MaxLogit, MaxLogitConfig
from facerec_oltr.open_set.max_softmax import MaxSoftmax, MaxSoftmaxConfig
from facerec_oltr.open_set.nearest_centroid import NearestCentroid, NearestCentroidConfig
from facerec_oltr.open_set.openmax import OpenMax, OpenMaxConfig
from facerec_oltr.open_set.reachability import Reachability, ReachabilityConfig
from facerec_oltr.open_set.threshold import FixedThreshold, KnownShareThreshold, PseudoOpenThreshold, ThresholdConfig

OpenSetConfig = Annotated[
    EnergyConfig
    | KnnConfig
    | MaxLogitConfig
    | MaxSoftmaxConfig
    | NearestCentroidConfig
    | OpenMaxConfig
    | ReachabilityConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "Energy",
    "EnergyConfig",
    "FixedThreshold",
    "Judgement",
    "Knn",
    "KnnConfig",
    "KnownShareThreshold",
    "MaxLogit",
    "MaxLogitConfig",
    "MaxSoftmax",
    "MaxSoftmaxConfig",
    "NearestCentroid",
    "NearestCentroidConfig",
    "OpenMax",
    "OpenMaxConfig",
    "OpenSetConfig",
    "Outputs",
    "PseudoOpenThreshold",
    "Reachability",
    "ReachabilityConfig",
    "Rule",
    "RuleConfig",
    "ThresholdConfig",
    "hold_out",
]
