# Removes the object of a job that has ended or never started, and what is left of its processes.

main() { # ROOT INSTANCE NAME UID
    open_root "$1" "$2"
    if ! card "$3" "$4"; then
        echo absent
        return
    fi
    if [ -d "$dir" ] && ! claim "0 0 $(now)" && [ ! -e "$dir/exit" ] && alive && [ ! -e "$dir/exit" ]; then
        echo running
        return
    fi
    kill_marked
    removed=$uid
    problem=$(rm -rf "$dir" 2>&1) || {
        printf 'refused %s\n' "$(printf '%s' "$problem" | tr '\n' ' ')"
        return
    }
    if card "$3" && [ "$uid" = "$removed" ]; then rm -f "$root/$3"; fi
    echo removed
}
