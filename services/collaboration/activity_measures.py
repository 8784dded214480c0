"""What is counted of states, messages and events."""

from prometheus_client import Counter, Gauge

SHARED = Counter("codestudio_collaboration_states_shared", "States of instances stored.")
SENT = Counter(
    "codestudio_collaboration_messages_sent",
    "Messages stored, by whether to one instance or to all.",
    ("to",),
)
REPEATED = Counter(
    "codestudio_collaboration_messages_repeated",
    "Messages that were sent again and had been stored already.",
)
SUBSCRIBERS = Gauge("codestudio_collaboration_subscribers", "Subscriptions open now.")
TOLD = Counter(
    "codestudio_collaboration_events_told", "Events told to subscribers, by kind.", ("kind",)
)
ENDED = Counter(
    "codestudio_collaboration_subscriptions_ended",
    "Subscriptions the service ended, by code.",
    ("code",),
)
