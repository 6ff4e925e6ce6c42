"""Runs the state machine of a re-index: fill and prove, a planted difference, and the switch."""

import json

MACHINE = "ReindexStateMachineArn"
# All documents, counted: both indexes must agree.
SEARCHES = '{}\n{"query": {"match_all": {}}, "size": 0, "track_total_hits": true}\n'


def reindexes(run, items, segments):
    """Re-indexes a table that nobody writes to. A document without an item gets into the new index in between."""
    refused = run.execute({"switch": True}, MACHINE)
    assert (refused["status"], refused.get("error")) == ("FAILED", "Input"), refused
    before = run.documents()
    given = {"segments": segments, "verify": {"settle_ms": 200}}
    given["definition"] = {"mappings": {"properties": {"note": {"type": "keyword"}}}}
    filled = status(run, given, "filling")
    assert filled["other"]["tombstones_copied"], filled
    verified = filled["other"]["verified"]
    assert (verified["items"], verified["differences"]) == (items, 0), filled

    new = filled["other"]["name"]
    assert new != filled["public"]["name"], filled
    # No backfill mends that: it reads the table only. And no tombstone does, for no document had this id before.
    run.engine(f"{new}/_doc/newcomer?refresh=true", "PUT", {"pk": "newcomer"})
    execution = run.execute(given, MACHINE)
    assert (execution["status"], execution.get("error")) == ("FAILED", "VerifyFailed"), execution
    repair = {"index": "other", "orphans": "full", "repair": True, "settle_ms": 200}
    run.succeeds("Repaired", function="verify", request=repair)

    switched = status(run, given | {"searches": SEARCHES, "switch": True}, "switched")
    assert switched["public"]["name"] == new, switched
    assert run.documents() == before == items, (before, run.documents())


def status(run, given, state):
    """The status that an execution ends with, which must succeed in a state."""
    execution = run.execute(given, MACHINE)
    assert execution["status"] == "SUCCEEDED", (execution.get("error"), execution.get("cause"))
    answer = json.loads(execution["output"])
    assert answer["state"] == state, answer
    return answer
