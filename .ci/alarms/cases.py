"""What each alarm does on data: when it fires, when it clears, and when it stays quiet.

A case is samples by metric name, as (minute, value), and the minutes at whose end the state must change. A case without
changes stays quiet. `check.py` fails for an alarm that has no case in which it fires and clears.
"""

from dataclasses import dataclass, field

DAY = 24 * 60


@dataclass
class Case:
    """Data of an alarm, and (minute, state) of every change that must follow."""

    name: str
    data: dict
    changes: list = field(default_factory=list)
    minutes: int = 90
    parameters: dict = field(default_factory=dict)


def each(first, last, *values, step=1):
    """Samples of the same values in each minute, or in each `step`th, from the first to before the last."""
    return [(minute, value) for minute in range(first, last, step) for value in values]


def fires(at, clears):
    return [(at, "ALARM"), (clears, "OK")]


# OpenSearch is away from minute 10 to 40, for one lane with a batch of one: its invocations end after 300 s, one after
# the other, and the fourth leaves an on-failure message. Then what has waited is delivered within a minute.
OUTAGE = {
    "IteratorAge": [*each(0, 10, 200), (10, 200), (15, 300_000), (20, 600_000), (25, 900_000),
                    (30, 1_200_000), (35, 1_500_000), (40, 1_800_000), *each(42, 90, 200)],
    "Duration": [*each(0, 10, 9), *each(15, 45, 299_600, step=5), *each(45, 90, 9)],
    "Failed": [*each(0, 10, 0), *each(15, 45, 1, step=5), *each(41, 90, 0)],
    "ReplicationLag": [*each(0, 10, 400), *each(41, 43, 1_750_000), *each(43, 90, 400)],
    "DroppedEventCount": [(30, 1)],
    "OnFailureDestinationDeliveredEventCount": [(30, 1)],
    "ApproximateNumberOfMessagesVisible": [*each(0, 30, 0), *each(30, 60, 1), *each(60, 90, 0)],
    "PolledEventCount": each(0, 90, 30),
    "ConsumedWriteCapacityUnits": each(0, 90, 60),
}

