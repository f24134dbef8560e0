#!/bin/sh
# The CLI inside the images.
exec node --enable-source-maps "${RAMPART_HOME:-/app}/dist/clients/cli/main.js" "$@"
