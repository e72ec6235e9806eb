"""A store of dictionaries, written from the words of ``protocols.Store`` alone: slow, in memory, easy to believe."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.records import (
    AuditEntry,
    Block,
    Calibration,
    Cohort,
    Delta,
    Enrolment,
    Finding,
    Fusion,
    GalleryFacts,
    GalleryState,
    NewTemplate,
    Outcome,
    PersonRecord,
    PersonSummary,
    Receipt,
    RecordedEmbedder,
    TemplateRecord,
)

NOW = "2026-01-02T03:04:05+00:00"


class ReferenceStore:
    galleries: ClassVar[dict[Path, "ReferenceStore"]] = {}

    def __init__(self, path: Path, embedder: RecordedEmbedder) -> None:
        self._path = path
        self._facts = GalleryFacts(embedder, Fusion.MAX, NOW, f"serial of {path}", False)
        self._people: dict[int, dict[str, Any]] = {}
        self._templates: dict[int, tuple[int, NewTemplate]] = {}
        self._owners = [dict[int, int]()]  # who had which template, at each count of changes
        self._last_identity = self._last_template = 0
        self._calibrations: list[Calibration] = []
        self._cohort: Cohort | None = None
        self._audit: list[AuditEntry] = []
        self._backups: list[tuple[str, set[int]]] = []
        self.note("create", {})
        self.galleries[path] = self

    @property
    def path(self) -> Path:
        return self._path

    def close(self) -> None:
        pass

    def facts(self) -> GalleryFacts:
        return self._facts

    def state(self) -> GalleryState:
        return GalleryState(len(self._owners) - 1, len(self._people), len(self._templates))

    def people(self) -> list[PersonSummary]:
        return [self._summary(number) for number in sorted(self._people)]

    def person(self, name: str) -> PersonRecord | None:
        number = self._number(name)
        if number is None:
            return None
        own = [(t, new) for t, (who, new) in sorted(self._templates.items()) if who == number]
        records = [TemplateRecord(t, n.photo_sha256, n.photo_path, n.quality, n.details, NOW, n.vector) for t, n in own]
        return PersonRecord(self._summary(number), tuple(records))

    def names(self, identities: Sequence[int]) -> dict[int, str]:
        return {i: self._people[i]["name"] for i in identities if i in self._people}

    def owner(self, photo_sha256: str) -> str | None:
        for who, new in self._templates.values():
            if new.photo_sha256 == photo_sha256:
                return self._people[who]["name"]
        return None

    def enrol(
        self,
        name: str,
        templates: Sequence[NewTemplate],
        *,
        consent: str | None = None,
        expires: str | None = None,
        replace: bool = False,
    ) -> list[Enrolment]:
        if expires is not None:
            expires = self._date(expires)
        for new in templates:
            fits = np.shape(new.vector) == (self._facts.embedder.dimensions,) and np.isfinite(new.vector).all()
            if not fits or len(new.photo_sha256) != 64 or not 0 < new.quality <= 1:
                raise GalleryError("a template that cannot be")
        outcomes = []
        changed = False
        for new in templates:
            owner = self.owner(new.photo_sha256)
            if owner is not None:
                outcomes.append(Enrolment(Outcome.ALREADY if owner == name else Outcome.OTHER, owner))
                continue
            if self._number(name) is None:
                self._last_identity += 1
                self._people[self._last_identity] = {"name": name, "consent": None, "expires": None}
            number = self._number(name)
            assert number is not None
            self._last_template += 1
            self._templates[self._last_template] = (number, new)
            outcomes.append(Enrolment(Outcome.ENROLLED, name))
            changed = True
        number = self._number(name)
        if number is not None:
            if consent is not None:
                self._people[number]["consent"] = consent
            if expires is not None:
                self._people[number]["expires"] = expires
            wanted = {new.photo_sha256 for new in templates}
            for template, (who, new) in list(self._templates.items()):
                if replace and who == number and new.photo_sha256 not in wanted:
                    del self._templates[template]
                    changed = True
        if changed:
            self._change()
            self.note("enrol", {})
        return outcomes

    def erase(self, names: Sequence[str], *, prove: bool = True) -> Receipt:
        before = self.state()
        numbers = {self._known(name) for name in names}
        gone = [t for t, (who, _) in self._templates.items() if who in numbers]
        for template in gone:
            del self._templates[template]
        for number in numbers:
            del self._people[number]
        if numbers:
            self._change()
        audit = self.note("erase", {"identities": len(numbers), "templates": len(gone)}).chained
        backups = tuple(place for place, held in self._backups if held & {*gone})
        return Receipt(NOW, len(numbers), len(gone), before, self.state(), {"rows": 0}, backups, audit)

    def expired(self, today: str) -> list[str]:
        day = self._date(today)
        return [p.name for p in self.people() if p.expires is not None and p.expires <= day]

    def rename(self, old: str, new: str) -> None:
        number = self._known(old)
        if self._number(new) is not None or not new:
            raise GalleryError("taken")
        self._people[number]["name"] = new
        self._change()
        self.note("rename", {})

    def merge(self, source: str, into: str) -> int:
        one, other = self._known(source), self._known(into)
        if one == other:
            raise GalleryError("itself")
        own = [t for t, (who, _) in self._templates.items() if who == one]
        for template in own:
            self._templates[template] = (other, self._templates[template][1])
        del self._people[one]
        self._change()
        self.note("merge", {})
        return len(own)

    def follow(self, changes: int, last_template: int) -> Delta | None:
        if not (0 <= changes < len(self._owners) and 0 <= last_template <= self._last_template):
            return None
        then, now = self._owners[changes], self._owners[-1]
        removed = [t for t in sorted(then) if t not in now]
        moved = [t for t in sorted(then) if t in now and now[t] != then[t]]
        return Delta(
            self.state(),
            self._last_template,
            np.array(removed, np.int64),
            np.array([then[t] for t in removed], np.int64),
            np.array(moved, np.int64),
            np.array([then[t] for t in moved], np.int64),
            np.array([now[t] for t in moved], np.int64),
        )

    def blocks(self, after: int, up_to: int, *, rows: int = 65_536) -> Iterator[Block]:
        numbers = sorted(t for t in self._templates if after < t <= up_to)
        for start in range(0, len(numbers), rows):
            yield self._block(numbers[start : start + rows])

    def templates_of(self, identities: Sequence[int]) -> Block:
        return self._block(sorted(t for t, (who, _) in self._templates.items() if who in set(identities)))

    def save_calibration(self, calibration: Calibration) -> None:
        self._calibrations.append(calibration)
        self.note("calibrate", {})

    def calibrations(self) -> list[Calibration]:
        return list(self._calibrations)

    def save_cohort(self, cohort: Cohort) -> None:
        if np.shape(cohort.vectors) != (len(cohort.hashes), self._facts.embedder.dimensions):
            raise GalleryError("shapes")
        self._cohort = cohort if len(cohort.hashes) else None
        self.note("calibrate", {})

    def cohort(self) -> Cohort | None:
        return self._cohort

    def audit(self) -> list[AuditEntry]:
        return list(self._audit)

    def note(self, action: str, facts: Mapping[str, Any]) -> AuditEntry:
        before = self._audit[-1].chained if self._audit else "0" * 64
        number = len(self._audit) + 1
        entry = {"number": number, "when": NOW, "action": action, "facts": dict(facts)}
        try:
            text = json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise GalleryError("not JSON") from error
        self._audit.append(AuditEntry(number, NOW, action, dict(facts), sha256((before + text).encode()).hexdigest()))
        return self._audit[-1]

    def check(self) -> list[Finding]:
        return []

    def backup(self, to: Path) -> None:
        if to.exists():
            raise GalleryError("there")
        to.touch()
        self.galleries[to] = copy.deepcopy(self)
        self._backups.append((str(to.resolve()), set(self._templates)))
        self.note("backup", {})

    def _number(self, name: str) -> int | None:
        return next((number for number, person in self._people.items() if person["name"] == name), None)

    def _known(self, name: str) -> int:
        number = self._number(name)
        if number is None:
            raise GalleryError("nobody")
        return number

    def _summary(self, number: int) -> PersonSummary:
        person = self._people[number]
        count = sum(who == number for who, _ in self._templates.values())
        return PersonSummary(number, person["name"], count, NOW, person["expires"], person["consent"])

    def _block(self, numbers: list[int]) -> Block:
        vectors = [np.asarray(self._templates[t][1].vector, np.float32) for t in numbers]
        return Block(
            np.array(numbers, np.int64),
            np.array([self._templates[t][0] for t in numbers], np.int64),
            np.array(vectors, np.float32).reshape(-1, self._facts.embedder.dimensions),
            np.array([self._templates[t][1].quality for t in numbers], np.float64),
        )

    def _change(self) -> None:
        self._owners.append({template: who for template, (who, _) in self._templates.items()})

    @staticmethod
    def _date(text: str) -> str:
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError as error:
            raise GalleryError("no date") from error
