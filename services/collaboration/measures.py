"""What the collaboration service counts."""

from prometheus_client import Counter, Gauge, Histogram

ROOMS = Gauge("codestudio_collaboration_documents_loaded", "Documents in memory.")
CLIENTS = Gauge(
    "codestudio_collaboration_clients", "Clients in documents, by protocol.", ("protocol",)
)
UPDATES = Counter("codestudio_collaboration_updates", "Updates taken from clients.")
_FRAMES = Counter(
    "codestudio_collaboration_frames",
    "Frames of edits sent to clients, by protocol.",
    ("protocol",),
)
# Looking a label up costs a twentieth of sending the frame that it counts.
GRPC_FRAMES = _FRAMES.labels("grpc")
YJS_FRAMES = _FRAMES.labels("yjs")
_ENTRIES = Counter(
    "codestudio_collaboration_entries",
    "Entries of the log seen, by whether this replica stored them.",
    ("own",),
)
OWN_ENTRIES = _ENTRIES.labels("yes")
OTHERS_ENTRIES = _ENTRIES.labels("no")
STORE_SECONDS = Histogram(
    "codestudio_collaboration_store_seconds",
    "Time from an edit to its being stored, in seconds, one sample an entry.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
STORE_FAILURES = Counter(
    "codestudio_collaboration_store_failures", "Attempts to store an entry that failed."
)
LOAD_SECONDS = Histogram(
    "codestudio_collaboration_load_seconds",
    "Time to load a document, in seconds.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
SNAPSHOTS = Counter("codestudio_collaboration_snapshots", "Snapshots stored.")
RESYNCS = Counter(
    "codestudio_collaboration_resyncs", "Clients that had to synchronise again, by why.", ("why",)
)
CURSORS_REFUSED = Counter(
    "codestudio_collaboration_cursors_refused",
    "States of clients' awareness that were not taken, by why.",
    ("why",),
)
REFUSALS = Counter(
    "codestudio_collaboration_refusals", "What clients sent and was refused, by code.", ("code",)
)
