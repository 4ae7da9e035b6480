# shellcheck shell=bash
# Sourced by other scripts: makes the project's own Python environment.
# `bootstrap` installs the harness and its dependencies, `bootstrap dev` also the developers' tools.
# Later calls only compare a checksum. Sets the variables `root` and `python`. Exits 4 with one
# message and a next step on errors.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${CHAOS_VENV:-$root/.venv}
python=$venv/bin/python

bootstrap() {
  local kind=${1:-runtime} locks=("$root/requirements.lock") wanted
  [[ $kind == dev ]] && locks+=("$root/requirements-dev.lock")
  wanted=$(_stamp_of "${locks[@]}")
  if ! _is_ready "$kind" "$wanted"; then
    # One set-up at a time. A second process waits, and then finds the environment ready.
    (
      flock --wait 1800 9 || _give_up "another set-up of $venv does not end" "wait for it, or end it"
      _is_ready "$kind" "$wanted" || _set_up "$kind" "$wanted" "${locks[@]}"
    ) 9<"$root/scripts" || exit $?
  fi
}

_stamp_of() { # lock...: prints a checksum of the locks, the project's metadata and its path
  { cat "$@" && sed '/^\[tool\./,$d' "$root/pyproject.toml" && printf '%s' "$root"; } |
    sha256sum | cut -d ' ' -f 1
}

_is_ready() { # kind wanted: succeeds if the environment was installed from these locks
  [[ -x $python && -r $venv/.stamp-$1 && $(<"$venv/.stamp-$1") == "$2" ]]
}

_give_up() { # problem next-step
  printf 'chaos: %s\n  next: %s\n' "$1" "$2" >&2
  exit 4
}

_say() {
  printf 'chaos: %s\n' "$1" >&2
}

_find_python() { # prints the first Python >= 3.11
  local candidate
  for candidate in ${CHAOS_PYTHON:+"$CHAOS_PYTHON"} python3 python3.13 python3.12 python3.11 python3.14; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
}

_missing_packages() { # interpreter: prints the Debian packages that the set-up needs and lacks
  "$1" - <<'PYTHON'
import ctypes, importlib.util, os
missing = []
if not importlib.util.find_spec("venv") or not importlib.util.find_spec("ensurepip"):
    missing.append("python3-venv")
for library, package in (("libgomp.so.1", "libgomp1"), ("libstdc++.so.6", "libstdc++6")):
    try:
        ctypes.CDLL(library)
    except OSError:
        missing.append(package)
print(*missing)
PYTHON
}

_system_packages() { # interpreter: installs the missing packages, or exits with their names
  local missing
  missing=$(_missing_packages "$1")
  [[ -z $missing ]] && return
  local command="apt-get update && apt-get install -y --no-install-recommends $missing"
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    _give_up "this machine lacks $missing, which only root can install" \
      "as root: $command  (or the same packages of your distribution)"
  fi
  _say "installing $missing with apt-get"
  local log
  log=$(mktemp)
  if ! DEBIAN_FRONTEND=noninteractive bash -c "$command" >"$log" 2>&1 </dev/null; then
    _give_up "apt-get could not install $missing: $(grep -m 1 '^[EW]:' "$log" || tail -n 1 "$log")" \
      "install it yourself ($command), then start again; the log is $log"
  fi
  rm -f "$log"
}

_set_up() { # kind wanted lock...: makes the environment and writes its stamp
  local kind=$1 wanted=$2 base
  shift 2
  base=$(_find_python)
  [[ -n $base ]] || _give_up "no Python 3.11 or newer was found" \
    "install python3 (Debian 12 has 3.11), or set CHAOS_PYTHON=/path/to/python3"
  _system_packages "$base"

  local log=$venv/bootstrap.log clear=()
  mkdir -p "$venv" || _give_up "cannot write $venv" "set CHAOS_VENV=DIR to put it elsewhere"
  "$python" -c '' 2>/dev/null || clear=(--clear) # incomplete, or its base Python was removed
  rm -f "$venv/.stamp-$kind"
  _say "setting up $venv (once, about a minute)"
  "$base" -m venv "${clear[@]}" "$venv" >"$venv.log" 2>&1 || _give_up \
    "python -m venv failed: $(tail -n 1 "$venv.log")" "read $venv.log"
  mv "$venv.log" "$log"

  local lock arguments=() total=0
  for lock in "$@"; do
    arguments+=(--requirement "$lock")
    total=$((total + $(grep -c '^[a-zA-Z].*==' "$lock")))
  done
  _pip "$total" "$log" --require-hashes --only-binary :all: "${arguments[@]}"
  # The project itself: editable, and built by the pinned setuptools, so pip downloads nothing.
  _pip 0 "$log" --no-index --no-build-isolation --editable "$root"
  printf '%s\n' "$wanted" >"$venv/.stamp-$kind"
  # The environment `dev` contains `runtime`, so `bootstrap` need not install again.
  [[ $kind == runtime ]] || _stamp_of "$root/requirements.lock" >"$venv/.stamp-runtime"
  _say "environment ready"
}

_pip() { # total log argument...: installs; one line of progress on a terminal, the rest in the log
  local total=$1 log=$2 line count=0
  shift 2
  {
    PIP_USER=0 "$python" -m pip install --no-deps --disable-pip-version-check --no-input \
      --progress-bar off "$@" </dev/null 2>&1
    printf 'exit %d\n' $?
  } | while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    if [[ $line == "Collecting "* && -t 2 ]]; then
      count=$((count + 1))
      printf '\r\033[K  [%d/%d] %s' "$count" "$total" "${line#Collecting }" >&2
    elif [[ $line == "Installing collected"* && -t 2 ]]; then
      printf '\r\033[K  unpacking' >&2
    fi
  done
  [[ -t 2 ]] && printf '\r\033[K' >&2
  [[ $(tail -n 1 "$log") == "exit 0" ]] || _give_up \
    "pip could not install the locked packages: $(grep '^ERROR' "$log" | tail -n 1)" \
    "check the network or point pip at your mirror (pip config); the log is $log"
}
