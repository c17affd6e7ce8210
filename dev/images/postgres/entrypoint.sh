#!/bin/sh
# Initialises $PGDATA once, then becomes the server. Arguments go to postgres.
# POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE is needed the first time; POSTGRES_USER owns POSTGRES_DB.
set -eu
umask 077
: "${PGDATA:=/var/lib/postgresql/data/pgdata}"
user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  password=${POSTGRES_PASSWORD:-}
  if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then password=$(cat "$POSTGRES_PASSWORD_FILE"); fi
  if [ -z "$password" ]; then
    echo "No password: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE for the first start." >&2
    exit 1
  fi
  # Made beside its place and renamed: a pod killed half way starts over instead of running on half a database.
  new=$PGDATA.new
  rm -rf "$new"
  mkdir -p "$new"
  printf '%s\n' "$password" >/tmp/password
  initdb --pgdata="$new" --username="$user" --pwfile=/tmp/password --auth=scram-sha-256 \
    --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"
  if [ "$database" != postgres ]; then
    printf 'CREATE DATABASE "%s"\n' "$database" | postgres --single -D "$new" postgres >/dev/null
  fi
  if [ -e "$PGDATA" ]; then rm -rf "$PGDATA"; fi
  mv "$new" "$PGDATA"
fi

unset POSTGRES_PASSWORD
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"
