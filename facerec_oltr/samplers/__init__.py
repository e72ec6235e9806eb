"""Samplers: labels and a generator → the order of one epoch; the same generator gives the same order."""

from typing import Annotated

from pydantic import Field

from facerec_oltr.samplers._base import Sampler
from facerec_oltr.samplers.class_aware import ClassAware, ClassAwareConfig
from facerec_oltr.samplers.uniform import UniformConfig, uniform

SamplerConfig = Annotated[UniformConfig | ClassAwareConfig, Field(discriminator="kind")]

__all__ = ["ClassAware", "ClassAwareConfig", "Sampler", "SamplerConfig", "UniformConfig", "uniform"]
