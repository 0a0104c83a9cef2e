# Functions that every script uses. POSIX sh; what else is needed is listed in check.sh.
#
# Layout below the root folder:
#   NAME             the job's card: a header line and a line of JSON; linking it here is the claim
#   .jobs/UID/       all else: start, pid, exit, out, err, tail, refused, work/
# The header is: MAGIC UID INSTANCE SPEC_HASH CREATED. Times are seconds since the epoch.

umask 077
magic=spawnery-shell-1

now() {
    moment=$(date +%s.%N)
    case $moment in
        *[!0-9.]*) moment=${moment%%.*} ;; # a date without %N
    esac
    printf '%s' "$moment"
}

nap() {
    sleep "$1" || sleep 1 # a sleep without fractions
}

open_root() { # ROOT INSTANCE
    instance=$2
    case $1 in
        /*) root=$1 ;;
        *) root=${HOME:-$PWD}/$1 ;;
    esac
}

# machine_id: prints what the host calls itself over restarts, nothing where it does not.
machine_id() {
    cat /etc/machine-id || cat /var/lib/dbus/machine-id
}

# card NAME [UID]: reads the card; fails when there is none of ours (then $foreign tells the owner),
# or when it is of another object than UID.
card() {
    foreign=
    uid= instance_of= hash= created= json= first=
    if [ ! -f "$root/$1" ]; then
        if [ -e "$root/$1" ] || [ -L "$root/$1" ]; then foreign='something else'; fi
        return 1
    fi
    { read -r first uid instance_of hash created && IFS= read -r json; } <"$root/$1" || first=
    if [ "$first" != "$magic" ]; then
        if [ -e "$root/$1" ]; then foreign='something else'; fi
        return 1
    fi
    if [ "$instance_of" != "$instance" ]; then
        foreign="the instance $instance_of"
        return 1
    fi
    dir=$root/.jobs/$uid
    [ -z "${2-}" ] || [ "$uid" = "$2" ]
}

# born PID: sets $born to the start time of a living process (0 where the system does not tell).
born() {
    born=0
    [ "$1" -gt 1 ] && kill -0 "$1" || return 1
    [ -r /proc/self/stat ] || return 0
    read -r facts <"/proc/$1/stat" || return 1
    facts=${facts##*) }
    set -- $facts
    [ "$1" != Z ] || return 1
    shift 19
    born=$1
}

# alive: whether the supervisor that claimed the start of this job still lives.
alive() {
    supervisor=0 since=0 started=
    { read -r supervisor since started <"$dir/start"; } || return 1
    born "$supervisor" && [ "$born" = "$since" ]
}

# claim TEXT: writes the file "start" whole, unless it is there already; one caller wins.
claim() {
    draft=$dir/.start.${me:-$$}
    printf '%s\n' "$1" >"$draft" && ln "$draft" "$dir/start"
    claimed=$?
    rm -f "$draft"
    return $claimed
}

# finish CODE CAUSE: writes how the job ended, whole.
finish() {
    draft=$dir/.exit.${me:-$$}
    printf '%s %s %s\n' "$1" "$2" "$(now)" >"$draft" && mv -f "$draft" "$dir/exit"
}

# signal NAME: to the job's process group.
signal() {
    kill -s "$1" -- "-$job"
}

# kill_marked: ends every process that carries the job's mark, wherever it moved to (Linux).
kill_marked() {
    for round in 1 2 3 4 5; do
        marked=$(grep -l "SPAWNERY_JOB_MARK=$uid" /proc/[0-9]*/environ | cut -d/ -f3)
        [ -n "$marked" ] || return 0
        for process in $marked; do kill -s KILL "$process"; done
        nap 0.05
    done
}
