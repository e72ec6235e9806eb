"""The index that follows a store: a folder of files beside it, read as memory and changed in place, or memory alone.

Nothing in it is not in the store too, so it may be deleted at any time. It is made anew where it is of another gallery
or format, damaged, or further behind than the store remembers. A row that is erased is zeros in every file at once.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.index._check import findings
from facerec_oltr.gallery.index._following import all_rows, apply
from facerec_oltr.gallery.index._head import Head
from facerec_oltr.gallery.index._identities import best_identities
from facerec_oltr.gallery.index._places import Folder, FolderGoneError, InMemory, Place, boot
from facerec_oltr.gallery.index._rows import Rows
from facerec_oltr.gallery.index._traces import count_traces
from facerec_oltr.gallery.index.kinds import KINDS, Kind, choose_kind, still_fits
from facerec_oltr.gallery.protocols import Store
from facerec_oltr.gallery.records import Delta, Finding, Fusion, Ids, Vectors

_ATTEMPTS = 5


class Derived:
    """A gallery's search index. Each process and each thread opens its own; not to be carried across ``fork``.

    Args:
        store_serial: of the gallery; files of another one are not taken for its.
        dimensions: D.
        fusion: of an identity's templates.
        folder: where to keep it, made if it is missing; None for memory alone, as for an encrypted gallery.
        kind: one of ``KINDS``; None chooses by size.

    Attributes:
        notes: why it is not where it should be, a line each; empty where all is well.
    """

    def __init__(
        self, store_serial: str, dimensions: int, fusion: Fusion, folder: Path | None, kind: str | None = None
    ) -> None:
        if kind is not None and kind not in KINDS:
            raise GalleryError(f"no kind of index is called {kind!r}; choose from {', '.join(KINDS)}")
        self.dimensions, self.fusion, self.folder = dimensions, Fusion(fusion), folder
        self.notes: list[str] = []
        self._serial, self._wanted = store_serial, kind
        self._store: Store | None = None
        self._place: Place
        self._open()

    @property
    def kind(self) -> str:
        """The kind of index in use."""
        return self._head.kind

    @property
    def index(self) -> Kind:
        """The index under it, by template number for max fusion, else by identity; to look at, not to change."""
        return self._index

    def refresh(self, store: Store) -> None:
        """Bring it up to what the store holds now.

        Where the folder cannot be used, the index goes on in memory and ``notes`` says why.
        """
        self._made(store, self._refresh)

    def search(self, vectors: npt.ArrayLike, k: int) -> tuple[Vectors, Ids]:
        """The k identities most like each probe, as of the latest refresh or later.

        Args:
            vectors: (B, D).
            k: how many, at least 1.

        Returns:
            Scores (B, k') float32, falling, and identities (B, k'), k' = min(k, how many are enrolled); equal scores by
            lowest template for max fusion, else by lowest identity.
        """
        with self._reading():
            return best_identities(self._index, np.asarray(vectors, np.float32), k, self._head.identities, self.fusion)

    def vectors_of(self, identities: Sequence[int] | Ids) -> tuple[Vectors, Ids]:
        """The rows of some identities, (n, D), and whose each one is."""
        with self._reading():
            where = self._rows.positions_of_owners(np.asarray(identities, np.int64).reshape(-1))
            return self._rows.vectors[where].copy(), self._rows.owners[where].copy()

    def traces(self, vectors: npt.ArrayLike) -> int:
        """How often the bytes of vectors (n, D), in single or half precision, stand in the files of the folder."""
        if self.folder is None or not self.folder.is_dir():
            return 0
        return count_traces(self.folder, np.asarray(vectors, np.float32).reshape(-1, self.dimensions))

    def check(self, store: Store) -> list[Finding]:
        """Compare all of it with the store, byte for byte; empty where all is well."""
        place = "memory" if self.folder is None else str(self.folder)
        damage = self._damage()
        if damage:
            return [Finding(place, damage, "nothing is to be done: it is made anew at the next search")]
        found: list[Finding] = []
        for _ in range(_ATTEMPTS):
            self.refresh(store)
            with self._reading():
                found = findings(place, self._rows, store, self.fusion, self._head)
                if not found or store.state().changes == self._head.changes:
                    break
        return [*(Finding(place, note, "mend the folder, or go on without it") for note in self.notes), *found]

    def rebuild(self, store: Store) -> None:
        """Make all of it anew."""

        def work(store: Store) -> None:
            with self._place.exclusive():
                self._rebuild(store)

        self._made(store, work)

    def close(self) -> None:
        """See that all of it is on the disk, so that it need not be made anew after a power cut."""
        with contextlib.suppress(FolderGoneError):
            if not self._place.writable:
                return
            with self._place.exclusive():
                if self._adopt() and self._head.unsynced:
                    self._place.sync(self._rows)
                    self._head = replace(self._head, unsynced="")
                    self._place.write(self._head)

    def _open(self) -> None:
        self._place = InMemory() if self.folder is None else self._folder(self.folder)
        self._start()

    def _folder(self, folder: Path) -> Place:
        try:
            return Folder(folder)
        except OSError as error:
            self._note(error)
            return InMemory()

    def _start(self) -> None:
        """Begin with no rows."""
        self._head = Head(self._serial, self.dimensions, self.fusion.value, self._wanted or choose_kind(0)[0])
        try:
            self._rows = Rows(self.dimensions, self._place.column)
        except OSError as error:
            self._note(error)
            self._place = InMemory()
            self._rows = Rows(self.dimensions)
        self._index = KINDS[self._head.kind](self.dimensions, self._rows)

    def _note(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        self.notes = [f"{self.folder}: the search index is kept in memory and made anew at each start ({reason})"]

    def _go_on_in_memory(self, error: OSError) -> None:
        self._note(error)
        self._place = InMemory()
        self._start()

    def _made(self, store: Store, work: Callable[[Store], None]) -> None:
        """Do what changes rows; where the folder cannot be used, do it in memory."""
        self._store = store
        for attempt in range(_ATTEMPTS):
            try:
                work(store)
                return
            except FolderGoneError:
                self._open()
            except OSError as error:
                if attempt == _ATTEMPTS - 1 or isinstance(self._place, InMemory):
                    raise GalleryError(f"{self.folder}: the search index cannot be made ({error})") from error
                self._go_on_in_memory(error)
        raise GalleryError(f"{self.folder}: the search index is removed again and again; what else uses the folder?")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Rows stay as they are; somebody else's changes since are taken up first."""
        assert self._store is not None, "refresh comes before everything else"
        for _ in range(_ATTEMPTS):
            try:
                with self._place.shared():
                    if self._adopt():
                        yield
                        return
            except FolderGoneError:
                pass
            self.refresh(self._store)  # a writer was killed, or the folder is gone
        raise GalleryError(f"{self.folder}: the search index is damaged again and again; what else uses the folder?")

    def _adopt(self, *, broken_off: bool = False) -> bool:
        """Take up what the place holds; False where it cannot be used as it is."""
        head = self._place.head()
        if head is None or (head.changing and (head.rebuilding or not broken_off)):
            return False
        if (head.serial, head.dimensions, head.fusion) != (self._serial, self.dimensions, self.fusion.value):
            return False
        if head.kind not in KINDS or self._wanted not in (None, head.kind):
            return False
        if not self._place.take_up(self._rows, head):
            return False
        if self._index.kind != head.kind:
            self._index = KINDS[head.kind](self.dimensions, self._rows)
        self._head = head
        return True

    def _refresh(self, store: Store) -> None:
        now = store.state()
        with self._place.shared():
            if self._adopt() and self._head.changes == now.changes and self._fits():
                return
        if not self._place.writable:
            raise PermissionError(0, "it is out of date and cannot be written to")
        with self._place.exclusive():
            delta = None
            if self._adopt(broken_off=True):
                delta = store.follow(self._head.changes, self._head.last_template)
            if delta is None:
                self._rebuild(store)
            else:
                self._follow(store, delta)

    def _fits(self) -> bool:
        return self._wanted is not None or still_fits(self.kind, self._rows.live)

    def _follow(self, store: Store, delta: Delta) -> None:
        if self._head.changing:  # a process was killed at work: what it left behind the rows goes
            self._rows.mend()
        self._mark()
        erased = apply(self._rows, delta, self._head.last_template, store, self.fusion)
        self._finish(delta, must_sync=erased)
        if self._miscounts(delta) and store.state() == delta.state:
            self._rebuild(store)  # the store is another one than it was, as from a backup

    def _rebuild(self, store: Store) -> None:
        delta = store.follow(0, 0)
        if delta is None:
            raise GalleryError(f"{store.path}: the store does not tell its templates from the beginning on")
        self._head = Head(self._serial, self.dimensions, self.fusion.value, self._head.kind)
        self._mark(rebuilding=True)
        self._place.clear()
        self._rows.detach("codes")
        self._rows.detach("halves")
        self._rows.clear()
        rows = delta.state.templates if self.fusion is Fusion.MAX else delta.state.identities
        self._use(self._wanted or choose_kind(rows)[0])
        self._index.prepare()
        for keys, owners, vectors in all_rows(store, self.fusion, delta.last_template):
            self._rows.append(keys, owners, vectors)
        self._finish(delta, must_sync=True)

    def _mark(self, *, rebuilding: bool = False) -> None:
        """Tell others, should this process be killed, that it was at work."""
        self._head = replace(self._head, changing=True, rebuilding=rebuilding or self._head.rebuilding)
        self._place.write(self._head)

    def _finish(self, delta: Delta, *, must_sync: bool) -> None:
        rows = self._rows
        if 4 * rows.dead > rows.count:
            self._mark(rebuilding=True)
            rows.pack()
        if not self._fits():
            self._mark(rebuilding=True)
            self._use(choose_kind(rows.live)[0])
        coder, layout = rows.coder, rows.layout
        self._prepare()
        sums = self._head.centroids_sum if rows.coder is coder else self._place.keep_centroids(rows.coder)
        head = replace(
            self._head, kind=self._index.kind, layout=rows.layout, count=rows.count, dead=rows.dead,
            longest=rows.longest, changes=delta.state.changes, last_template=delta.last_template,
            identities=delta.state.identities, centroids_sum=sums, trained_on=rows.trained_on,
            changing=False, rebuilding=False, unsynced="" if must_sync else boot(),
        )  # fmt: skip
        if must_sync or layout != rows.layout:
            self._place.sync(rows)
        self._head = head
        self._place.write(head)

    def _prepare(self) -> None:
        """New centroids, or another kind's columns: a process killed at that leaves nothing to go on from."""
        if not self._index.prepared():
            self._mark(rebuilding=True)
        self._index.prepare()

    def _use(self, kind: str) -> None:
        if self._index.kind != kind:
            self._index = KINDS[kind](self.dimensions, self._rows)

    def _miscounts(self, delta: Delta) -> bool:
        expected = delta.state.templates if self.fusion is Fusion.MAX else delta.state.identities
        return self._rows.live != expected

    def _damage(self) -> str | None:
        """What makes the files unfit to be used, if anything does."""
        if self.folder is None or isinstance(self._place, InMemory):
            return None
        with self._place.shared():
            head = self._place.head()
            if head is None:
                return "its head is damaged" if (self.folder / "head").stat().st_size else None
            ours = head.serial == self._serial and not head.changing
            return "a file is too short, or its centroids are damaged" if ours and not self._adopt() else None
