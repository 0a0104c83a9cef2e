# Ends a job: SIGTERM, after the grace SIGKILL. One that never started never starts afterwards.

main() { # ROOT INSTANCE NAME UID GRACE LIMIT (both in tenths of a second)
    open_root "$1" "$2"
    if ! card "$3" "$4" || [ ! -d "$dir" ]; then
        echo absent
        return
    fi
    if claim "0 0 $(now)"; then
        finish - cancelled
        echo ended
        return
    fi
    : >"$dir/asked"
    waited=0
    asked=no
    while [ ! -e "$dir/exit" ]; do
        if ! alive; then
            [ -e "$dir/exit" ] || kill_marked
            break
        fi
        step "$5"
        if [ "$waited" -ge "$6" ]; then
            echo slow
            return
        fi
        waited=$((waited + 1))
        nap 0.1
    done
    echo ended
}

step() { # GRACE
    job=
    read -r job <"$dir/pid"
    [ -n "$job" ] || return
    if [ "$waited" -ge "$1" ]; then
        signal KILL
    elif [ "$asked" = no ] && signal TERM; then
        asked=yes
    fi
}
