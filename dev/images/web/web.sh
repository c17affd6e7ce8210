#!/bin/sh
# Serves MESSAGE on port 8080, and /healthz unless FAIL_HEALTH; CRASH ends it at once.
case ${CRASH:-} in 1 | true) echo "CRASH is set: exiting" >&2; exit 3 ;; esac
root=/www
case ${FAIL_HEALTH:-} in 1 | true) root=/www-unhealthy ;; esac
echo "serving $root on port ${PORT:-8080}"
# Process 1 of a container ignores SIGTERM unless it asks for it; without the trap every stop takes the whole grace period.
httpd -f -p "${PORT:-8080}" -h "$root" &
trap 'kill $! ; exit 0' TERM INT
wait
