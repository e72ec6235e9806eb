"""Adding templates to a name, in a transaction that writes."""

from collections.abc import Sequence
from datetime import date

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.encryption import VectorForm
from facerec_oltr.gallery.records import Enrolment, NewTemplate, Outcome
from facerec_oltr.gallery.store.chain import canonical_json
from facerec_oltr.gallery.store.rejecting import contradicts
from facerec_oltr.gallery.store.rows import BY_PHOTO, IdentityRow, TemplateRow, replace
from facerec_oltr.gallery.store.writing import Writing


def iso_date(text: str) -> str:
    """An ISO 8601 date in its one form that sorts.

    Raises:
        GalleryError: it is none.
    """
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise GalleryError(f"{text!r} is no date; give one as 2030-12-31") from error


def enrol(
    writing: Writing,
    form: VectorForm,
    name: str,
    templates: Sequence[NewTemplate],
    *,
    consent: str | None,
    expires: str | None,
    replacing: bool,
) -> list[Enrolment]:
    """See ``protocols.Store.enrol``."""
    expires = None if expires is None else iso_date(expires)
    outcomes, new = _sorted_out(writing, name, templates)
    identity = writing.identity(name)
    if identity is None:
        if not new:
            return outcomes
        identity = writing.add_identity(name, expires, consent)
    renewed = identity._replace(
        consent=identity.consent if consent is None else consent,
        expires=identity.expires if expires is None else expires,
    )
    if renewed != identity:
        replace(writing.db, renewed)
    gone = _others(writing, identity, {template.photo_sha256 for template in templates}) if replacing else []
    if new or gone:
        writing.change()
        writing.remove_templates(gone)
        writing.add_templates(_rows(writing, form, identity, new))
    if new or gone or renewed != identity:
        writing.note("enrol", {"templates": len(new), "replaced": len(gone)})
    return outcomes


def _sorted_out(
    writing: Writing, name: str, templates: Sequence[NewTemplate]
) -> tuple[list[Enrolment], list[NewTemplate]]:
    """What becomes of each template, and those that are new."""
    owners: dict[str, str | None] = {}
    outcomes, new = [], []
    query = f"SELECT name FROM templates JOIN identities ON identities.id = identity WHERE {BY_PHOTO}"  # noqa: S608
    identity = writing.identity(name)
    for template in templates:
        photo = template.photo_sha256
        if identity is not None and contradicts(writing.db, identity.id, photo):
            outcomes.append(Enrolment(Outcome.NOT_THEM, None))
            continue
        if photo not in owners:
            row = writing.db.execute(query, (photo,)).fetchone()
            owners[photo] = row[0] if row else None
        owner = owners[photo]
        if owner is None:
            owners[photo] = name
            new.append(template)
            outcomes.append(Enrolment(Outcome.ENROLLED, name))
        else:
            outcomes.append(Enrolment(Outcome.ALREADY if owner == name else Outcome.OTHER, owner))
    return outcomes, new


def _rows(
    writing: Writing, form: VectorForm, identity: IdentityRow, templates: Sequence[NewTemplate]
) -> list[TemplateRow]:
    rows = []
    for number, template in enumerate(templates, writing.meta.last_template + 1):
        vector = writing.checked(template.vector)
        if not 0 < template.quality <= 1:
            raise GalleryError(f"a quality of {template.quality}; expected one above 0 and at most 1")
        rows.append(
            TemplateRow(
                number,
                identity.id,
                form.write(vector, template.photo_sha256),
                template.photo_sha256,
                template.photo_path,
                writing.when,
                float(template.quality),
                canonical_json(dict(template.details), "a template's details"),
            )
        )
    return rows


def _others(writing: Writing, identity: IdentityRow, photos: set[str]) -> list[tuple[int, int]]:
    """Templates of somebody from other photos."""
    query = "SELECT id, photo_sha256 FROM templates WHERE identity = ?"
    return [(number, identity.id) for number, photo in writing.db.execute(query, (identity.id,)) if photo not in photos]
