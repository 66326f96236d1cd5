"""The base of everything that crosses a wall: frozen, closed and strict."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

_INSTANT = "%Y-%m-%dT%H:%M:%SZ"


class Value(BaseModel):
    """A frozen value with a closed set of keys and no silent conversion (``"5"`` is not 5, ``true`` is not 1).

    Attributes use Python names; an alias is the name in files and messages.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_by_name=True, validate_by_alias=True
    )


class Growing(Value):
    """A value whose language grew after the first ones were written, and whose old written forms and digests stay what they were.

    A key of ``young`` that holds its default is left out wherever the value is written; its default means what was so before
    the key existed, for ever.
    """

    young: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_young_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        form: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        for name in self.young:
            if getattr(self, name) == fields[name].get_default(call_default_factory=True):
                form.pop(fields[name].alias or name, None)
                form.pop(name, None)
        return form


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
"""A short name for files, messages and roster entries: lower case letters, digits, ``-`` and ``_``."""

SchemaId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=100)]
"""A schema's name: lower case words joined by dots, such as ``breast.cytology``."""

FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""A field's name in a shared schema."""

Version = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})$")]
"""A semantic version, ``MAJOR.MINOR.PATCH``, each of nine digits at most: versions leave a hospital and are no free text."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest as 64 hexadecimal digits."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0, lt=2**53)]


def moment(text: str) -> datetime:
    """Read an instant; ``ValueError`` when there is no such day or time."""
    return datetime.strptime(text, _INSTANT).replace(tzinfo=UTC)


def instant(when: datetime) -> str:
    """Write a moment as UTC to the second."""
    return when.astimezone(UTC).strftime(_INSTANT)


def _is_a_moment(text: str) -> str:
    """Refuse a day or time that there is not, in a text of this form; ten times as fast as ``moment``, for long ledgers."""
    parts = (text[:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
    year, month, day, hour, minute, second = (int(part) for part in parts)
    datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return text


Instant = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"), AfterValidator(_is_a_moment)
]
"""A moment in UTC to the second, as text that sorts like time."""


def printable(text: str) -> str:
    """Refuse what could move a terminal's cursor or hide what stands beside it; ``ValueError`` if there is any of it."""
    if not text.isprintable():
        msg = "a name holds no line breaks, control characters or marks that change the direction of writing"
        raise ValueError(msg)
    return text


PersonName = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(printable)]
"""A name or other line that people read on a terminal: nothing in it can move the cursor or hide what stands beside it."""
