"""Seam: Flower's Control API in our own process, behind our token: node registration, StartRun, StopRun."""

import pytest
from flower_processes import SuperLink, eventually, supernode_settings
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE

from coordinator.flower.control import Control
from silo_node.flower.enrolled import ask_enrolled
from silo_node.supernode_words import NOT_LET_IN
from wardround.errors import Refused
from wardround.identity.keys import SigningKey
from wardround.identity.tls import make_node_key
from wardround.transport.channel import Rejected, Unauthorised
from wardround.transport.flower_app import build_fab


def test_nodes_are_registered_once(superlink: SuperLink):
    """A key gives one node id however often it is registered, and none after it was struck off."""
    key = make_node_key()
    with superlink.link.control() as control:
        first = control.register(key.public)
        assert control.register(key.public) == first
        assert [node.online for node in control.nodes() if node.node_id == first] == [False]
        control.unregister(first)
        assert first not in {node.node_id for node in control.nodes()}


def test_only_p384_keys_are_registered(superlink: SuperLink):
    """Another kind of key is refused before it is sent."""
    with superlink.link.control() as control, pytest.raises(Refused) as refused:
        control.register(SigningKey.generate().public.encode())
    assert refused.value.codes == ("K-FORMAT",)


@pytest.mark.parametrize("token", ["wrong", "Bearer"])
def test_without_the_token_nothing_is_done(superlink: SuperLink, token):
    """Registering, listing, starting and stopping ask for the token each."""
    with Control(superlink.link.address, superlink.link.authority, token) as control:
        for refused in (
            lambda: control.register(make_node_key().public),
            control.nodes,
            lambda: control.start_run(build_fab()),
            lambda: control.stop_run(1),
        ):
            with pytest.raises(Unauthorised):
                refused()


def test_no_header_at_all_is_no_token(superlink: SuperLink):
    """The plain path, without any of our code."""
    headers = {"content-type": PROTOBUF_MEDIA_TYPE, "accept": PROTOBUF_MEDIA_TYPE}
    assert superlink.status(superlink.link.address, "POST", "/v1/control/list-nodes", b"", headers) == 401


def test_a_run_is_started_and_stopped(superlink: SuperLink):
    """A run gets an id of its own and can be stopped once."""
    with superlink.link.control() as control:
        first, second = control.start_run(build_fab()), control.start_run(build_fab())
        assert first != second
        control.stop_run(first)
        control.stop_run(second)
        with pytest.raises(Rejected):
            control.stop_run(first)


def test_an_unknown_node_key_is_refused(superlink: SuperLink):
    """A SuperNode whose key is not registered ends by itself and says why; it does not hang."""
    settings, _ = supernode_settings(superlink, "stranger", make_node_key())
    process = superlink.processes.start("stranger", settings.command(), settings.environment())
    eventually(lambda: process.poll() is not None, what="the stranger's end")
    assert process.returncode == 1
    assert "Failed to activate SuperNode" in superlink.processes.log("stranger")


def test_a_supernode_does_not_trust_another_authority(superlink: SuperLink, tmp_path):
    """A centre whose certificate is of another authority gets nothing."""
    from dataclasses import replace

    from wardround.identity.tls import make_authority

    settings, _ = supernode_settings(superlink, "misled", make_node_key())
    other = tmp_path / "other.pem"
    other.write_bytes(make_authority("Another").public)
    process = superlink.processes.start("misled", replace(settings, authority=other).command(), settings.environment())
    eventually(lambda: process.poll() is not None, what="the end")
    assert process.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in superlink.processes.log("misled")


def test_a_supernode_that_was_stopped_in_order_comes_back_at_once(superlink: SuperLink):
    """After SIGTERM the same key connects again without Flower's minute of waiting, under the same node id."""
    key = make_node_key()
    settings, _ = supernode_settings(superlink, "again", key)
    with superlink.link.control() as control:
        node_id = control.register(key.public)
        for name in ("again", "and again"):
            process = superlink.processes.start(name, settings.command(), settings.environment())
            eventually(lambda: any(node.online for node in control.nodes() if node.node_id == node_id), 20, "online")
            # the SuperLink knows it a moment before the SuperNode does, which until then has nothing to sign off from
            eventually(lambda log=name: "SuperNode ID" in superlink.processes.log(log), 20, "the SuperNode knows its id")
            process.terminate()
            assert process.wait(20) == 0
            assert not any(node.online for node in control.nodes() if node.node_id == node_id)


def test_a_key_that_was_struck_off_is_refused_at_once_and_for_good(superlink: SuperLink):
    """A running SuperNode's next request is refused and it ends by itself; its key is neither let in nor registered again."""
    key = make_node_key()
    settings, _ = supernode_settings(superlink, "removed", key)
    with superlink.link.control() as control:
        node_id = control.register(key.public)
        process = superlink.processes.start("removed", settings.command(), settings.environment())
        eventually(lambda: any(node.online for node in control.nodes() if node.node_id == node_id), what="online")
        control.unregister(node_id)
        process.wait(60)  # with whatever status: it may have been about to say that it is connected
        assert ask_enrolled(superlink.public, superlink.authority_file, settings.node_key, 60.0) == "no"
        with pytest.raises(Rejected):
            control.register(key.public)
    again = superlink.processes.start("removed again", settings.command(), settings.environment())
    assert again.wait(120) == 1
    assert NOT_LET_IN.decode() in superlink.processes.log("removed again")
