"""Offering a study: the bundle comes to the hospital's inbox over the same channel, and what the hospital decided comes back.

The centre asks first (no body); a hospital that does not have the bundle says ``unknown`` and gets it. Nothing of an
offered study runs until a person at the hospital has approved it.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from wardround.identity.keys import PublicKey
from wardround.values import Sha256, Slug, Value, Version

OfferState: TypeAlias = Literal["unknown", "waiting", "approved", "rejected", "refused", "refused-by-policy"]


class Offer(Value):
    """The coordinator offers a study to a hospital of its roster; the bundle's bytes are the message's array, or absent.

    Attributes:
        author: the key of who signed the bundle as its author; None where nobody did. The study hash does not hold it.
        wardround: the centre's version of Wardround.
    """

    protocol: Literal[1] = 1
    kind: Literal["offer"] = "offer"
    to: Slug
    study_hash: Sha256
    author: PublicKey | None = None
    wardround: Version | None = None
    bodies: Annotated[tuple[Sha256, ...], Field(max_length=1)] = ()


class OfferAnswer(Value):
    """What the hospital says of an offered study.

    Attributes:
        state: ``unknown``: send the bundle; ``waiting``: in the inbox, nobody decided yet; ``approved``; ``rejected`` by a
            person; ``refused``: the bundle does not hold, is not for this hospital, or was approved here with another author's
            signature; ``refused-by-policy``: it breaks the hospital's own policy, and no person is asked. What in it does
            stays in the hospital.
    """

    protocol: Literal[1] = 1
    kind: Literal["offer-answer"] = "offer-answer"
    site: Slug
    study_hash: Sha256
    state: OfferState


OFFER: TypeAdapter[Offer] = TypeAdapter(Offer)
OFFER_ANSWER: TypeAdapter[OfferAnswer] = TypeAdapter(OfferAnswer)
