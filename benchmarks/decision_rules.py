"""Which score rule rejects strangers best on LFW: each beside the cosine, with paired intervals.

python benchmarks/decision_rules.py OUT.json [--draws 10] [--embedding emb_foamliu] [--centroids]

The people are divided as by Günther et al. (CVPRW 2017): 610 with four photos or more are enrolled, three photos each,
and come again with the others; 1,070 with two or three, the known unknowns, are the cohort and choose the threshold;
4,069 with one are strangers. Which three are enrolled is drawn anew for every draw. A person's photos are one cluster;
intervals draw people. With --centroids the gallery
holds the mean of a person's three templates instead: reachability compares with such means, the other rules with the
nearest of three templates, and what is owed to the mean is not owed to the rule.

Vectors are those stored in lfw/lfw_landmarks_embeddings.npz below the folder that FACEREC_DATA
names (default ../shared/data).
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from facerec_oltr.evaluate.rules import RuleCounts
from facerec_oltr.protocols.draw import Dealt
from facerec_oltr.report.rules import compare_rules
from facerec_oltr.report.tables import markdown_table, rule_cells
from facerec_oltr.scoring.named import read_rules
from recordio_tools.whole import write_whole

TEMPLATES = 3
TARGETS = (0.01, 0.1)
RULES = (
    "cosine,centroid,negative_cohort,negative_cohort:weight=0.3,adaptive_snorm:least_people=900,"
    "extreme_value:tail=50,nac,nac:k=50:scale=10,reachability,reachability:selector=0"
)


def dealt_by_photos(person: np.ndarray, draw: int) -> Dealt:
    """Who plays which part: by the number of photos, and the templates by the draw."""
    counts, rng = np.bincount(person), np.random.default_rng(draw)
    templates, mated = [], []
    for one in np.flatnonzero(counts >= TEMPLATES + 1):
        photos = rng.permutation(np.flatnonzero(person == one))
        templates.append(photos[:TEMPLATES])
        mated.append(photos[TEMPLATES:])
    few = np.flatnonzero((counts[person] > 1) & (counts[person] <= TEMPLATES))
    strangers, nobody = np.flatnonzero(counts[person] == 1), np.empty(0, np.int64)
    return Dealt(np.concatenate(templates), np.concatenate(mated), strangers, few, nobody)


def with_centroids(
    vectors: np.ndarray, person: np.ndarray, draws: list[Dealt]
) -> tuple[np.ndarray, np.ndarray, list[Dealt]]:
    """The photos, and for every draw a row for the mean of each person's templates, which takes their place."""
    rows, owners, changed, total = [vectors], [person], [], len(vectors)
    for dealt in draws:
        means = vectors[dealt.gallery].reshape(-1, TEMPLATES, vectors.shape[1]).mean(axis=1)
        rows.append(means / np.linalg.norm(means, axis=1, keepdims=True))
        owners.append(person[dealt.gallery[::TEMPLATES]])
        changed.append(dealt._replace(gallery=np.arange(total, total + len(means))))
        total += len(means)
    return np.concatenate(rows), np.concatenate(owners), changed


def main() -> None:
    """Search, count, print the table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--embedding", default="emb_foamliu")
    parser.add_argument("--rules", default=RULES)
    parser.add_argument("--centroids", action="store_true", help="one mean template a person")
    arguments = parser.parse_args()
    source = Path(os.environ.get("FACEREC_DATA", "../shared/data")) / "lfw/lfw_landmarks_embeddings.npz"
    if not source.exists():
        sys.exit(f"{source}: not there; set FACEREC_DATA to the folder that holds lfw/")
    with np.load(source) as table:
        vectors, paths = table[arguments.embedding].astype(np.float32), table["path"]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    _, person = np.unique([path.split("/")[0] for path in paths], return_inverse=True)
    draws = [dealt_by_photos(person, draw) for draw in range(arguments.draws)]
    if arguments.centroids:
        vectors, person, draws = with_centroids(vectors, person, draws)
    counts = RuleCounts(read_rules(arguments.rules), TARGETS, person)
    counts.add(arguments.embedding, vectors, draws)
    figures = compare_rules([{"rules": counts.as_json(), "targets": list(TARGETS)}])
    print(markdown_table(rule_cells(figures)))
    parts = {part: [len(positions), len(np.unique(person[positions]))] for part, positions in vars(draws[0]).items()}
    result = {"photos_and_people": parts, "draws": arguments.draws, "per_cent": [row(one) for one in figures]}
    lines = json.dumps(result, indent=1).replace("\n   ", " ").replace("\n  }", " }")
    write_whole(arguments.out, (lines + "\n").encode())


def row(one: Any) -> dict[str, Any]:
    """A rule's figures in per cent, [value, low, high]."""
    named = {"fpir": one.fpir, "tpir": one.tpir, "difference": one.difference, "at_equal_fpir": one.equal_fpir}
    rates = {
        name: None if value is None else [round(100 * x, 2) for x in (value.estimate, value.low, value.high)]
        for name, value in named.items()
    }
    return {"target": one.target, "rule": one.rule, **rates, "recommended": one.recommended}


if __name__ == "__main__":
    main()
