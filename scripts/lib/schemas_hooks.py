"""What schemathesis has to be told of our media types."""

import schemathesis

# Pieces of an upload are bytes.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
