"""The metric of flows by state."""

from specstore_service.store.flows import count_flows_by_state


def test_flows_are_counted_by_state_also_those_without_any(api, db):
    def counts():
        with db.transaction() as tx:
            return count_flows_by_state(tx)

    assert counts() == {"QUEUED": 0, "INPROGRESS": 0, "SUCCEEDED": 0, "FAILED": 0}
    flows = [api.create_flow(), api.create_flow(), api.create_flow()]
    for pipeline in api.get(flows[0]).json["pipelines"]:
        api.finish(pipeline)
    for pipeline in api.get(flows[1]).json["pipelines"]:
        api.finish(pipeline, success=False)
    assert counts() == {"QUEUED": 1, "INPROGRESS": 0, "SUCCEEDED": 1, "FAILED": 1}
