"""What answers tell and what a watch shows become one view, whichever is newer."""

from unittest import mock

from codestudio.resource.v1 import workload_service_pb2 as pb

from services.instance.workload import Health, Phase, Sight, Workload
from services.instance.workloads import Workloads


def test_a_snapshot_newer_than_an_answer_counts() -> None:
    """READY in the first snapshot after an answer that said STARTING: no later message says it."""
    view = Workloads(mesh=mock.Mock(), on_change=mock.Mock(), on_synced=mock.Mock())
    view.tell("blue", Workload(Phase.STARTING, start_time=1000))
    message = pb.Workload(instance_id="blue", phase=pb.WORKLOAD_PHASE_READY)
    message.start_time.FromMilliseconds(1000)
    view._see(message)
    view._synced({"blue"})
    seen = view.sight("blue").workload
    assert seen is not None
    assert seen.phase is Phase.READY


def test_a_snapshot_older_than_an_answer_does_not() -> None:
    """A workload that was stopped and started again is not taken for the one before."""
    view = Workloads(mesh=mock.Mock(), on_change=mock.Mock(), on_synced=mock.Mock())
    view.tell("blue", Workload(Phase.STARTING, start_time=2000))
    message = pb.Workload(instance_id="blue", phase=pb.WORKLOAD_PHASE_READY)
    message.start_time.FromMilliseconds(1000)
    view._see(message)
    view._synced({"blue"})
    seen = view.sight("blue").workload
    assert seen is not None
    assert seen.phase is Phase.STARTING


def test_an_answer_older_than_what_the_watch_told_of_its_health_does_not() -> None:
    """A changed health is a change; one that is not known, after a restart, counts as new."""
    changed = mock.Mock()
    view = Workloads(mesh=mock.Mock(), on_change=changed, on_synced=mock.Mock())
    view._synced(set())
    message = pb.Workload(instance_id="blue", phase=pb.WORKLOAD_PHASE_READY)
    message.start_time.FromMilliseconds(1000)
    view._see(message)
    message.health.since_time.FromMilliseconds(5000)
    view._see(message)
    assert changed.call_count == 2
    silent = Workload(Phase.READY, start_time=1000, health=Health(False, 5000))
    answered = Workload(Phase.READY, start_time=1000, health=Health(True, 4000))
    assert answered.outdates(silent)
    assert not silent.outdates(answered)
    assert not Workload(Phase.READY, start_time=1000).outdates(silent)


def test_a_late_answer_without_health_takes_none_away() -> None:
    """What was answered before the first check does not undo it; what a new service says does."""
    view = Workloads(mesh=mock.Mock(), on_change=mock.Mock(), on_synced=mock.Mock())
    view._synced(set())
    late = pb.Workload(instance_id="blue", phase=pb.WORKLOAD_PHASE_READY)
    late.start_time.FromMilliseconds(1000)
    checked = pb.Workload()
    checked.CopyFrom(late)
    checked.health.since_time.FromMilliseconds(5000)
    view._see(checked)
    silent = Workload(Phase.READY, start_time=1000, health=Health(False, 5000))
    unknown = Workload(Phase.READY, start_time=1000)

    assert _health(view.tell("blue", unknown)) == silent.health
    view._see(late)
    assert _health(view.sight("blue")) == silent.health
    view._since = 0  # the watch broke, perhaps with the service
    assert _health(view.tell("blue", unknown)) is None
    view.tell("blue", silent)
    view._synced({"blue"})
    assert _health(view.tell("blue", Workload(Phase.STOPPING, start_time=1000))) is None


def _health(sight: Sight) -> Health | None:
    assert sight.workload is not None
    return sight.workload.health
