"""Search along a graph of near vectors (HNSW; Malkov and Yashunin, TPAMI 2020). It loses mates: only when asked for.

How many it loses depends on the vectors and cannot be bounded; ``lost_mates`` measures it. The graph is in memory, and
made anew when an index is opened.
"""

import faiss
import numpy as np

from facerec_oltr.gallery.index._kind import Kind
from facerec_oltr.gallery.index._rows import GONE, Rows
from facerec_oltr.gallery.index._scores import best_of, lengths, single_slack
from facerec_oltr.gallery.index._threads import side_by_side, threads
from facerec_oltr.gallery.index.exact import found_by_product
from facerec_oltr.gallery.records import Ids, Vectors

GRAPH_FROM = 4096  # rows; below, all of them are compared
NEIGHBOURS = 32
_BUILDING, _SEARCHING = 100, 256  # how many candidates are kept while a graph is built, and searched


class GraphIndex(Kind):
    """Scores are exact; which rows are scored is decided by walking a graph. From ``GRAPH_FROM`` rows on."""

    kind = "graph"

    def __init__(self, dimensions: int, rows: Rows | None = None) -> None:
        super().__init__(dimensions, rows)
        self._layout = -1  # of the rows that are nodes
        self._graph: faiss.IndexHNSWFlat | None = None
        self._nodes = np.empty(0, np.int64)  # the row of each node

    def prepared(self) -> bool:
        """See Kind."""
        return self.rows.halves is None and self.rows.codes is None

    def prepare(self) -> None:
        """Neither halves nor codes are needed."""
        self.rows.drop("halves")
        self.rows.drop("codes")

    def _found(self, probes: Vectors, k: int) -> list[tuple[Vectors, Ids]]:
        if self.rows.count < GRAPH_FROM or 4 * k > self.rows.count:
            return found_by_product(self, probes, k, single_slack(self.dimensions, self.rows.longest, lengths(probes)))
        self._follow()
        parts = np.array_split(np.arange(len(probes)), min(len(probes), threads()))

        def some(part: Ids) -> list[tuple[Vectors, Ids]]:
            return [self._best(probes[b], k) for b in part.tolist()]

        return [answer for answers in side_by_side(some, parts) for answer in answers]

    def _best(self, probe: Vectors, k: int) -> tuple[Vectors, Ids]:
        """Erased nodes still lead on, but are not given: the search goes deeper until k others are found."""
        graph, rows, deep = self._graph, self.rows, max(k, 16)
        assert graph is not None, "there is a graph from GRAPH_FROM rows on"
        while True:
            deep = min(deep, len(self._nodes))
            how = vars(faiss)["SearchParametersHNSW"](efSearch=max(_SEARCHING, deep))
            nodes = graph.search(probe[None], deep, params=how)[1][0]
            near = self._nodes[nodes[nodes >= 0]]
            near = near[rows.keys[near] != GONE]
            if len(near) >= k:
                return best_of(near, rows.keys, rows.vectors, probe, k)
            if deep == len(self._nodes):  # parts of the graph that no way leads to
                long = lengths(probe[None])
                return found_by_product(self, probe[None], k, single_slack(self.dimensions, rows.longest, long))[0]
            deep *= 4

    def _follow(self) -> None:
        """New rows become nodes; when rows have moved, or a quarter is erased, the graph is made anew."""
        rows = self.rows
        erased = np.count_nonzero(rows.keys[self._nodes] == GONE) if self._layout == rows.layout else 0
        if self._graph is None or self._layout != rows.layout or 4 * erased > len(self._nodes):
            self._graph = faiss.IndexHNSWFlat(self.dimensions, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
            self._graph.hnsw.efConstruction = _BUILDING
            self._layout, self._nodes = rows.layout, np.empty(0, np.int64)
        after = self._nodes[-1] + 1 if len(self._nodes) else 0
        new = after + np.flatnonzero(rows.keys[after:] != GONE)
        if len(new):
            self._graph.add(rows.vectors[new])
            self._nodes = np.concatenate([self._nodes, new])
