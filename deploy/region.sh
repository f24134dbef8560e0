#!/bin/sh
# One region in one container: PostgreSQL and a worker beside it.
#
# The database is not the container's main process: a failover stops it, and the container must live on so that the
# worker can prove the fence and later bring it back. Workers are what runs for ever; one that ends is started again,
# and when the container is stopped the workers are stopped first and the database after them.
#
# Environment: REGION, HOME_REGION (where the first primary is made), FIRST_START (1: there is no database yet in either
# region, so the home region makes one), PEER (host of the other region's database),
# DB_PASSWORD (roles rampart and app), PG_BIN, NODE_DIR (holds data/, node.conf, postgres.log), WORKERS (2),
# PGPORT and PEER_PORT (5432).
set -eu
: "${REGION:?}" "${HOME_REGION:?}" "${PEER:?}" "${DB_PASSWORD:?}" "${PG_BIN:?}" "${NODE_DIR:?}"
port=${PGPORT:-5432}
data=$NODE_DIR/data
say() { echo "region $REGION: $*"; }

# What differs between the nodes lies outside the data directory: base backups and pg_rewind copy what is inside.
settings() {
  mkdir -p "$NODE_DIR"
  printf "port = %s\ncluster_name = '%s'\n" "$port" "$REGION" >"$NODE_DIR/node.conf"
}

make_primary() {
  say "making the first primary"
  umask 077
  printf '%s' "$DB_PASSWORD" >"$NODE_DIR/password"
  "$PG_BIN/initdb" -D "$data" -U rampart --pwfile "$NODE_DIR/password" --auth=scram-sha-256 --encoding=UTF8 \
    --locale=C --data-checksums --no-instructions >/dev/null
  rm -f "$NODE_DIR/password"
  cat >>"$data/postgresql.conf" <<CONF
listen_addresses = '*'
unix_socket_directories = '$NODE_DIR'
wal_level = replica
max_wal_senders = 10
max_replication_slots = 10
max_slot_wal_keep_size = '1GB'
wal_log_hints = on
track_commit_timestamp = on
include_if_exists '../node.conf'
CONF
  printf 'host all all all scram-sha-256\nhost replication all all scram-sha-256\n' >>"$data/pg_hba.conf"
  start_database
  PGPASSWORD=$DB_PASSWORD "$PG_BIN/psql" -qX -v ON_ERROR_STOP=1 -v password="$DB_PASSWORD" \
    -h "$NODE_DIR" -p "$port" -U rampart postgres <<'SQL'
CREATE ROLE app LOGIN PASSWORD :'password';
CREATE DATABASE app OWNER app;
\connect app
SET ROLE app;
CREATE TABLE orders (
  id uuid PRIMARY KEY,
  amount integer NOT NULL,
  region text NOT NULL,
  placed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
SQL
}

peer() {
  PGPASSWORD=$DB_PASSWORD PGCONNECT_TIMEOUT=2 "$PG_BIN/psql" -qXAt -h "$PEER" -p "${PEER_PORT:-$port}" -U rampart app -c "$1"
}

# A replica streams through a slot of its own, named as Rampart names it.
make_replica() {
  slot=rampart_$(echo "$REGION" | tr '[:upper:]-' '[:lower:]_')
  say "waiting for the database of $PEER, then copying it"
  until peer 'SELECT 1 FROM orders LIMIT 0' >/dev/null 2>&1; do sleep 1; done
  peer "SELECT pg_create_physical_replication_slot('$slot', true)
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '$slot')" >/dev/null
  rm -rf "$data.copy"
  "$PG_BIN/pg_basebackup" -D "$data.copy" -R -S "$slot" -X stream -c fast \
    -d "host=$PEER port=${PEER_PORT:-$port} user=rampart password=$DB_PASSWORD application_name=$REGION"
  mv "$data.copy" "$data"
  start_database
}

start_database() {
  "$PG_BIN/pg_ctl" -D "$data" -l "$NODE_DIR/postgres.log" -w start >/dev/null
  say "the database is up"
}

# A container that comes back may hold an old primary: the other region knows whether it was failed over meanwhile.
# While that region is silent nobody knows; it is asked again beside the workers until it answers.
ask_guard() {
  PGPASSWORD=$DB_PASSWORD rampart local-guard --data-dir "$data" --peer "$PEER:${PEER_PORT:-$port}" --bin "$PG_BIN" --slots
}
start_guarded() {
  code=0
  ask_guard || code=$?
  while [ "$code" = 3 ] && [ "$1" = again ]; do
    code=0
    ask_guard || code=$?
  done
  case $code in
    0) start_database || exit 1 ;;
    3) say "the database waits for an answer of $PEER" ;;
    *) say "the database stays down; where it was failed over, 'rampart reprotect' brings it back as a replica" ;;
  esac
  return "$code"
}

# One worker, started again when it ends.
keep_worker() {
  pid=
  trap 'trap "" TERM; [ -z "$pid" ] || { kill -TERM "$pid" 2>/dev/null; wait "$pid"; }; exit 0' TERM
  while :; do
    rampart worker --region "$REGION" --health-address "0.0.0.0:$((9090 + $1))" \
      --metrics-address "0.0.0.0:$((9190 + $1))" &
    pid=$!
    wait "$pid" || say "worker $1 ended with $?; starting it again"
    sleep 1
  done
}

stop() {
  trap '' TERM INT
  # shellcheck disable=SC2086 # a list of numbers
  kill -TERM $guard $keepers 2>/dev/null || true
  # shellcheck disable=SC2086
  wait $keepers 2>/dev/null || true
  [ ! -f "$data/postmaster.pid" ] || "$PG_BIN/pg_ctl" -D "$data" -m fast -w stop >/dev/null 2>&1 || true
  exit 0
}

settings
guard=
if [ -f "$NODE_DIR/made" ]; then
  code=0
  start_guarded once || code=$?
  if [ "$code" = 3 ]; then
    start_guarded again &
    guard=$!
  fi
elif [ -e "$data" ]; then
  say "$data is there but was never finished, or is not ours: look at it, and remove the volume if it may go"
  exit 1
else
  # A home region that lost its volume must not make a second, empty primary beside the living one. A peer that does
  # not answer says nothing: only a person knows that this is the first start.
  if [ "$REGION" = "$HOME_REGION" ] && [ "${FIRST_START:-}" = 1 ] && ! peer 'SELECT 1' >/dev/null 2>&1; then
    make_primary
  else
    [ "$REGION" != "$HOME_REGION" ] || say "there is no database here; for the very first start set FIRST_START=1"
    make_replica
  fi
  : >"$NODE_DIR/made"
fi
keepers=
for n in $(seq "${WORKERS:-2}"); do
  keep_worker "$n" &
  keepers="$keepers $!"
done
trap stop TERM INT
# shellcheck disable=SC2086
wait $keepers
