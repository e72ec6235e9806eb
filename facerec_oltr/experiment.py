"""What an experiment is: every choice that a training run rests on, checked against each other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from facerec_oltr.backbones import BackboneConfig, ModulatedAttentionConfig
from facerec_oltr.components import Config
from facerec_oltr.data import AugmentConfig, DataConfig
from facerec_oltr.heads import (
    CosineConfig,
    HeadConfig,
    MetaEmbeddingConfig,
    NcmConfig,
    TauNormConfig,
    WeightGeneratorConfig,
)
from facerec_oltr.losses import (
    AdaFaceConfig,
    DiscCentroidsAuthorsConfig,
    ElasticConfig,
    LdamConfig,
    LossConfig,
    MagFaceConfig,
    MarginConfig,
)
from facerec_oltr.metrics.shots import Convention
from facerec_oltr.samplers import SamplerConfig

Factor = Annotated[float, Field(ge=0)]
Precision = Literal["float32", "bfloat16", "float16"]
_LOSSES_OF_COSINES = AdaFaceConfig | ElasticConfig | LdamConfig | MagFaceConfig | MarginConfig

_TAKES_OVER: Mapping[str, tuple[str, ...]] = {
    "lws": ("dot_product",),
    "tau_norm": ("dot_product",),
    "weight_generator": ("cosine", "weight_generator"),
}
"""Heads that are nothing without what an earlier stage's head has learned, and which head that may be."""


class Schedule(Config):
    """How long and how fast to train; a data set fixes it, so that every method gets the same budget.

    Attributes:
        epochs: of all stages together; each stage takes its share.
        batch_size: B; an epoch's last batches are made near equal, so that none is tiny.
        optimizer: SGD with momentum, or AdamW (Loshchilov and Hutter, ICLR 2019), by which vision transformers learn.
        learning_rate: at its highest; each stage warms up to it and falls from there. AdamW's is 0.001 if not given,
            as arcface_torch's.
        warmup: share of a stage's steps in which the rate rises linearly.
        momentum: how much of the mean gradient so far stays at each step: SGD's momentum, AdamW's β₁. AdamW's β₂ is
            0.999 and its ε 1e-8.
        weight_decay: of all weights; a memory is no weight, but for the authors' kind. AdamW's is 0.1 if not given, as
            arcface_torch's, and acts on the weights beside the gradient, not through it.
        clip: the largest norm that the gradient of the backbone, of all its weights together, may have; a longer one is
            shortened to it. arcface_torch's is 5. None lets it be. The head's gradient is left alone, as theirs.
        decay: how each stage's rate falls: on a half cosine to zero; on a line to zero, as in arcface_torch; by ten
            after each third of the stage, as in the OLTR authors' every config; or by steps, as torch's StepLR.
        step_epochs: for steps: the epochs between two, counted from the start of each stage.
        gamma: for steps: the factor of each.
        precision: in which the network computes while it is trained and validated; see engine/precision.py.
        memory_format: how the backbone's maps lie in memory: channel by channel, or pixel by pixel. Which is faster
            depends on network and device; see benchmarks/README.md and engine/speedups.py.
        compile: compile the backbone by torch.compile. It takes a minute or more before the first step, and needs a C++
            compiler.
        validate_every: epochs between two measurements on the validation split, where the data set has one; a stage's
            last epoch is always measured. 0 measures never, and then the split need not be there.
    """

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)]
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    clip: Annotated[float, Field(gt=0)] | None = None
    decay: Literal["cosine", "linear", "thirds", "step"] = "cosine"
    step_epochs: Annotated[int, Field(ge=1)] | None = None
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    precision: Precision = "float32"
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    compile: bool = False
    validate_every: Annotated[int, Field(ge=0)] = 1

    @model_validator(mode="before")
    @classmethod
    def _adamw_has_defaults_of_its_own(cls, choices: Any) -> Any:
        """SGD's rate would be a hundred times too high for it; what is given stands, and what is kept is complete."""
        if isinstance(choices, dict) and choices.get("optimizer") == "adamw":
            return {"learning_rate": 1e-3, "weight_decay": 0.1} | choices
        return choices

    @model_validator(mode="after")
    def _steps_need_their_length(self) -> Self:
        if self.decay == "step" and self.step_epochs is None:
            raise ValueError("decay = 'step' needs step_epochs, the epochs between two steps; set schedule.step_epochs")
        if self.decay != "step" and self.step_epochs is not None:
            raise ValueError(f"step_epochs has no meaning with decay = {self.decay!r}; set decay = 'step' or remove it")
        return self


