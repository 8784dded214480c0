"""What the package promises by name, and that its twins are twins."""

import doctest
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import codestudio
import pytest
from codestudio import (
    _activity,
    _client,
    _configurations,
    _documents,
    _instance,
    _instances,
    _keep_alive,
    _pager,
    _paths,
    _quotas,
    _subscription,
    _sync,
    _sync_activity,
    _sync_config,
    _sync_documents,
    _sync_instances,
    _sync_iterators,
    _sync_paths,
    _usage,
    _watch,
)
from codestudio._live import document

PUBLIC = [
    "Aborted",
    "ActivityType",
    "AlreadyExists",
    "Amounts",
    "AsyncClient",
    "AsyncConfigurationWatch",
    "AsyncDocument",
    "AsyncInstance",
    "AsyncPager",
    "AsyncSubscription",
    "AsyncWatch",
    "Author",
    "BatchResult",
    "Cancelled",
    "ChangeResult",
    "Client",
    "CodeChange",
    "CodeEvent",
    "CodeStudioError",
    "Condition",
    "Configuration",
    "ConfigurationChange",
    "ConfigurationRevision",
    "ConfigurationWatch",
    "ConnectionState",
    "Cursor",
    "DataLoss",
    "DeadlineExceeded",
    "DesiredState",
    "Document",
    "DocumentChange",
    "DocumentInfo",
    "DocumentRevision",
    "Edit",
    "Enforcement",
    "EnforcementMeans",
    "EntryType",
    "EstimatedImprovement",
    "Event",
    "EventType",
    "Evidence",
    "FailedPrecondition",
    "Failure",
    "FailureClass",
    "Instance",
    "InstanceConfig",
    "InstanceEvent",
    "InstanceFailed",
    "InstanceState",
    "InstanceStatus",
    "InstanceUsage",
    "Internal",
    "InvalidArgument",
    "LimitEvent",
    "LimitedResource",
    "MessageEvent",
    "MessageReceipt",
    "NotConfigured",
    "NotFound",
    "OffsetUnit",
    "Optimization",
    "OptimizationOutcome",
    "OptimizationResult",
    "OptimizationType",
    "OutOfRange",
    "Page",
    "Pager",
    "PathConfiguration",
    "PathDetail",
    "PathInfo",
    "PathStatus",
    "PathTest",
    "PathTestResult",
    "PathValidation",
    "PermissionDenied",
    "Ports",
    "ProjectEntry",
    "Quota",
    "QuotaCheck",
    "QuotaExceeded",
    "QuotaRepair",
    "QuotaShortage",
    "Reconciliation",
    "RepairKind",
    "Reservation",
    "ResourceAllocation",
    "ResourceExhausted",
    "ResourceUsage",
    "Resources",
    "RetryPolicy",
    "RevisionText",
    "Role",
    "Setting",
    "SettingEffect",
    "SignInLink",
    "StateEvent",
    "Step",
    "StopReason",
    "Subscription",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "UsageSample",
    "Violation",
    "Watch",
    "WatchExpired",
    "__version__",
]

TWINS = [
    (_client.AsyncClient, _sync.Client),
    (_configurations.AsyncConfigurations, _sync_config.Configurations),
    (_configurations.AsyncConfigurationWatch, _sync_config.ConfigurationWatch),
    (_documents.AsyncDocuments, _sync_documents.Documents),
    (document.AsyncDocument, _sync_documents.Document),
    (_activity.AsyncEvents, _sync_activity.Events),
    (_activity.AsyncMessages, _sync_activity.Messages),
    (_activity.AsyncStates, _sync_activity.States),
    (_subscription.AsyncSubscription, _sync_activity.Subscription),
    (_instances.AsyncInstances, _sync_instances.Instances),
    (_instance.AsyncInstance, _sync_instances.Instance),
    (_keep_alive.AsyncKeptAlive, _sync_instances.KeptAlive),
    (_paths.AsyncPaths, _sync_paths.Paths),
    (_quotas.AsyncQuotas, _sync.Quotas),
    (_usage.AsyncResources, _sync.ResourceUsages),
    (_pager.AsyncPager, _sync_iterators.Pager),
    (_watch.AsyncWatch, _sync_iterators.Watch),
]

# Closing is `aclose` for what is asynchronous; the others are for use inside the package.
ONLY_ASYNC = {
    "aclose",
    "next_or_synced",
    "close_streams",
    "changed",
    "failed",
    "happened",
    "held",
    "session",
}


def modules() -> list[ModuleType]:
    """Give the hand-written modules, the command's included."""
    found = pkgutil.walk_packages(codestudio.__path__, "codestudio.")
    names = [each.name for each in found if not re.search(r"\.v1|__main__", each.name)]
    return [importlib.import_module(name) for name in names]


def test_names() -> None:
    """These names are public, and no others: adding or removing one is a decision."""
    assert sorted(codestudio.__all__) == sorted(PUBLIC)
    assert all(hasattr(codestudio, name) for name in PUBLIC)


def test_modules_are_private() -> None:
    """Beside the generated packages and the command, there is nothing to import but the top."""
    public = {each.name for each in pkgutil.iter_modules(codestudio.__path__)} - {"cli"}
    generated = {path.parent.name for path in Path(codestudio.__path__[0]).glob("*/v1")}
    assert {name for name in public if not name.startswith("_")} == generated


@pytest.mark.parametrize(("asyncio_side", "twin"), TWINS, ids=lambda each: each.__name__)
def test_twins(asyncio_side: type, twin: type) -> None:
    """The twin has every method of its counterpart, with the same parameters and words."""

    def members(kind: type) -> dict[str, object]:
        return {n: m for n, m in inspect.getmembers(kind) if not n.startswith("_")}

    ours, theirs = members(asyncio_side), members(twin)
    assert set(ours) - ONLY_ASYNC - set(theirs) == set()
    for name in sorted(set(ours) & set(theirs)):
        one, other = ours[name], theirs[name]
        if inspect.isfunction(one) and inspect.isfunction(other):
            assert str(_parameters(one)) == str(_parameters(other)), name
            assert inspect.getdoc(one) == inspect.getdoc(other), name


def test_clients_are_made_alike() -> None:
    """Both clients take the same arguments."""
    twin, ours = codestudio.Client.__init__, codestudio.AsyncClient.__init__
    assert _parameters(twin) == _parameters(ours)


def _parameters(function: object) -> list[tuple[str, object, str]]:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    return [(each.name, each.default, str(each.annotation)) for each in parameters]


def test_everything_public_is_documented() -> None:
    """Every public class, method and property says what it is."""
    missing = []
    for name in PUBLIC:
        kind = getattr(codestudio, name)
        if not inspect.isclass(kind):
            continue
        for member, value in [(name, kind), *vars(kind).items()]:
            own = inspect.isfunction(value) or isinstance(value, property) or value is kind
            generated = getattr(value, "__module__", "codestudio").startswith("codestudio")
            if own and generated and not member.startswith("_") and not inspect.getdoc(value):
                missing.append(f"{name}.{member}")
    assert missing == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_examples(module: ModuleType) -> None:
    """The examples in the documentation are true."""
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def test_needs_no_server_packages() -> None:
    """Importing the package loads gRPC and protobuf and nothing else from outside."""
    program = """
import sys, sysconfig, json
site = sysconfig.get_paths()["purelib"]
def outside():
    files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
    return {file[len(site):].split("/")[1] for file in files if file.startswith(site)}
# gRPC itself loads its companions where they are installed.
import grpc.aio
before = outside()
import codestudio
print(json.dumps(sorted(outside() - before)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert set(json.loads(done.stdout)) <= {"google"}
