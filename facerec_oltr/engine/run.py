"""A run folder: the experiment and its facts, metrics as JSON lines, checkpoints, and in the end the model.

    experiment.json                 every choice, the data's fingerprints, versions; written first, never changed
    metrics.jsonl                   one line an epoch
    checkpoints/progress-N/         where unfinished training stands, see progress.py; gone when the run is finished
    checkpoints/best-N.safetensors  of the last stage, the best epoch so far; gone when the run is finished
    checkpoints/STAGE.safetensors   the network at the end of each stage
    checkpoints/STAGE.key           its key in the stage cache, if it was trained under that key throughout
    best.safetensors                the network at the last stage's epoch with the highest validation accuracy (over all
                                    images; of equals the first), which stands in its metadata; not without validation
    model.safetensors               the finished network; its presence says that the run is finished

A run that is killed is resumed by starting it again, and ends with the bytes of an unbroken one in both files. Of
several processes the first writes; what it writes does not tell how many they were, so that any number may go on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from facerec_oltr.data import DataSet
from facerec_oltr.engine.base_classes import few_shot_classes
from facerec_oltr.engine.before import check_batch, check_room, validation_split
from facerec_oltr.engine.best import BestWeights
from facerec_oltr.engine.checkpoint import load_weights, save_weights
from facerec_oltr.engine.finished import WEIGHTS_FILES
from facerec_oltr.engine.folder import claim, describe
from facerec_oltr.engine.model import Model, build_model
from facerec_oltr.engine.parallel import agreed, on_first, whole_state
from facerec_oltr.engine.passes import READERS
from facerec_oltr.engine.precision import Arithmetic
from facerec_oltr.engine.pretrained import Pretrained, open_pretrained
from facerec_oltr.engine.progress import Progress, best_epochs, forget_progress, load_progress, save_progress
from facerec_oltr.engine.reporting import Reporter, RunFacts, Silent, StepReport
from facerec_oltr.engine.speedups import check_compiler, refuse_narrow
from facerec_oltr.engine.stage import Done, StageRun, plan
from facerec_oltr.engine.stage_cache import FinishedStage, StageCache
from facerec_oltr.engine.verifying import Verification, open_verification
from facerec_oltr.errors import CheckpointError, StoppedError
from facerec_oltr.experiment import Experiment, Stage
from facerec_oltr.metrics.shots import ShotAccuracies
from facerec_oltr.ranks import rank_and_ranks

_SECONDS_BETWEEN_CHECKPOINTS = 5.0
_BYTES_A_SECOND = 5e6  # of the network, between two checkpoints: a disk writes some 50 times as fast


def train(
    experiment: Experiment,
    out: Path,
    *,
    device: torch.device | None = None,
    reporter: Reporter | None = None,
    clock: Callable[[], float] = time.monotonic,
    stop: Callable[[], bool] = lambda: False,
    keep_last: int = 1,
    readers: int = READERS,
    stage_cache: Path | None = None,
) -> Path:
    """Train an experiment into a run folder, or go on with one that was stopped, or do nothing with a finished one.

    Several processes that torch.distributed has joined train one run together; each calls this with the same arguments.

    Args:
        experiment: what to train.
        out: the run folder; it may exist only if it is a run of the same experiment on the same data.
        device: where to compute; the processor if not given.
        reporter: is told of every stage, step and epoch.
        clock: seconds; decides only when a checkpoint is due and the speed that is reported.
        stop: is asked after every step; once it says so, progress is saved and training ends.
        keep_last: how many moments of unfinished training to keep, so that an older one can be gone back to.
        readers: threads of this process that read images ahead; what is trained does not depend on them.
        stage_cache: a folder of finished stages, see stage_cache.py: the run's earlier stages are taken from there if
            they are there, and what it trains is put there. What is trained does not depend on it.

    Returns:
        The path of the finished model.

    Raises:
        ConfigError: `out` holds something else than this experiment, the device cannot compute as it asks, or the data
            has no base or no few-shot classes where a stage is for the base classes.
        DataError: the training or the validation split, or a verification pack, is not what it should be.
        CheckpointError: a checkpoint in `out` is damaged, the disk has no room for one, or the weights to start from
            are missing or do not fit.
        TrainingError: a batch is larger than the training split or too small for so many processes, the loss is not
            finite, or another process has left.
        StoppedError: `stop` said so.
    """
    device = device or torch.device("cpu")
    Arithmetic(experiment.schedule.precision, device)  # what the device cannot do is known before a folder is made
    check_compiler(experiment.schedule, device)
    data, validation = experiment.data.build(), validation_split(experiment)
    few_shot_classes(experiment, np.bincount(data.labels, minlength=data.classes))  # as is what the data lack
    check_batch(experiment, data)
    pretrained = open_pretrained(experiment, data.shape)
    verification = open_verification(experiment, data.shape)
    with torch.device("meta"):  # only to look at, so nothing is made
        network = build_model(experiment, experiment.stages[-1], shape=data.shape, classes=data.classes, seed=0)
    refuse_narrow(network.backbone, experiment.schedule, device)
    facts = describe(experiment, data, validation, pretrained, verification.fingerprints())
    cache = None if stage_cache is None else StageCache(stage_cache, experiment, facts, device)
    on_first(lambda: claim(out, facts))
    finished = out / WEIGHTS_FILES["last"]
    if not agreed(finished.exists(), device=device)[0]:
        _Run(
            experiment,
            data,
            validation,
            pretrained,
            verification,
            out,
            device,
            reporter or Silent(),
            clock,
            stop,
            keep_last,
            readers,
            cache,
            learned=sum(weight.numel() for weight in network.parameters() if weight.requires_grad),
        ).train()
    return finished


@dataclass
class _Run:
    experiment: Experiment
    data: DataSet
    validation: DataSet | None
    pretrained: Pretrained | None
    verification: Verification
    out: Path
    device: torch.device
    reporter: Reporter
    clock: Callable[[], float]
    stop: Callable[[], bool]
    keep_last: int
    readers: int
    cache: StageCache | None
    learned: int

    def __post_init__(self) -> None:
        self.checkpoints = self.out / "checkpoints"
        self.metrics_path = self.out / "metrics.jsonl"
        self.writes = rank_and_ranks()[0] == 0
        self.number, self.saved_at, self.pause = 0, self.clock(), 0.0

    def train(self) -> None:
        on_first(lambda: self.checkpoints.mkdir(exist_ok=True))
        progress = load_progress(self.checkpoints) or Progress()
        self.number = progress.number
        self.best = BestWeights(self.checkpoints, progress.best, writes=self.writes)
        lines = self._metrics_up_to(progress.lines)
        on_first(lambda: self._tidy(lines))
        self.reporter.run_begins(self._about())
        for index in range(progress.stage, len(self.experiment.stages)):
            if progress.model is None and self._taken(index, lines):
                progress = Progress(index + 1, lines=len(lines), best=self.best.known)
                self._save(progress)
                continue
            on_first(lambda index=index, resumed=progress.model is not None: self._note_key(index, resumed))
            stage_run, before = self._prepare(index, progress), len(lines) - progress.epochs
            self._train_stage(stage_run, lines)
            weights = whole_state(stage_run.model)
            on_first(lambda run=stage_run, weights=weights: self._save_stage(run, weights))
            progress = Progress(index + 1, lines=len(lines), best=self.best.known)
            self._save(progress)
            finished = FinishedStage(weights, tuple(lines[before:]))
            on_first(lambda index=index, finished=finished: self._put(index, finished))
        on_first(self._finish)

    def _taken(self, index: int, lines: list[str]) -> bool:
        """Put the stage at that place into the run as the cache has it; false where it is to be trained."""
        cache, stage = self.cache, self.experiment.stages[index]
        if cache is None or stage is self.experiment.stages[-1]:
            return False
        found: list[FinishedStage] = []

        def take() -> None:
            try:
                taken = cache.take(index)
            except CheckpointError as error:
                cache.path(index).unlink(missing_ok=True)
                self.reporter.remarks(f"{error}; removed, and stage {stage.name!r} is trained again")
                return
            if taken is not None:
                found.append(taken)
                facts = {"stage": stage.name, "epochs": str(plan(self.experiment, stage, self.data).epochs)}
                save_weights(self._weights_path(stage), taken.weights, facts)
                with self.metrics_path.open("a", encoding="utf-8") as metrics:
                    metrics.writelines(f"{line}\n" for line in taken.lines)
                self._key_path(stage).write_text(cache.path(index).stem, encoding="utf-8")
                self.reporter.remarks(f"stage {stage.name}: taken as it was trained before, {cache.path(index)}")

        on_first(take)
        lines += found[0].lines if found else ()
        return agreed(bool(found), device=self.device)[0]

    def _note_key(self, index: int, resumed: bool) -> None:
        """Say under which key a stage is trained; one that goes on under another key, or under none, has none."""
        path = self._key_path(self.experiment.stages[index])
        key = None if self.cache is None else self.cache.path(index).stem
        if key is None or (resumed and not (path.exists() and path.read_text(encoding="utf-8") == key)):
            path.unlink(missing_ok=True)
        else:
            path.write_text(key, encoding="utf-8")

    def _put(self, index: int, stage: FinishedStage) -> None:
        """Put a stage into the cache, if it and those that it starts from were trained under the keys of now."""
        if self.cache is None:
            return
        for place in self.cache.chain(index):
            path = self._key_path(self.experiment.stages[place])
            if not (path.exists() and path.read_text(encoding="utf-8") == self.cache.path(place).stem):
                return
        self.cache.put(index, stage)

    def _train_stage(self, stage_run: StageRun, lines: list[str]) -> None:
        stage = stage_run.stage
        self.reporter.stage_begins(stage, stage_run.epochs, stage_run.done.epochs)
        self.saved_at = self.clock()
        for report in stage_run.train():
            if isinstance(report, StepReport):
                self.reporter.step_ends(stage, report)
                if report.step == report.steps:
                    continue  # the epoch is not over before its memory and its validation
            else:
                if self.verification.due(report.epoch, stage_run.epochs):
                    report = report._replace(verification=self.verification.measure(stage_run.model))
                lines.append(report.line(stage.name))
                if self.writes:
                    with self.metrics_path.open("a", encoding="utf-8") as metrics:
                        metrics.write(lines[-1] + "\n")
                self._consider(stage_run, report.epoch, report.validation)
                self.reporter.epoch_ends(stage, report)
            self._save_if_due(stage_run, len(lines))
        if not stage_run.epochs:  # its end is its only moment
            self._consider(stage_run, 0, stage_run.validate())

    def _save_if_due(self, stage_run: StageRun, lines: int) -> None:
        due, stop = agreed(self.clock() - self.saved_at >= self.pause, self.stop(), device=self.device)
        if not (due or stop):
            return
        done = stage_run.done
        weights, state = whole_state(stage_run.model), stage_run.state()
        best = self.best.known
        place = Progress(stage_run.index, done.epochs, done.steps, done.sums, lines, best, 0, weights, state)
        self._save(place)
        self.saved_at = self.clock()
        if stop:
            raise StoppedError(
                f"{self.out}: stopped in stage {stage_run.stage.name!r} after {done.epochs} epochs and {done.steps} "
                "steps, which are saved; the same command goes on"
            )

    def _consider(self, stage_run: StageRun, epoch: int, validation: ShotAccuracies | None) -> None:
        if validation is not None and stage_run.stage is self.experiment.stages[-1]:
            state = lambda: whole_state(stage_run.model)  # noqa: E731
            self.best.consider(epoch, validation.micro, state, self._facts(stage_run))

    def _save(self, progress: Progress) -> None:
        self.number += 1
        if self.writes:
            save_progress(self.checkpoints, progress._replace(number=self.number), self.keep_last)
            self.best.forget_others(best_epochs(self.checkpoints))

    def _tidy(self, lines: list[str]) -> None:
        """Drop the metrics and the best weights of work that was lost."""
        self.metrics_path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self.best.forget_others(best_epochs(self.checkpoints))

    def _save_stage(self, stage_run: StageRun, weights: dict[str, torch.Tensor]) -> None:
        save_weights(self._weights_path(stage_run.stage), weights, self._facts(stage_run))

    def _finish(self) -> None:
        last = self.experiment.stages[-1]
        self.best.hand_over(self.out / WEIGHTS_FILES["best"])
        weights = load_weights(self._weights_path(last))
        save_weights(self.out / WEIGHTS_FILES["last"], weights, {"stage": last.name})
        forget_progress(self.checkpoints)
        self.best.forget()

    def _prepare(self, index: int, progress: Progress) -> StageRun:
        stage = self.experiment.stages[index]
        model, new_weights = self._fresh(stage, index), []
        if stage.start_from is not None:
            source = next(s for s in self.experiment.stages if s.name == stage.start_from)
            previous = self._fresh(source, 0)
            path = self._weights_path(source)
            previous.load(load_weights(path), str(path))
            new_weights = model.take_over(previous)
        elif self.pretrained is not None:
            new_weights = self.pretrained.start(model)
        if progress.model is not None:
            model.load(progress.model, str(self.checkpoints))
        size = sum(weight.nbytes for weight in model.state_dict().values())
        check_room(self.out, size)
        self.pause = max(_SECONDS_BETWEEN_CHECKPOINTS, size / _BYTES_A_SECOND)
        if rank_and_ranks()[1] > 1 and stage.splits_by_class:
            model.head.split(self.data.classes)
        model = model.to(self.device)
        data, validation = self.data, self.validation
        stage_run = StageRun(
            self.experiment, index, model, new_weights, data, self.device, self.clock, validation, self.readers
        )
        if progress.state is not None:
            stage_run.go_on(Done(progress.epochs, progress.steps, dict(progress.sums)), progress.state)
        return stage_run

    def _about(self) -> RunFacts:
        """What is about to be trained, for the reporter."""
        experiment, data = self.experiment, self.data
        return RunFacts(
            method=experiment.method,
            dataset=experiment.dataset,
            images=len(data),
            classes=data.classes,
            parameters=self.learned,
            device=str(self.device),
            ranks=rank_and_ranks()[1],
            stages=tuple(plan(experiment, stage, data) for stage in experiment.stages),
        )

    def _fresh(self, stage: Stage, index: int) -> Model:
        seed = self.experiment.seed * 1000 + index
        return build_model(self.experiment, stage, shape=self.data.shape, classes=self.data.classes, seed=seed)

    def _weights_path(self, stage: Stage) -> Path:
        return self.checkpoints / f"{stage.name}.safetensors"

    def _key_path(self, stage: Stage) -> Path:
        return self.checkpoints / f"{stage.name}.key"

    def _facts(self, stage_run: StageRun) -> dict[str, str]:
        return {"stage": stage_run.stage.name, "epochs": str(stage_run.epochs)}

    def _metrics_up_to(self, count: int) -> list[str]:
        """The metric lines that the checkpoint knows of; later ones belong to work that was lost, and go."""
        lines = self.metrics_path.read_text(encoding="utf-8").splitlines() if self.metrics_path.exists() else []
        if len(lines) < count:
            raise CheckpointError(
                f"{self.metrics_path}: found {len(lines)} lines, expected at least {count}; it belongs to another run, "
                f"remove {self.out} and train again"
            )
        return lines[:count]
