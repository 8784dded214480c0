"""Client for CodeStudio Collaborative: fleets of VS Code in the browser.

    import codestudio

    with codestudio.Client() as client:
        instance = client.instances.create("blue-fox", wait=True)
        print(instance.open_url())

`Client` is for ordinary code, `AsyncClient` for asyncio; both have the same methods. Three
tiers, each usable alone: the generated messages and stubs (`codestudio.<service>.v1`), the
services' calls with their own messages (`AsyncClient.instance_service` and so on: deadlines,
repetition, errors), and the client's handles.
"""

from codestudio._activity_types import (
    ActivityType,
    CodeEvent,
    Event,
    MessageEvent,
    MessageReceipt,
    StateEvent,
)
from codestudio._amounts import Amounts
from codestudio._client import AsyncClient
from codestudio._config_types import (
    Configuration,
    ConfigurationChange,
    ConfigurationRevision,
    Setting,
    SettingEffect,
)
from codestudio._configurations import AsyncConfigurationWatch
from codestudio._document_types import (
    Author,
    ChangeResult,
    CodeChange,
    ConnectionState,
    Cursor,
    DocumentChange,
    DocumentInfo,
    DocumentRevision,
    RevisionText,
    Role,
)
from codestudio._errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    CodeStudioError,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InstanceFailed,
    Internal,
    InvalidArgument,
    NotConfigured,
    NotFound,
    OutOfRange,
    PermissionDenied,
    QuotaExceeded,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Violation,
    WatchExpired,
)
from codestudio._instance import AsyncInstance
from codestudio._instance_types import (
    BatchResult,
    Condition,
    DesiredState,
    EventType,
    Failure,
    FailureClass,
    InstanceConfig,
    InstanceEvent,
    InstanceState,
    Ports,
    Resources,
    Step,
    StopReason,
)
from codestudio._instance_view import InstanceStatus
from codestudio._limits import Enforcement, EnforcementMeans, LimitedResource, LimitEvent
from codestudio._links import SignInLink
from codestudio._live.document import AsyncDocument
from codestudio._live.edits import Edit
from codestudio._live.units import OffsetUnit
from codestudio._optimization import (
    EstimatedImprovement,
    Evidence,
    Optimization,
    OptimizationOutcome,
    OptimizationResult,
    OptimizationType,
    ResourceAllocation,
)
from codestudio._pager import AsyncPager, Page
from codestudio._paths import (
    EntryType,
    PathConfiguration,
    PathDetail,
    PathInfo,
    PathStatus,
    PathTest,
    PathTestResult,
    PathValidation,
    ProjectEntry,
)
from codestudio._quotas import Quota, QuotaCheck, QuotaShortage
from codestudio._reconciliation import QuotaRepair, Reconciliation, RepairKind
from codestudio._reservations import Reservation
from codestudio._retry import RetryPolicy
from codestudio._subscription import AsyncSubscription
from codestudio._sync import Client
from codestudio._sync_activity import Subscription
from codestudio._sync_config import ConfigurationWatch
from codestudio._sync_documents import Document
from codestudio._sync_instances import Instance
from codestudio._sync_iterators import Pager, Watch
from codestudio._usage import InstanceUsage, ResourceUsage, UsageSample
from codestudio._version import __version__
from codestudio._watch import AsyncWatch

__all__ = [
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
