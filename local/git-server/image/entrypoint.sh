#!/bin/sh
# Nothing else writes the volume while this starts, so a lock or a half-received pack is what a killed server left behind.
set -eu
repo=/srv/git/platform.git
git init --quiet --bare "$repo"
find "$repo" -name '*.lock' -delete
rm -rf "$repo"/objects/tmp_objdir-* "$repo/gc.pid" /srv/git/.upload
mkdir /srv/git/.upload
exec lighttpd -D -f /etc/git-server/lighttpd.conf
