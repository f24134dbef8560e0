#!/bin/sh
# Exit 0 when what runs in this container is ready: a worker, unless RAMPART_HEALTH_URL names something else.
exec node -e 'fetch(process.env.RAMPART_HEALTH_URL || "http://127.0.0.1:9091/readyz").then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))'
