"""A proxy before DynamoDB that refuses the scans of one segment, lastingly, and passes everything else on."""

import json

from dynamodb_proxy import DynamoDbProxy


class RefusingProxy(DynamoDbProxy):
    """Refuses the segment that is set."""

    def __init__(self, target):
        self.refused_segment = None
        super().__init__(target)

    def refusal(self, operation, body):
        refused = operation == "Scan" and self.refused_segment is not None
        return "refused" if refused and json.loads(body).get("Segment") == self.refused_segment else None
