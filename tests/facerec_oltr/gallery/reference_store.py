"""A store of dictionaries, written from the words of ``protocols.Store`` alone: slow, in memory, easy to believe."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
    NegativeFaces,
    NegativeRecord,
    NewNegative,
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
        self._negatives: dict[int, tuple[int, NewNegative]] = {}
        self._last_identity = self._last_template = self._last_negative = self._negative_changes = 0
        self._calibrations: list[Calibration] = []
        self._cohort: Cohort | None = None
        self._audit: list[AuditEntry] = []
        self._backups: list[tuple[str, set[int], set[int]]] = []
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
        others = [(k, n) for k, (who, n) in sorted(self._negatives.items()) if who == number]
        kept = [NegativeRecord(k, n.photo_sha256, n.photo_path, n.face, NOW, n.vector) for k, n in others]
        return PersonRecord(self._summary(number), tuple(records), tuple(kept))

    def names(self, identities: Sequence[int]) -> dict[int, str]:
        return {i: self._people[i]["name"] for i in identities if i in self._people}

    def owner(self, photo_sha256: str) -> str | None:
        for who, new in self._templates.values():
            if new.photo_sha256 == photo_sha256:
                return self._people[who]["name"]
        return None

    def owners(self, photos: Sequence[str]) -> dict[str, str]:
        return {photo: owner for photo in photos if (owner := self.owner(photo)) is not None}

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
            if any(
                who == self._number(name) and n.photo_sha256 == new.photo_sha256 and n.face == 1
                for who, n in self._negatives.values()
            ):
                outcomes.append(Enrolment(Outcome.NOT_THEM, None))
                continue
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
        photos = {self._templates[t][1].photo_sha256 for t in gone}
        others = [k for k, (who, n) in self._negatives.items() if who in numbers or n.photo_sha256 in photos]
        for template in gone:
            del self._templates[template]
        for number in numbers:
            del self._people[number]
        if numbers:
            self._change()
        self._remove_negatives(others)
        return self._receipt("erase", before, len(numbers), gone, others)

    def reject(self, name: str, negatives: Sequence[NewNegative]) -> list[bool]:
        number = self._known(name)
        kept = dict(self._negatives)
        outcomes = []
        for new in negatives:
            fits = np.shape(new.vector) == (self._facts.embedder.dimensions,) and np.isfinite(new.vector).all()
            own = new.face == 1 and self.owner(new.photo_sha256) == name
            if not fits or own or len(new.photo_sha256) != 64 or new.face < 1:
                raise GalleryError("a negative that cannot be")
            is_new = (number, new.photo_sha256, new.face) not in self._places(kept)
            outcomes.append(is_new)
            if is_new:
                kept[self._last_negative + sum(outcomes)] = (number, new)
        self._negatives = kept
        self._last_negative += sum(outcomes)
        self._negative_changes += any(outcomes)
        if any(outcomes):
            self.note("reject", {})
        return outcomes

    def unreject(self, photos: Sequence[str], name: str | None = None, *, prove: bool = True) -> Receipt:
        whose = None if name is None else self._known(name)
        gone = [
            k for k, (who, n) in self._negatives.items() if n.photo_sha256 in photos and (whose is None or who == whose)
        ]
        if not gone:
            raise GalleryError("none")
        self._remove_negatives(gone)
        return self._receipt("unreject", self.state(), 0, [], gone)

    def negatives(self) -> NegativeFaces:
        kept = sorted((who, number, n) for number, (who, n) in self._negatives.items())
        vectors = np.array([n.vector for _, _, n in kept], np.float32)
        return NegativeFaces(
            vectors.reshape(len(kept), self._facts.embedder.dimensions), np.array([who for who, _, _ in kept], np.int64)
        )

    def negative_changes(self) -> int:
        return self._negative_changes

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
        both = {n.photo_sha256 for who, n in self._templates.values() if who in (one, other)}
        wrong = [
            k
            for k, (who, n) in self._negatives.items()
            if who in (one, other) and n.face == 1 and n.photo_sha256 in both
        ]
        before = dict(self._negatives)
        self._negatives = {k: v for k, v in self._negatives.items() if k not in wrong}
        for k, (who, n) in list(self._negatives.items()):
            if who == one:
                there = (other, n.photo_sha256, n.face) in self._places(self._negatives)
                del self._negatives[k]
                if not there:
                    self._negatives[k] = (other, n)
        self._negative_changes += before != self._negatives
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
        def replaced(old: Calibration) -> bool:
            return (old.source, old.rule, old.target_fpir) == (
                calibration.source,
                calibration.rule,
                calibration.target_fpir,
            )

        older = [replace(old, maxima=()) if replaced(old) else old for old in self._calibrations]
        self._calibrations = [*older, calibration]
        self.note("calibrate", {})

    def calibration(self, target_fpir: float | None = None, rule: str | None = None) -> Calibration | None:
        fitting = [c for c in self._calibrations if target_fpir in (None, c.target_fpir) and rule in (None, c.rule)]
        return fitting[-1] if fitting else None

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
        self._backups.append((str(to.resolve()), set(self._templates), set(self._negatives)))
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
        others = sum(who == number for who, _ in self._negatives.values())
        return PersonSummary(number, person["name"], count, NOW, person["expires"], person["consent"], others)

    @staticmethod
    def _places(kept: dict[int, tuple[int, NewNegative]]) -> set[tuple[int, str, int]]:
        return {(who, n.photo_sha256, n.face) for who, n in kept.values()}

    def _remove_negatives(self, numbers: list[int]) -> None:
        for number in numbers:
            del self._negatives[number]
        self._negative_changes += bool(numbers)

    def _receipt(
        self, action: str, before: GalleryState, people: int, templates: list[int], negatives: list[int]
    ) -> Receipt:
        counts = {"identities": people, "templates": len(templates), "negatives": len(negatives)}
        audit = self.note(action, counts).chained
        backups = tuple(place for place, t, n in self._backups if t & {*templates} or n & {*negatives})
        counted = (people, len(templates), before, self.state(), {"rows": 0}, backups, audit, len(negatives))
        return Receipt(NOW, *counted)

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
