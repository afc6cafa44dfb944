"""The metrics of a worker, each declared once, in a registry of their own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from routec.runtime.observe.kept import KeptCounter

_MILLISECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10000)
_LATENCY = tuple(milliseconds / 1000 for milliseconds in _MILLISECONDS)
_LONG = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


class Metrics:
    """Every metric of `routec_*`; label values must come from the policy, never from events.

    Attributes:
        registry: what `/metrics` shows.
        decisions: decisions, by policy, outcome (route, cached, reject) and route.
        decision_seconds: seconds from taking a batch to its decisions being encoded, a batch.
        batch_size: events decided at once.
        signal_calls: values that requests got, by signal and source (computed).
        signal_seconds: seconds of one call, which serves a batch (and a scan several signals), by
            signal.
        signal_failures: signals that took their `on_error` value, by signal and reason.
        cache_lookups: cache lookups, by category and status (hit, miss).
        cache_entries: entries of the cache, by category.
        classifier_batch_size: texts in one call of a classifier, by backend.
        responses: response records taken in, by what became of them (stored, refused, unknown,
            invalid).
        dead_letters: events that became dead letters, by code.
        dead_letter_limits: partitions that stopped at a limit of dead letters, by its key.
        consumer_lag: events of a partition not yet taken, by topic and partition.
        committed: events whose outcomes are committed.
        commit_seconds: seconds of committing a partition's outcomes, from their being decided.
        in_flight_events: events between their fetch and their commit.
        in_flight_bytes: their bytes.
        oldest_event_age: seconds since the oldest event of the batch being decided, or decided
            last, was written; 0 while nothing is in flight.
        paused_partitions: partitions that wait until there is room.
        fenced: times that another producer had taken a partition's name.
        rebuilds: producers thrown away and built anew, by reason (fenced, refused, error).
        rebalance_seconds: seconds of giving partitions up.
        policy_info: 1 for the policy in force, by name and hash.
        policy_records: records of the control topic, by what became of them (activated, or the
            code of their refusal).
        canary_requests: requests of canaries, by result (decided, fallen_back).
        shadow_events: decided events that a shadow was to decide too, by result (same, differing,
            skipped).
    """

    def __init__(self) -> None:
        registry = CollectorRegistry(auto_describe=True)
        self.registry = registry
        self.decisions = Counter(
            "routec_decisions_total",
            "Decisions",
            ("policy", "outcome", "route"),
            registry=registry,
        )
        self.decision_seconds = Histogram(
            "routec_decision_seconds",
            "Seconds to decide a batch",
            buckets=_LATENCY,
            registry=registry,
        )
        self.batch_size = Histogram(
            "routec_batch_size", "Events decided at once", buckets=_SIZES, registry=registry
        )
        self.signal_calls = Counter(
            "routec_signal_calls_total",
            "Values that requests got",
            ("signal", "source"),
            registry=registry,
        )
        self.signal_seconds = Histogram(
            "routec_signal_seconds",
            "Seconds of one signal call",
            ("signal",),
            buckets=_LATENCY,
            registry=registry,
        )
        self.signal_failures = Counter(
            "routec_signal_failures_total",
            "Signals that took their on_error value",
            ("signal", "reason"),
            registry=registry,
        )
        self.cache_lookups = Counter(
            "routec_cache_lookups_total", "Cache lookups", ("category", "status"), registry=registry
        )
        self.cache_entries = Gauge(
            "routec_cache_entries", "Entries of the cache", ("category",), registry=registry
        )
        self.classifier_batch_size = Histogram(
            "routec_classifier_batch_size",
            "Texts in one classifier call",
            ("backend",),
            buckets=_SIZES,
            registry=registry,
        )
        self.responses = Counter(
            "routec_responses_total", "Response records taken in", ("status",), registry=registry
        )
        self.dead_letters = Counter(
            "routec_dead_letters_total",
            "Events that became dead letters",
            ("code",),
            registry=registry,
        )
        self.dead_letter_limits = Counter(
            "routec_dead_letter_limits_total",
            "Partitions that stopped at a limit of dead letters",
            ("limit",),
            registry=registry,
        )
        self.consumer_lag = Gauge(
            "routec_consumer_lag",
            "Events of a partition not yet taken",
            ("topic", "partition"),
            registry=registry,
        )
        self.committed = Counter(
            "routec_committed_events_total",
            "Events whose outcomes are committed",
            registry=registry,
        )
        self.commit_seconds = Histogram(
            "routec_commit_seconds",
            "Seconds of committing a partition's outcomes",
            buckets=_LATENCY,
            registry=registry,
        )
        self.in_flight_events = Gauge(
            "routec_in_flight_events",
            "Events between their fetch and their commit",
            registry=registry,
        )
        self.in_flight_bytes = Gauge(
            "routec_in_flight_bytes",
            "Bytes between their fetch and their commit",
            registry=registry,
        )
        self.oldest_event_age = Gauge(
            "routec_oldest_event_age_seconds",
            "Seconds since the oldest event in decision was written",
            registry=registry,
        )
        self.paused_partitions = Gauge(
            "routec_paused_partitions",
            "Partitions that wait until there is room",
            registry=registry,
        )
        self.fenced = Counter(
            "routec_fenced_total",
            "Times that another producer had taken a partition's name",
            registry=registry,
        )
        self.rebuilds = Counter(
            "routec_rebuilds_total",
            "Producers thrown away and built anew",
            ("reason",),
            registry=registry,
        )
        self.rebalance_seconds = Histogram(
            "routec_rebalance_seconds",
            "Seconds of giving partitions up",
            buckets=_LONG,
            registry=registry,
        )
        self.policy_info = Gauge(
            "routec_policy_info", "The policy in force", ("name", "hash"), registry=registry
        )
        self.policy_records = Counter(
            "routec_policy_records_total",
            "Records of the control topic, by what became of them",
            ("result",),
            registry=registry,
        )
        self.canary_requests = KeptCounter(
            "routec_canary_requests_total", "Requests of canaries", "result", registry
        )
        self.shadow_events = KeptCounter(
            "routec_shadow_events_total",
            "Decided events that a shadow was to decide too",
            "result",
            registry,
        )

    def batch(self, events: int, seconds: float) -> None:
        """Note a decided batch."""
        self.batch_size.observe(events)
        self.decision_seconds.observe(seconds)

    def dead_letter(self, code: str, count: int) -> None:
        """Note dead letters that were written."""
        self.dead_letters.labels(code).inc(count)

    def lag(self, topic: str, partition: int, events: int) -> None:
        """Note how far behind its end a partition is."""
        self.consumer_lag.labels(topic, str(partition)).set(events)

    def released(self, topic: str, partition: int) -> None:
        """Forget a partition that now belongs to another worker."""
        self.consumer_lag.remove_by_labels({"topic": topic, "partition": str(partition)})

    def policy(self, name: str, hash: str) -> None:
        """Name the policy in force, in place of the one before."""
        self.policy_info.clear()
        self.policy_info.labels(name, hash).set(1)
