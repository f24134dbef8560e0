#!/bin/sh
# Exit 0 when the worker in this container is ready.
exec node -e 'fetch("http://127.0.0.1:9091/readyz").then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))'
