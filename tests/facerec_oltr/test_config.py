"""Two files become one checked experiment, and every mistake is one clear line."""

from pathlib import Path

import pytest

from facerec_oltr.backbones import IResNetConfig
from facerec_oltr.config import available, check_experiment, load_experiment
from facerec_oltr.errors import ConfigError

METHOD = """
[[stages]]
name = "plain"
head = { kind = "dot_product" }
losses = [{ loss = { kind = "cross_entropy" } }]
sampler = { kind = "uniform" }
"""
DATASET = """
[data]
kind = "recordio_faces"
path = "faces"
[backbone]
kind = "iresnet"
width = 8
[schedule]
epochs = 10
batch_size = 4
"""


def write(folder: Path, method: str = METHOD, dataset: str = DATASET) -> tuple[str, str]:
    (folder / "m.toml").write_text(method)
    (folder / "d.toml").write_text(dataset)
    return str(folder / "m.toml"), str(folder / "d.toml")


def test_two_files_become_one_experiment_with_defaults_from_the_code(tmp_path: Path) -> None:
    experiment = load_experiment(*write(tmp_path), seed=3)
    assert (experiment.method, experiment.dataset, experiment.seed) == ("m", "d", 3)
    assert isinstance(experiment.backbone, IResNetConfig)
    assert experiment.backbone.width == 8
    assert experiment.backbone.layers == (2, 2, 2, 2)  # iResNet-18, from the component
    assert experiment.schedule.momentum == 0.9


def test_what_a_run_folder_keeps_reads_back_as_the_same_experiment() -> None:
    for method in available("methods"):
        experiment = load_experiment(method, "att_lt", seed=1)
        assert check_experiment(experiment.model_dump(mode="json"), "again") == experiment


def test_set_reaches_into_tables_and_lists(tmp_path: Path) -> None:
    overrides = ["schedule.epochs=3", "stages.0.share=0.5", "data.path=some where", "augment.flip=0.25"]
    experiment = load_experiment(*write(tmp_path), overrides=overrides)
    assert experiment.schedule.epochs == 3
    assert experiment.stages[0].share == 0.5
    assert experiment.data.model_dump()["path"] == Path("some where")
    assert experiment.augment.flip == 0.25


def test_a_key_set_by_both_files_is_refused_and_the_exception_stands_where_it_is_seen(tmp_path: Path) -> None:
    names = write(tmp_path, METHOD + "\n[schedule]\nepochs = 20\n")
    with pytest.raises(ConfigError, match=r"schedule\.epochs is set by both .*m\.toml and .*d\.toml.*\[on\.d\]"):
        load_experiment(*names)
    names = write(tmp_path, METHOD + "\n[on.d.schedule]\nepochs = 20\n[on.other.schedule]\nepochs = 30\n")
    assert load_experiment(*names).schedule.epochs == 20


@pytest.mark.parametrize(
    ("method", "dataset", "override", "message"),
    [
        ("olrt", "att_lt", "seed=0", r"unknown method 'olrt'; did you mean 'oltr'\? known: .*plain"),
        ("oltr", "att", "seed=0", r"unknown dataset 'att'; did you mean 'att_lt'\?"),
        ("oltr", "zzz", "seed=0", r"unknown dataset 'zzz'; known: "),
        ("no/such.toml", "att_lt", "seed=0", "no/such.toml: there is no such file"),
        ("oltr", "att_lt", "schedule.epoch=3", r"schedule\.epoch: unknown key"),
        ("oltr", "att_lt", "schedule.epochs=0", r"schedule\.epochs: found 0: .*greater than or equal to 1"),
        ("oltr", "att_lt", "schedule.epochs=2.5", r"schedule\.epochs: found 2\.5"),
        ("oltr", "att_lt", "data.size=big", r"data\.size: found 'big'"),
        (
            "oltr",
            "att_lt",
            "stages.1.head.kind=metta",
            r"stages\.1\.head\.kind: found 'metta', expected one of .*'meta_embedding'",
        ),
        ("oltr", "att_lt", "stages.0.sampler={}", r"stages\.0\.sampler\.kind: is missing"),
        ("oltr", "att_lt", "stages.1.head.depth=3", r": stages\.1\.head\.depth: unknown key"),
        ("oltr", "att_lt", "stages.9.share=1", "no place called stages.9.share"),
        ("oltr", "att_lt", "stages.0.share.deep=1", "no place called stages.0.share.deep"),
        ("oltr", "att_lt", "epochs", "expected key=value"),
        ("oltr", "att_lt", "stages.0.share=0.9", "shares add up to 1.3, expected at most 1"),
        ("oltr", "att_lt", "stages.1.start_from=first", "starts from 'first', expected an earlier stage: plain"),
        ("oltr", "att_lt", "stages.1.name=plain", "two stages are named 'plain'"),
        ("oltr", "att_lt", "stages.1.head={kind='cosine'}", "'disc_centroids' needs a memory, but the head 'cosine'"),
        ("lws", "att_lt", "stages.0.head={kind='cosine'}", "'lws' takes over a trained classifier, but 'plain' has"),
        (
            "ldam_drw",
            "att_lt",
            "stages.0.head.scale=16.0",
            "'ldam' with scale 30 needs the head 'cosine' with the same",
        ),
        ("ldam_drw", "att_lt", "stages.0.head.learned_scale=true", "the same scale, not squashed and not learned"),
        ("fslwf", "att_lt", "stages.0.head={kind='dot_product'}", "expected 'cosine' or 'weight_generator'"),
        ("plain", "att_lt", "stages.0.head={kind='weight_generator'}", 'learns from the others; set classes = "base"'),
        ("fslwf", "att_lt", "stages.1.classes=all", 'learns from the others; set classes = "base"'),
        ("fslwf", "att_lt", "stages.1.head={kind='cosine'}", "'generator', trains base classes alone.*untrained; take"),
        ("fslwf", "att_lt", "stages.1.head.novel_share=0", r"stages\.1\.head\.novel_share: found 0"),
        ("tau_norm", "att_lt", "stages.1.share=0.5", "learns nothing, the backbone is frozen; set share = 0"),
        ("crt", "att_lt", "stages.0.freeze_backbone=true", "nothing would ever be trained; set start_from"),
        ("oltr", "att_lt", "stages.0.fc_add=8", "drops or changes the fc_add of 'plain'"),
        ("oltr", "att_lt", "stages.1.head.memory=parameter", "'disc_centroids_authors' moves a memory of the kind"),
        ("oltr", "att_lt", "stages.0.attention={}", "^$"),
    ],
)
def test_each_mistake_is_one_clear_line(method: str, dataset: str, override: str, message: str) -> None:
    if message == "^$":  # attention in both stages fits together: no error
        load_experiment(method, dataset, overrides=[override])
        return
    with pytest.raises(ConfigError, match=message) as caught:
        load_experiment(method, dataset, overrides=[override])
    assert "\n" not in str(caught.value)


def test_a_stage_cannot_drop_the_attention_whose_weights_it_takes_over() -> None:
    with pytest.raises(ConfigError, match="drops or changes the attention of 'plain'"):
        load_experiment(
            "oltr", "att_lt", overrides=["stages.0.attention={reduction=4}", "stages.1.attention={reduction=2}"]
        )


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"m\.toml: is not valid TOML"):
        load_experiment(*write(tmp_path, method="[[stages"))


def test_a_missing_key_says_where_it_may_be_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.path: is missing; set it in one of the two files or with --set"):
        load_experiment(*write(tmp_path, dataset=DATASET.replace('path = "faces"', "")))
