"""The command: python -m benchmarks.evidence OUT frozen|ablation|omniglot|cifar|page [--seeds N] [--only NAME,…].

Runs what is missing in OUT, writes benchmarks/evidence_EXPERIMENT.json of all that is finished for every seed, and the
tables of docs/results.md and README.md with their pictures from committed files alone. ``page`` does only the last.
Needs the folder that FACEREC_DATA names (default ../shared/data). One thread computes: OMP_NUM_THREADS=1 gives the same
figures.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.evidence import experiments, page
from benchmarks.evidence.runs import measured_runs, training_counts
from benchmarks.evidence.summary import summarise, write_summary

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run an experiment and write what it came to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("experiment", choices=[*experiments.ALL, "page"])
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--only", help="names of configurations, with commas between")
    parser.add_argument("--summary", action="store_true", help="run nothing, sum up what is there")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.experiment != "page":
        experiment = experiments.ALL[arguments.experiment]
        seeds = range(arguments.seeds or experiment.seeds)
        out = arguments.out / arguments.experiment
        if not arguments.summary:
            measured_runs(out, experiment, seeds, arguments.only.split(",") if arguments.only else None)
        counts = training_counts(out, experiment)
        summary = summarise(
            out,
            experiment.configurations,
            seeds,
            counts,
            experiment.references,
            experiment.bins,
            experiment.chosen_by,
        )
        write_summary(ROOT / f"evidence_{arguments.experiment}.json", summary)
    page.write(ROOT, ROOT.parent)


if __name__ == "__main__":
    main()
