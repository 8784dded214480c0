"""Carries out what was decided: one call to another service, and what follows for the record."""

import structlog

from services.chassis import errors
from services.instance import decide, failures, times, transitions
from services.instance.decide import Action, Policy
from services.instance.failures import Cure
from services.instance.peers import Peers
from services.instance.record import NoticeReason, Quota, Record, State, Step
from services.instance.workload import Sight
from services.instance.workloads import Workloads

_log = structlog.get_logger(__name__)

_STEPS: dict[type, Step] = {
    decide.ReserveQuota: Step.QUOTA,
    decide.Allocate: Step.RESOURCES,
    decide.Apply: Step.WORKLOAD,
}
_STARTING = (State.PENDING, State.STARTING, State.RUNNING)


class Actions:
    """Does things through other services."""

    def __init__(self, *, peers: Peers, workloads: Workloads, policy: Policy) -> None:
        self._peers = peers
        self._workloads = workloads
        self._policy = policy

    async def perform(self, action: Action, record: Record) -> tuple[Record, Sight | None]:
        """Do it.

        Returns:
            The record after it, and what was learnt of the workload, if anything.

        Raises:
            errors.DomainError: It did not succeed; see `failed`.
        """
        peers, told = self._peers, self._workloads
        match action:
            case decide.ReserveQuota(level):
                await peers.reserve_quota(record, level)
                return transitions.quota_reserved(record, level, times.now()), None
            case decide.ReleaseQuota():
                await peers.release_quota(record)
                return transitions.quota_released(record), None
            case decide.Allocate():
                ports = await peers.allocate(record)
                return transitions.allocated(record, ports, times.now()), None
            case decide.Deallocate():
                await peers.deallocate(record.id)
                return transitions.deallocated(record), None
            case decide.Apply():
                started = await peers.apply(record)
                sight = told.tell(record.id, started)
                return transitions.applied(record, started, times.now()), sight
            case decide.Resize():
                ports = await peers.allocate(record)
                if ports != record.ports:
                    return transitions.allocated(record, ports, times.now()), None
                resized = await peers.apply(record)
                sight = told.tell(record.id, resized)
                return transitions.workload_resized(record, resized), sight
            case decide.Stop():
                sight = told.tell(record.id, await peers.stop(record.id))
                return transitions.workload_stopped(record, times.now()), sight
            case decide.Delete():
                await peers.delete(record.id)
                sight = told.tell(record.id, None)
                return transitions.workload_stopped(record, times.now()), sight
            case decide.Observe():
                return record, told.tell(record.id, await peers.observe(record.id))
        raise AssertionError(f"{action} is not for other services")

    async def show(self, record: Record) -> None:
        """Show a warning in the editor, or take it back; the event is what counts.

        Raises nothing: one that could not be shown is logged.
        """
        notice = record.notice
        message = notice.message if notice is not None and notice.warns else ""
        idle = notice is not None and notice.reason is NoticeReason.IDLE_WARNING
        try:
            await self._peers.notify(record.id, message, offer_to_keep=idle)
        except errors.DomainError as error:
            _log.info("notice not shown", instance_id=record.id, code=error.code)

    async def stop_orphan(self, instance_id: str) -> bool:
        """Stop a workload that belongs to no instance, and take its ports; whether it ran.

        Raises:
            errors.DomainError: It could not be asked or stopped.
        """
        found = await self._peers.observe(instance_id)
        self._workloads.tell(instance_id, found)
        runs = found is not None and found.runs
        if runs:
            self._workloads.tell(instance_id, await self._peers.stop(instance_id))
        await self._peers.deallocate(instance_id)
        return runs

    def failed(self, action: Action, record: Record, error: errors.DomainError) -> Record:
        """Return what follows from a failure: the start goes on, waits, or has failed.

        On the way down nothing fails for good: it is tried again for ever.
        """
        step = _STEPS.get(type(action))
        now = times.now()
        if (
            isinstance(action, decide.ReserveQuota)
            and action.level is Quota.STOPPED
            and error.code == "QUOTA_EXCEEDED"
        ):
            return transitions.refused_rest(record, now, code=error.code, message=error.message)
        if step is None or record.state not in _STARTING:
            return record
        verdict = failures.of_error(error)
        if verdict.cure is Cure.OTHER_PORT and record.ports.web:
            tried = (*record.exits, now)
            if len(tried) <= self._policy.ports_tried:
                return transitions.port_unusable(record, now, tried=tried)
        late = now - record.progress_at >= self._policy.budgets[step]
        condition = record.condition(step)
        # What was away until now has its whole budget from here on.
        back = condition is not None and condition.reason == transitions.AWAY_REASON
        if verdict.cure in (Cure.NONE, Cure.OTHER_PORT) or (
            verdict.cure is Cure.RETRY and late and not back
        ):
            return transitions.failing(
                record, now, step=step, verdict=verdict, code=error.code, message=error.message
            )
        return transitions.held_up(record, now, step=step, verdict=verdict, message=error.message)
