"""Re-indexes indexes whose ids do not show their keys, one of them an entity's own: nothing can be listed there.

The state `Find orphans` then looks for nothing (`"orphans": "possible"`), and only counts say what is too much.
"""

import json

from reindex_scenario import SEARCHES, status

INDEX, ENTITY_INDEX = "derived", "derived-first"
# The items whose keys begin so are an entity, with an index of its own.
PREFIX = "item-000"
REPLICATION = rf"""
[[derive]]
from = "pk"
pattern = '^(?<kind>item)-(?<number>\d+)$'
fields = ["number"]
[id]
leave_out = ["kind"]
[[entity]]
name = "first"
attribute = "pk"
prefix = "{PREFIX}"
index = "{ENTITY_INDEX}"
"""
DEFINITION = {"entity_indexes": {ENTITY_INDEX: {"mappings": {"properties": {"number": {"type": "keyword"}}}}}}


def reindexes_without_listing(run, keys, segments):
    """Fills and re-indexes both indexes. A document without an item gets into each new one in between."""
    reconfigure(run, {"INDEX": INDEX, "REPLICATION": REPLICATION, "INDEX_DEFINITION": json.dumps(DEFINITION)})
    of_entity = sum(key.startswith(PREFIX) for key in keys)
    for index, entity_index, items in ((INDEX, None, len(keys) - of_entity), (ENTITY_INDEX, ENTITY_INDEX, of_entity)):
        of = {"entity_index": entity_index}
        report = run.succeeds("Complete", function="backfill", segments=segments, request=of)
        counts = report["counts"]
        assert (counts["written"] + counts["superseded"], counts["rejected"]) == (items, 0), report
        assert mapped(run, index) == ("text" if entity_index is None else "keyword")

        given = of | {"segments": segments, "verify": {"settle_ms": 200}}
        filled = status(run, given, "filling")
        new, verified = filled["other"]["name"], filled["other"]["verified"]
        assert (new, verified["items"], verified["differences"]) == (f"{index}-000002", items, 0), filled
        counts = orphans_looked_for(run)["counts"]
        assert (counts["read"], counts["orphaned"]) == (0, 0), counts
        refused = json.loads(run.fails("SegmentFailed", function="verify", request=of | {"index": "other", "orphans": "full"}))
        assert "do not show them" in refused["failures"][0]["message"], refused

        # Nobody can tell its item, so no difference is found: the counts differ.
        run.engine(f"{new}/_doc/-99999?refresh=true", "PUT", {"number": "99999"})
        assert status(run, given, "filling")["other"]["verified"]["differences"] == 0
        count = {"function": "verify", "segments": segments, "request": of | {"index": "other", "orphans": "count"}}
        report = run.succeeds("Equal", **count)
        assert (report["counts"]["items"], report["documents_in_index"]) == (items, items + 1), report
        run.engine(f"{new}/_doc/-99999?refresh=true", "DELETE")
        report = run.succeeds("Equal", **count)
        assert (report["counts"]["items"], report["documents_in_index"]) == (items, items), report

        switched = status(run, given | {"searches": SEARCHES, "switch": True}, "switched")
        assert switched["public"]["name"] == new, switched
        assert run.engine(f"{index}/_count")["count"] == items


def reconfigure(run, variables):
    """Gives the functions of long work other variables."""
    for name in ("Backfill", "Verify", "Reindex"):
        function = run.outputs[f"{name}FunctionName"]
        given = run.lambdas.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        run.lambdas.update_function_configuration(FunctionName=function, Environment={"Variables": given | variables})


def mapped(run, index):
    """The type of the derived field in the index behind an alias."""
    return next(iter(run.engine(f"{index}/_mapping").values()))["mappings"]["properties"]["number"]["type"]


def orphans_looked_for(run):
    """The report of the newest execution that a re-index started to find orphans."""
    executions = run.states.list_executions(stateMachineArn=run.outputs["SegmentsStateMachineArn"])["executions"]
    executions.sort(key=lambda execution: execution["startDate"], reverse=True)
    for execution in executions:
        described = run.states.describe_execution(executionArn=execution["executionArn"])
        if json.loads(described["input"]).get("request", {}).get("orphans") == "possible":
            return json.loads(described["output"])
    raise AssertionError("no execution looked for possible orphans")
