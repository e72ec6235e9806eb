"""The base of every component's Config.

A component (a backbone, a head, a loss, a sampler …) stands beside its Config: the choices that a file may make.
What only the data can tell (the number of classes, the feature size) is a fact and goes to ``build`` as an
argument, so a config never learns it and a module never reads a config.
"""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen, strict set of choices: an unknown key, a wrong type or a later change is an error.

    A member of a family adds ``kind: Literal["its_name"]``, by which its family's union tells it apart, and
    ``build(**facts)``, which returns the component.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)
