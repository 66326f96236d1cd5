"""A centre of one dry run writes tasks that only its own hospitals take, and that only the addressed one reads."""

from __future__ import annotations

from studies_on_paper import party

from wardround.canonical import sha256
from wardround.messages.confidential import decrypted
from wardround.messages.envelope import bodies_hold, read, signed_by
from wardround.messages.pretended_centre import Order, PretendedCentre
from wardround.messages.round import ORDER, Task, TaskCore


def test_its_tasks_are_those_of_a_centre() -> None:
    """Signed by the key of its roster, whole, encrypted to the hospital."""
    centre, hospital = PretendedCentre("Nobody"), party("alpha")
    core = TaskCore(study_hash="0" * 64, purpose="closing", round=1, weights=sha256(b"weights"))
    envelope = centre.task(Order(core, 5.0, weights=b"weights"), hospital.member)
    assert signed_by(envelope, "task", centre.coordinator.signing_key)
    task = read(envelope, ORDER)
    assert isinstance(task, Task)
    assert (task.to, task.core, task.task_id) == ("alpha", core, core.task_id())
    plain = decrypted(envelope, hospital.encryption)
    assert plain is not None
    assert bodies_hold(plain, task.bodies)
    assert decrypted(envelope, party("beta").encryption) is None


def test_two_of_them_have_no_key_in_common() -> None:
    """Nothing that was signed for one dry run holds anywhere else."""
    assert not set(PretendedCentre("a").coordinator.keys) & set(PretendedCentre("a").coordinator.keys)