class Watch(Config):
    """What is measured on the way and decides nothing: no weight, no schedule and no best epoch follows from it.

    Attributes:
        verify: verification packs of aligned faces, `lfw.bin` or folders of ``recordio pairs``, see
            engine/verifying.py. They belong to what a run folder is, so that one metrics.jsonl holds figures of the
            same pairs: other packs make another run.
        verify_every: epochs between two such measurements; a stage's last epoch is always measured.
    """

    verify: tuple[Path, ...] = ()
    verify_every: Annotated[int, Field(ge=1)] = 1


class WeightedLoss(Config):
    """One term of a stage's loss."""

    weight: Annotated[float, Field(gt=0)] = 1.0
    loss: LossConfig


class Stage(Config):
    """One stage of a method.

    Attributes:
        name: by which later stages refer to it, and under which its checkpoint is kept.
        share: of the schedule's epochs; 0 trains nothing, for a head that only takes over or computes what it needs.
        classes: train on the images of all classes, or only of those that are not few-shot by the experiment's `shots`,
            with a loss that knows of no others.
        start_from: an earlier stage whose backbone and head this one takes over, as they were at its end, not at its
            best epoch; none starts afresh, or with the backbone from the file `backbone.weights`.
        attention: put modulated attention into the backbone.
        fc_add: put a linear layer of that width, or as wide as the features, and a ReLU between the backbone and the
            head, as the OLTR authors do; where `start_from` has none it starts at random, and the features are no
            longer those that the earlier head was trained on.
        freeze_statistics: normalise by the running statistics that `start_from` brought instead of each batch's.
            Class-aware batches hold few classes, so their statistics depend on who happens to be in them, and the
            features would not be those that the memory was made from.
        freeze_backbone: leave what `start_from` brought of the backbone as it is: no gradient, no dropout, no new
            statistics. Attention that is new in this stage is trained all the same. "weights" withholds only the
            gradient, as the OLTR authors do: its batch norms go on with each batch's statistics and gather new ones.
        backbone_rate: factor on the learning rate for the weights before the head that `start_from`, or the file
            `backbone.weights`, brought; for all of them where there was neither.
        head_rate: factor on the learning rate for the head.
        new_rate: factor for the layers in front of the head that are new in this stage; the head's if not given.
        memory_rate: factor for a memory that is a parameter.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    classes: Literal["all", "base"] = "all"
    start_from: str | None = None
    attention: ModulatedAttentionConfig | None = None
    fc_add: Annotated[int, Field(ge=1)] | Literal["same"] | None = None
    head: HeadConfig
    losses: Annotated[tuple[WeightedLoss, ...], Field(min_length=1)]
    sampler: SamplerConfig
    freeze_statistics: bool = False
    freeze_backbone: bool | Literal["weights"] = False
    backbone_rate: Factor = 1.0
    head_rate: Factor = 1.0
    new_rate: Factor | None = None
    memory_rate: Factor = 1.0

    @property
    def splits_by_class(self) -> bool:
        """Whether several processes may each hold a part of the head's classes; see ranks.py."""
        parts = (self.head, *(term.loss for term in self.losses))
        return self.classes == "all" and all(part.splits_by_class for part in parts)

    @model_validator(mode="after")
    def _losses_fit_the_head(self) -> Self:
        for term in self.losses:
            if term.loss.needs_memory and not self.head.keeps_memory:
                raise ValueError(
                    f"stage {self.name!r}: the loss {term.loss.kind!r} needs a memory, but the head "
                    f"{self.head.kind!r} keeps none; take the head 'meta_embedding'"
                )
            if isinstance(term.loss, _LOSSES_OF_COSINES) and not (
                isinstance(self.head, CosineConfig)
                and self.head.scale == term.loss.scale
                and not (self.head.squashed or self.head.learned_scale)
            ):
                raise ValueError(
                    f"stage {self.name!r}: the loss {term.loss.kind!r} with scale {term.loss.scale:g} needs the head "
                    "'cosine' with the same scale, not squashed and not learned"
                )
        return self

    @model_validator(mode="after")
    def _drawn_classes_need_a_loss_that_knows(self) -> Self:
        if isinstance(self.head, CosineConfig) and self.head.sample < 1 and not self.splits_by_class:
            raise ValueError(
                f"stage {self.name!r}: the head draws a share of the classes (sample = {self.head.sample:g}), which "
                "needs classes = \"all\" and a loss over the softmax of any part of them, such as 'margin'; set "
                "sample = 1"
            )
        return self

    @model_validator(mode="after")
    def _the_authors_memory_needs_their_loss(self) -> Self:
        theirs = isinstance(self.head, MetaEmbeddingConfig) and self.head.memory == "parameter"
        if theirs != any(isinstance(term.loss, DiscCentroidsAuthorsConfig) for term in self.losses):
            raise ValueError(
                f"stage {self.name!r}: the loss 'disc_centroids_authors' moves a memory of the kind 'parameter', and "
                "nothing else does; set both or none"
            )
        return self

    @model_validator(mode="after")
    def _a_generator_learns_from_base_classes(self) -> Self:
        if isinstance(self.head, WeightGeneratorConfig) and self.classes != "base":
            raise ValueError(
                f"stage {self.name!r}: the head 'weight_generator' generates the few-shot classes' weights and learns "
                'from the others; set classes = "base"'
            )
        return self

    @model_validator(mode="after")
    def _there_is_something_to_learn(self) -> Self:
        if self.share > 0 and isinstance(self.head, NcmConfig | TauNormConfig) and self.freeze_backbone:
            raise ValueError(
                f"stage {self.name!r}: the head {self.head.kind!r} learns nothing, "
                "the backbone is frozen; set share = 0"
            )
        if self.start_from is None and (self.freeze_backbone or self.share == 0):
            raise ValueError(f"stage {self.name!r}: nothing would ever be trained; set start_from to an earlier stage")
        return self


