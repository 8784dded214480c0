"""`stack.json`: what a stack tells those beside it, and what its next start remembers."""

import dataclasses
import json
import uuid
from typing import Any

from services.devstack.layout import Layout
from services.devstack.plan import Plan, port_table
from services.devstack.ports import Ports


@dataclasses.dataclass(frozen=True)
class Record:
    """The contents of `stack.json`."""

    stack_id: str
    data_dir: str
    gateway_url: str
    port_offset: int
    ports: dict[str, int]
    services: list[str]
    editor_command: str

    @classmethod
    def of(cls, plan: Plan, programs: list[str]) -> "Record":
        """Describe a plan whose `programs` are about to run."""
        return cls(
            stack_id=plan.stack_id,
            data_dir=str(plan.layout.root),
            gateway_url=plan.gateway_url,
            port_offset=plan.ports.offset,
            ports=port_table(plan, programs),
            services=list(plan.services),
            editor_command=plan.editor_command,
        )

    def plan(self, layout: Layout) -> Plan:
        """Give back the plan a running stack was started with."""
        return Plan(
            layout=layout,
            ports=Ports(self.port_offset),
            stack_id=self.stack_id,
            services=tuple(self.services),
            gateway_url=self.gateway_url,
            editor_command=self.editor_command,
        )

    def write(self, layout: Layout) -> None:
        """Write it whole or not at all: clients may read at any moment."""
        temporary = layout.record.with_suffix(".json.new")
        temporary.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")
        temporary.replace(layout.record)


def read(layout: Layout) -> Record | None:
    """Read the record of the stack in this data directory; None when it never ran here.

    A data directory that was copied or moved counts as never run: its stack id may belong to
    a stack that still runs elsewhere, whose processes must not be taken for this one's.
    """
    try:
        fields: dict[str, Any] = json.loads(layout.record.read_text())
        record = Record(**fields)
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return record if record.data_dir == str(layout.root) else None


def new_stack_id() -> str:
    """Make an id no other stack has."""
    return uuid.uuid4().hex
