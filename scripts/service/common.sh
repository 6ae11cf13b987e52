# What the scripts of single services share; each sources it. A service script sets `name`, `port`, and the functions
#   provide   makes sure that the program is there (a download into $cache, or a package of the system), once
#   start     starts the server, by `background`, with its data in $dir
#   answers   succeeds when the server takes requests
# and then calls `service "$@"`:
#   up [ARGUMENT...]   starts it where nothing answers yet, with these arguments besides its own, and returns when it answers
#   down               stops it and waits for its end
#   status             one line: NAME ADDRESS PID up|down; fails when it is down
# GOGOCHAT_RUN is the folder of run data (one for each independent set of services), GOGOCHAT_REDIS_PORT (and so on) a port instead of the usual.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

service() {
  local verb=${1:-up}; shift || true
  local own_port=GOGOCHAT_${name^^}_PORT
  port=${!own_port:-$port}
  cache=$HOME/.cache/gogochat/services/$name
  dir=$(realpath -m "${GOGOCHAT_RUN:-$HOME/.cache/gogochat/run}")/$name
  mkdir -p "$dir" "${cache%/*}"
  # Two at once: the second waits, and finds it up. Every server is started without this descriptor, or it would hold the lock.
  exec 9>"$dir/lock"; flock 9
  case $verb in
    up)
      if ! (answers) 2>/dev/null; then
        # Two sets of services (two run folders) may need the same download.
        (exec 8>"$cache.lock"; flock 8; provide 8>&- 9>&-) >&2
        stop_own
        start "$@"
        await
      fi
      echo "GOGOCHAT_TEST_${name^^}=$(address)" ;;
    down) stop_own ;;
    status)
      local state=down pid; (answers) 2>/dev/null && state=up
      pid=$(own_pid) || pid=-
      echo "$name $(address) $pid $state"
      [ "$state" = up ] ;;
    *) echo "usage: scripts/service/$name up|down|status" >&2; exit 2 ;;
  esac
}

# background COMMAND...: starts it with its output in $dir/log, in a session of its own (a Ctrl-C at the script does not reach it) and without the
# script's lock, and notes its pid. The command has to name $dir, by which `own_pid` knows it.
background() {
  setsid "$@" </dev/null >"$dir/log" 2>&1 9>&- &
  echo $! >"$dir/pid"
}

address() { echo "127.0.0.1:$port"; }

# The pid of the server that was started here, when it lives.
own_pid() {
  local pid; pid=$(cat "$dir/pid" 2>/dev/null) || return 1
  # Another process may have been given the number meanwhile: ours names its folder.
  tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$dir" && echo "$pid"
}

stop_own() {
  local pid; pid=$(own_pid) || return 0
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 200); do [ -e "/proc/$pid" ] || return 0; sleep 0.05; done
  kill -9 "$pid" 2>/dev/null || true
  while [ -e "/proc/$pid" ]; do sleep 0.05; done
}

# Waits for what was started; says why when it ends instead. Its command line is not asked: it is still this script's until the server has been executed.
await() {
  local pid; pid=$(cat "$dir/pid")
  for _ in $(seq 1200); do
    (answers) 2>/dev/null && return 0
    kill -0 "$pid" 2>/dev/null || fail "$name ended as it started"
    sleep 0.05
  done
  fail "$name does not answer at $(address) after a minute"
}

fail() {
  echo "scripts/service/$name: $1; the end of $dir/log:" >&2
  tail -15 "$dir/log" >&2 || true
  exit 1
}
