# Run PostgreSQL in any image that has its programs, with a read-only root file system.
PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
cluster=/data/postgresql
if [ ! -d $cluster ]; then
  rm -rf $cluster.new # a start that was cut short
  printf %s "$PASSWORD" > /tmp/password
  initdb --pgdata=$cluster.new --username=distillery --pwfile=/tmp/password \
    --auth-host=scram-sha-256 --auth-local=scram-sha-256 --encoding=UTF8 --no-locale
  echo "CREATE DATABASE distillery;" | postgres --single -D $cluster.new postgres
  echo "host all all all scram-sha-256" >> $cluster.new/pg_hba.conf
  mv $cluster.new $cluster
  rm /tmp/password
fi
chmod 0700 $cluster # a volume that is mounted again may have been opened to its group
unset PASSWORD
exec postgres -D $cluster -c listen_addresses='*' -c unix_socket_directories=/tmp