class Experiment(Config):
    """Everything that decides a run.

    Attributes:
        method: name of the method file.
        dataset: name of the data-set file.
        seed: all chance of the run follows from it.
        embedding: which of the last head's embeddings stands for a face when the model is used.
        shots: the convention by which the benchmark calls a class many, medium or few shot.
        watch: what is measured while it trains.
    """

    method: str
    dataset: str
    seed: Annotated[int, Field(ge=0)] = 0
    data: DataConfig
    backbone: BackboneConfig
    schedule: Schedule
    augment: AugmentConfig = AugmentConfig()
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    embedding: Literal["direct", "meta"] = "direct"
    shots: Convention = "decoupling"
    watch: Watch = Watch()

    @model_validator(mode="after")
    def _the_loss_may_be_scaled(self) -> Self:
        kinds = {term.loss.kind for stage in self.stages for term in stage.losses}
        if self.schedule.precision == "float16" and "disc_centroids_authors" in kinds:
            raise ValueError(
                "schedule.precision = 'float16' scales the loss, but 'disc_centroids_authors' does not pass the scale "
                "on to the memory; take 'bfloat16' or 'float32'"
            )
        return self

    @model_validator(mode="after")
    def _stages_chain(self) -> Self:
        known: dict[str, Stage] = {}
        for stage in self.stages:
            if stage.name in known:
                raise ValueError(f"two stages are named {stage.name!r}; give each its own name")
            if stage.start_from is not None:
                start = known.get(stage.start_from)
                if start is None:
                    raise ValueError(
                        f"stage {stage.name!r} starts from {stage.start_from!r}, expected an earlier stage: "
                        f"{', '.join(known) or 'there is none'}"
                    )
                if (kinds := _TAKES_OVER.get(stage.head.kind)) and start.head.kind not in kinds:
                    raise ValueError(
                        f"stage {stage.name!r}: the head {stage.head.kind!r} takes over a trained classifier, but "
                        f"{start.name!r} has the head {start.head.kind!r}; expected {' or '.join(map(repr, kinds))}"
                    )
                new, old = stage.head, start.head
                if isinstance(new, CosineConfig) and isinstance(old, CosineConfig) and new.centres != old.centres:
                    raise ValueError(
                        f"stage {stage.name!r} has a cosine classifier of other centres than {stage.start_from!r}, "
                        "which it would take over; give both the same"
                    )
                for part in ("attention", "fc_add"):
                    if getattr(start, part) is not None and getattr(start, part) != getattr(stage, part):
                        raise ValueError(
                            f"stage {stage.name!r} drops or changes the {part} of {stage.start_from!r}, whose weights "
                            "it would take over; give both the same"
                        )
            elif stage.head.kind in _TAKES_OVER:
                raise ValueError(
                    f"stage {stage.name!r}: the head {stage.head.kind!r} takes over a trained classifier; "
                    "set start_from"
                )
            known[stage.name] = stage
        last = self.stages[-1]
        if last.classes == "base" and not isinstance(last.head, NcmConfig | WeightGeneratorConfig):
            raise ValueError(
                f"the last stage, {last.name!r}, trains base classes alone, and the head {last.head.kind!r} would "
                "leave the few-shot ones untrained; take the head 'weight_generator' or 'ncm'"
            )
        if (total := sum(stage.share for stage in self.stages)) > 1 + 1e-9:
            raise ValueError(f"the stages' shares add up to {total:g}, expected at most 1: lower them")
        return self