CASES = {
    "LagWarning": [
        Case("a slow engine", {"ReplicationLag": [*each(0, 20, 300), *each(20, 30, 300, 9_000), *each(30, 90, 300)]},
             fires(23, 38)),
        # 1 of 200 invocations is slow: the p99 does not see it.
        Case("an outlier", {"ReplicationLag": [*each(0, 60, *[300] * 199), *each(0, 60, 9_000)]}),
        Case("a table that is written once in 3 minutes", {"ReplicationLag": each(20, 40, 9_000, step=3)}, fires(27, 45)),
    ],
    "LagCritical": [Case("after an outage", OUTAGE, fires(42, 48)),
                    Case("a slow engine", {"ReplicationLag": each(0, 90, 90_000)})],
    "IteratorAgeWarning": [Case("an outage with one lane", OUTAGE, fires(21, 53)),
                           Case("one late batch", {"IteratorAge": [*each(0, 90, 200), (30, 45_000)]})],
    "IteratorAgeCritical": [Case("a blocked shard", {"IteratorAge": each(0, 90, 60_000) + each(30, 50, 3_700_000)}, fires(31, 65)),
                            Case("an outage with one lane", OUTAGE)],
    "FailedRecords": [Case("an outage with one lane", OUTAGE, fires(16, 56))],
    "DeadLetters": [Case("poison", {"ApproximateNumberOfMessagesVisible": [*each(0, 20, 0), *each(20, 40, 2), *each(40, 90, 0)]},
                         fires(21, 41)),
                    Case("two are allowed", {"ApproximateNumberOfMessagesVisible": each(0, 90, 2)},
                         parameters={"DeadLettersAllowed": 2})],
    "DeadLetterAge": [Case("nobody redrives", {"ApproximateAgeOfOldestMessage": [*each(0, 30, 43_100), *each(30, 50, 43_300), *each(50, 90, 0)]},
                           fires(31, 51))],
    "KeptBatches": [Case("retries used up", OUTAGE, fires(31, 48)),
                    Case("an outage that ends in time", {"OnFailureDestinationDeliveredEventCount": each(0, 90, 0)})],
    "LostRecords": [Case("the bucket refuses", {"DroppedEventCount": [(30, 3)], "OnFailureDestinationDeliveredEventCount": [(20, 1)]},
                         fires(31, 36)),
                    Case("an outage with one lane", OUTAGE)],
    "DeliveryFailures": [Case("the queue is gone", {"DestinationDeliveryFailures": [(30, 1)]}, fires(31, 48)),
                         Case("deliveries", {"DestinationDeliveryFailures": each(0, 90, 0)})],
    "Silence": [Case("a disabled mapping", {"ConsumedWriteCapacityUnits": each(0, 90, 60),
                                            "PolledEventCount": each(0, 30, 30) + each(70, 90, 30)}, fires(45, 76)),
                Case("nobody writes", {"PolledEventCount": each(0, 30, 30)}),
                Case("a stream that is read", OUTAGE)],
    "Errors": [Case("a wrong configuration", {"Errors": [*each(0, 30, 0), *each(30, 50, 1, step=5), *each(50, 90, 0)]}, fires(31, 63))],
    "Throttles": [Case("a busy account", {"Throttles": each(30, 40, 4)}, fires(35, 53)),
                  Case("four minutes", {"Throttles": each(0, 30, 0) + each(30, 34, 4) + each(34, 90, 0)})],
    "Duration": [Case("an outage with one lane", OUTAGE, fires(21, 53)),
                 Case("a longer timeout", OUTAGE, parameters={"Timeout": 900})],
    "Concurrency": [Case("more lanes than the reserve", {"ConcurrentExecutions": each(0, 30, 40) + each(30, 50, 95) + each(50, 90, 40)},
                         fires(35, 51)),
                    Case("a large reserve", {"ConcurrentExecutions": each(0, 90, 95)}, parameters={"ReservedConcurrency": 500})],
    "OrderAnomalies": [Case("clocks and sequence numbers disagree", {"OrderAnomalies": each(0, 30, 0) + [(30, 1)]}, fires(31, 48))],
    "VerifyDifferences": [Case("until the next verify", {"VerifyDifferences": [(10, 0), (30, 2), (80, 0)]}, fires(31, 81)),
                          Case("the next verify finds none", {"VerifyDifferences": [(30, 2), (36, 0)]}, fires(31, 37))],
    "VerifyMissing": [Case("no verify for two days", {"VerifyItems": [(-30, 1_000), (60, 1_000), (DAY + 60, 1_000), (5 * DAY, 1_000)]},
                           fires(3 * DAY + 61, 5 * DAY + 1), minutes=6 * DAY)],
    "Heartbeat": [Case("searches that see changes late", {"SearchableLag": each(-10, 30, 1_400) + each(30, 50, 42_000) + each(50, 90, 1_400)},
                       fires(33, 53)),
                  Case("beats that no search finds", {"SearchableLag": each(-10, 30, 1_400) + each(50, 90, 1_400)}, fires(33, 53)),
                  Case("a minute without a beat, and a late one", {"SearchableLag": each(-10, 40, 1_400) + [(41, 42_000)] + each(42, 90, 1_400)}),
                  Case("a slow refresh that is allowed", {"SearchableLag": each(-10, 90, 42_000)}, parameters={"HeartbeatLagMs": 50_000})],
    "ExecutionsFailed": [Case("a verdict", {"ExecutionsFailed": [(30, 1)]}, fires(31, 36)),
                         Case("a time-out", {"ExecutionsTimedOut": [(30, 1)]}, fires(31, 36))],
    "PurgeFailures": [Case("a failed run", {"Errors": [(30, 1)]}, fires(31, 46)), Case("a daily run", {"Errors": [(30, 0)]})],
    "KinesisSkipped": [Case("a large record", {"FailedToReplicateRecordCount": [(30, 1)]}, fires(31, 46)),
                       Case("none", {"FailedToReplicateRecordCount": each(0, 90, 0)})],
    "KinesisAge": [Case("a stream that refuses", {"AgeOfOldestUnreplicatedRecord": each(0, 30, 20) + each(30, 50, 90_000) + each(50, 90, 20)},
                        fires(33, 63))],
    "KinesisThrottles": [Case("too few shards", {"ThrottledPutRecordCount": each(30, 50, 7)}, fires(33, 65)),
                         Case("none", {"ThrottledPutRecordCount": each(0, 90, 0)})],
}
