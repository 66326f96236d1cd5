"""A hospital can ask whether its node would be let in: Flower answers in the order that the question rests on."""

from __future__ import annotations

import pytest
from flower_processes import SuperLink, SuperNode, eventually, write_secret

from silo_node.flower.enrolled import ask_enrolled
from wardround.identity.tls import make_node_key

SECONDS = 60.0


def online(superlink: SuperLink, node_id: int) -> bool:
    with superlink.link.control() as control:
        return any(node.online for node in control.nodes() if node.node_id == node_id)


@pytest.fixture
def node_key(tmp_path):
    """A node's key in a file of its own."""
    key = make_node_key()
    return key, write_secret(tmp_path / "node.key", key.private)


def test_an_unknown_key_and_an_enrolled_one_are_told_apart(superlink, node_key, monkeypatch):
    """Before it is registered: no; after: yes, and the node is still not connected. A proxy of the environment is not asked."""
    key, path = node_key
    with monkeypatch.context() as proxied:
        for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
            proxied.setenv(name, "http://127.0.0.1:9")
        assert ask_enrolled(superlink.public, superlink.authority_file, path, SECONDS) == "no"
    with superlink.link.control() as control:
        node_id = control.register(key.public)
    assert ask_enrolled(superlink.public, superlink.authority_file, path, SECONDS) == "yes"
    assert not online(superlink, node_id)


def test_a_node_that_runs_is_not_disturbed(superlink, supernode: SuperNode):
    """The key is in use: yes, and the node stays connected."""
    eventually(lambda: online(superlink, supernode.node_id))
    path = superlink.folder / supernode.name / "node.key"
    assert ask_enrolled(superlink.public, superlink.authority_file, path, SECONDS) == "yes"
    assert online(superlink, supernode.node_id)


def test_where_nobody_answers_it_is_unknown(superlink, node_key, tmp_path):
    """No answer is no no; nor is an authority or a key that cannot be used."""
    _, path = node_key
    assert ask_enrolled("localhost:9", superlink.authority_file, path, SECONDS) == "unknown"
    damaged = write_secret(tmp_path / "damaged.key", b"x")
    assert ask_enrolled(superlink.public, superlink.authority_file, damaged, SECONDS) == "unknown"
    assert ask_enrolled(superlink.public, superlink.authority_file, path, 0.01) == "unknown"
