import shutil
from pathlib import Path

from services.devstack import layout, ports, record
from services.devstack.plan import Plan


def _plan(root: Path) -> Plan:
    return Plan(
        layout=layout.Layout.of(root),
        ports=ports.Ports(10),
        stack_id=record.new_stack_id(),
        services=("edge",),
        gateway_url="http://localhost:3010",
    )


def test_a_record_gives_its_plan_back(tmp_path: Path) -> None:
    """`down` and a second `up` see the stack as it was started."""
    plan = _plan(tmp_path)
    record.Record.of(plan, ["valkey", "edge"]).write(plan.layout)
    read = record.read(plan.layout)
    assert read is not None
    assert read.plan(plan.layout) == plan


def test_a_copied_data_directory_is_another_stack(tmp_path: Path) -> None:
    """`down` in a copy must not end the processes of the original, whose id it copied."""
    plan = _plan(tmp_path / "original")
    plan.layout.root.mkdir()
    record.Record.of(plan, []).write(plan.layout)
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    assert record.read(layout.Layout.of(tmp_path / "copy")) is None


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    """A file cut short does not keep a stack from starting."""
    where = layout.Layout.of(tmp_path)
    where.record.write_text('{"stack_id": "x"')
    assert record.read(where) is None
