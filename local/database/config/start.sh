#!/bin/sh
# Makes the database on an empty volume, then becomes the server. Whatever kills it half-way, the next start goes on from there.
set -eu
PATH=/usr/lib/postgresql/17/bin:$PATH
volume=/var/lib/postgresql/data
data=$volume/17
unfinished=$volume/unfinished
config=config_file=/etc/database/postgresql.conf
# By itself, so that a file that is missing ends the start.
password=$(cat /run/secrets/database/password)

# Runs each line of its input as SQL, without a server and without a connection; the first error ends it, and no log repeats a line.
run_sql() {
  postgres --single -D "$1" -c "$config" -c exit_on_error=on -c log_min_error_statement=panic "$2" > /dev/null
}

# What has its final name is complete.
if [ ! -e "$data" ]; then
  rm -rf "$unfinished"
  initdb --pgdata="$unfinished" --username=postgres --auth=reject --encoding=UTF8 --locale=C --data-checksums > /dev/null
  run_sql "$unfinished" postgres <<SQL
CREATE ROLE service LOGIN
CREATE DATABASE service OWNER service
SQL
  mv "$unfinished" "$data"
  sync "$volume"
fi

# At each start, so that the role always has the password that the Secret has.
run_sql "$data" postgres <<SQL
ALTER ROLE service PASSWORD '$password'
SQL

# As the first process of the container, it gets the stop signal itself.
exec postgres -D "$data" -c "$config"
