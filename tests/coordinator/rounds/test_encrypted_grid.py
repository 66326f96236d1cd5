"""The centre's messages are read by their hospitals alone, and what was not encrypted to the centre is not admitted."""

from dataclasses import dataclass, field

import pytest
from flwr.proto.message_pb2 import Metadata
from studies_on_paper import CENTRE_READS, paper

from coordinator.rounds.encrypted_grid import MARGIN_BYTES, EncryptedGrid, encryption_keys, largest_reply
from coordinator.rounds.grid import Incoming, Outgoing
from wardround.messages.confidential import decrypted, encrypted_for
from wardround.messages.envelope import Envelope
from wardround.transport.parcel import Malformed, Packer, unpack
from wardround.weights.packing import to_bytes

STUDY = paper()
WEIGHTS = bytes(range(100))


@dataclass
class Wire:
    """A transport that keeps what is sent and gives what it is told to."""

    sent: list[Outgoing] = field(default_factory=list)
    coming: list[Incoming] = field(default_factory=list)

    def push_messages(self, messages):
        self.sent += messages
        return [str(index) for index, _ in enumerate(messages)]

    def pull_messages(self, _message_ids, _wait_seconds):
        return self.coming


def over(wire: Wire) -> EncryptedGrid:
    return EncryptedGrid(wire, encryption_keys(STUDY.bundle.roster), CENTRE_READS)


def outgoing(site: str, message: bytes = b"{}") -> Outgoing:
    return Outgoing(site, Envelope(message, "0" * 128, (WEIGHTS,)), 1.0)


def test_each_hospital_reads_its_own():
    """The bytes of the weights are the same for all, each with a key that one hospital opens."""
    wire = Wire()
    over(wire).push_messages([outgoing(site, site.encode()) for site in STUDY.parties])
    assert len({id(each.envelope.arrays[0]) for each in wire.sent}) == 1
    assert WEIGHTS not in bytes(wire.sent[0].envelope.arrays[0])
    for each in wire.sent:
        opened = {site: decrypted(each.envelope, party.encryption) for site, party in STUDY.parties.items()}
        assert [site for site, envelope in opened.items() if envelope is not None] == [each.site]
        assert opened[each.site].arrays == (WEIGHTS,)


def test_who_is_not_on_the_roster_gets_no_body():
    """A site without a key on the roster is sent nothing that could be read."""
    wire = Wire()
    over(wire).push_messages([outgoing("nobody")])
    assert wire.sent[0].envelope.arrays == ()


def test_what_comes_is_decrypted_or_stripped():
    """Bodies to the centre come plain; plain ones, and those to others, come without: their message names what is missing."""
    reply = Envelope(b"{}", "0" * 128, (WEIGHTS,))
    theirs = STUDY.parties["alpha"].member.encryption_key
    found = [encrypted_for(reply, CENTRE_READS.public), reply, encrypted_for(reply, theirs), None]
    wire = Wire(coming=[Incoming(str(index), envelope) for index, envelope in enumerate(found)])
    grid, ids = over(wire), [str(index) for index, _ in enumerate(found)]
    came = [grid.pull_messages(ids, 0.0)]
    wire.coming = []
    came += [grid.pull_messages(ids, 0.0) for _ in ids]
    assert [len(each) for each in came] == [1, 1, 1, 1, 0], "one at a time, each once"
    assert [each.envelope for pulled in came for each in pulled] == [
        reply,
        Envelope(b"{}", "0" * 128),
        Envelope(b"{}", "0" * 128),
        None,
    ]


def _exhaust(steps, contents):
    wanted = next(steps)
    while True:
        wanted = steps.send(contents[wanted])


def test_the_largest_reply_is_a_change_of_weights():
    """A good reply of a round fits exactly, with a margin for mistakes; what is larger is fetched by nobody."""
    bundle, limit = STUDY.bundle, largest_reply(STUDY.bundle)
    sealed = encrypted_for(Envelope(b"{}", "0" * 128, (to_bytes(bundle.weights),)), CENTRE_READS.public)
    assert len(sealed.arrays[0]) + MARGIN_BYTES == limit
    for size, fits in ((limit, True), (limit + 1, False)):
        stored = Packer().pack(Metadata(run_id=1), Envelope(b"{}", "0" * 128, (bytes(size),)))
        contents = {each.object_id: each.content() for each in stored.walk()}
        steps = unpack(stored.tree(), largest=limit)
        with pytest.raises(StopIteration if fits else Malformed):
            _exhaust(steps, contents)
