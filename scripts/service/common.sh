# What the scripts of single services share; each sources it. A service script sets `name`, `port`, `tls_port` where it speaks TLS as well, and the functions
#   provide   makes sure that the program is there (a download into $cache, or a package of the system), once
#   start     starts the server, by `background`, with its data in $dir
#   answers   succeeds when the server takes requests
# and then calls `service "$@"`:
#   up [ARGUMENT...]   starts it where nothing answers yet, with these arguments besides its own, and returns when it answers; one of an earlier version, without TLS,
#                      is started anew
#   down               stops it and waits for its end
#   status             one line: NAME ADDRESS PID up|down; fails when it is down
# GOGOCHAT_RUN is the folder of run data (one for each independent set of services), GOGOCHAT_REDIS_PORT (and so on) a port instead of the usual. Away from
# its usual port a service speaks TLS only where GOGOCHAT_REDIS_TLS_PORT (and so on) says: sets of services would meet at one.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tls_port=
# The certificate of all services, and its key, in one file; beside it ca.pem, the authority that signed it.
certificate=$HOME/.cache/gogochat/services/tls/server.pem

service() {
  local verb=${1:-up}; shift || true
  local own_port=GOGOCHAT_${name^^}_PORT own_tls_port=GOGOCHAT_${name^^}_TLS_PORT
  [ -z "${!own_port:-}" ] || [ "${!own_port}" = "$port" ] || tls_port=
  port=${!own_port:-$port} tls_port=${!own_tls_port:-$tls_port}
  cache=$HOME/.cache/gogochat/services/$name
  dir=$(realpath -m "${GOGOCHAT_RUN:-$HOME/.cache/gogochat/run}")/$name
  mkdir -p "$dir" "${cache%/*}"
  # Two at once: the second waits, and finds it up. Every server is started without this descriptor, or it would hold the lock.
  exec 9>"$dir/lock"; flock 9
  case $verb in
    up)
      if ! (answers) 2>/dev/null || is_outdated; then
        # Two sets of services (two run folders) may need the same download.
        (exec 8>"$cache.lock"; flock 8; provide 8>&- 9>&-) >&2
        (exec 8>"${certificate%/*}.lock"; flock 8; certify) >&2
        stop_own
        start "$@"
        await
      fi
      echo "GOGOCHAT_TEST_${name^^}=$(address)"
      [ -z "$tls_port" ] || echo "GOGOCHAT_TEST_${name^^}_TLS=127.0.0.1:$tls_port" ;;
    down) stop_own ;;
    status)
      local state=down pid; (answers) 2>/dev/null && state=up
      pid=$(own_pid) || pid=-
      echo "$name $(address) $pid $state"
      [ "$state" = up ] ;;
    *) echo "usage: scripts/service/$name up|down|status" >&2; exit 2 ;;
  esac
}

# background COMMAND...: starts it with its output in $dir/log, in a session of its own (a Ctrl-C at the
# script does not reach it), and notes its pid. It gets no other open file: it may outlive who asked for
# it, and would hold their locks. The command has to name $dir, by which `own_pid` knows it.
background() {
  (
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      [ "$fd" -le 2 ] || exec {fd}>&-
    done
    exec setsid "$@" </dev/null >"$dir/log" 2>&1
  ) &
  echo $! >"$dir/pid"
}

# Makes the certificate, once for all services of this machine: an authority, and what it signs for 127.0.0.1 and no other name.
certify() {
  [ -e "$certificate" ] && return
  command -v openssl >/dev/null || "$root/scripts/setup" tls
  local dir=${certificate%/*} new=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650)
  mkdir -p "$dir"
  (
    cd "$dir"
    umask 077
    printf '%s\n' '[req]' 'distinguished_name = name' '[name]' '[ca]' 'basicConstraints = critical,CA:TRUE' 'keyUsage = critical,keyCertSign' \
      '[server]' 'basicConstraints = CA:FALSE' 'subjectAltName = IP:127.0.0.1' 'extendedKeyUsage = serverAuth' >openssl.cnf
    openssl req -config openssl.cnf -x509 -extensions ca "${new[@]}" -subj "/CN=services of tests" -keyout ca.key -out ca.pem
    openssl req -config openssl.cnf -x509 -CA ca.pem -CAkey ca.key -extensions server "${new[@]}" -subj /CN=127.0.0.1 -keyout server.key -out server.crt
    cat server.key server.crt >server.new
    rm server.key server.crt ca.key
    mv server.new server.pem
  ) 2>"$dir/log" || { cat "$dir/log"; exit 1; }
}

speaks_tls() { [ -n "$tls_port" ]; }

# Whether it is ours and does not have the certificate that there is, which stands in its command or in the file that is written at its start: one that an
# earlier version has started has none.
is_outdated() {
  local pid
  speaks_tls && pid=$(own_pid) || return
  ! { [ -e "$certificate" ] && [ "$certificate" -ot "$dir/pid" ] && grep -qasF "$certificate" "/proc/$pid/cmdline" "$dir/redis.conf" "$dir/server.properties"; }
}

address() { echo "127.0.0.1:$port"; }

# jars: downloads what the Maven elements on stdin depend on into $cache/lib, once for each version.
jars() {
  { command -v java && command -v mvn; } >/dev/null || "$root/scripts/setup" "$name" </dev/null
  [ -e "$cache/$version.done" ] && return
  rm -rf "$cache"; mkdir -p "$cache"
  {
    echo "<project><modelVersion>4.0.0</modelVersion><groupId>gogochat</groupId>"
    echo "<artifactId>$name</artifactId><version>1</version><packaging>pom</packaging>"
    cat
    echo "</project>"
  } >"$cache/pom.xml"
  echo "downloading $name $version"
  # One at a time: Maven's own cache is not made for two. A wrong checksum is an error.
  flock "${cache%/*}/maven.lock" mvn -q -B -C -f "$cache/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$cache/lib" >"$cache/mvn.log" 2>&1 ||
    { tail -20 "$cache/mvn.log"; exit 1; }
  touch "$cache/$version.done"
}

# The pid of the server that was started here, when it lives.
own_pid() {
  local pid; pid=$(cat "$dir/pid" 2>/dev/null) || return 1
  # Another process may have been given the number meanwhile: ours names its folder.
  tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$dir" && echo "$pid"
}

stop_own() {
  local pid; pid=$(own_pid) || return 0
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 200); do has_ended "$pid" && return; sleep 0.05; done
  kill -9 "$pid" 2>/dev/null || true
  until has_ended "$pid"; do sleep 0.05; done
}

# Whether no thread of the process is left. Until its parent has waited for it, which some systems'
# first process does late or never, it stays in /proc.
has_ended() {
  local threads=("/proc/$1/task"/*)
  [ ! -e "/proc/$1" ] || { [ ${#threads[@]} -eq 1 ] && grep -qs "^State:.Z" "/proc/$1/status"; }
}

# Waits for what was started; says why when it ends instead. Its command line is not asked: it is still this script's until the server has been executed.
await() {
  local pid; pid=$(cat "$dir/pid")
  for _ in $(seq 1200); do
    (answers) 2>/dev/null && return 0
    ! has_ended "$pid" || fail "$name ended as it started"
    sleep 0.05
  done
  fail "$name does not answer at $(address) after a minute"
}

fail() {
  echo "scripts/service/$name: $1; the end of $dir/log:" >&2
  tail -15 "$dir/log" >&2 || true
  exit 1
}
