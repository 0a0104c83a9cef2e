# Tells what is known of jobs: of one by its name, or of all of the instance.

# report NAME
report() {
    card "$1" || return 0
    printf 'job %s %s %s %s\ncard %s\n' "$1" "$uid" "$hash" "$created" "$json"
    if [ ! -d "$dir" ]; then
        echo lost lost.missing
        return
    fi
    [ -e "$dir/start" ] || return 0
    lives=no # asked before the file "exit" is looked for: who died unseen has written it before
    if alive; then lives=yes; fi
    printf 'start %s\n' "$started"
    if read -r code cause ended <"$dir/exit"; then
        printf 'exit %s %s %s\n' "$code" "$cause" "$ended"
        if [ -s "$dir/tail" ]; then
            cat "$dir/tail"
            echo
        fi
    elif [ "$lives" = no ] && [ -d "$dir" ]; then
        echo lost lost.supervisor
    fi
}

report_all() {
    for path in "$root"/*; do report "${path##*/}"; done
}

main() { # ROOT INSTANCE [NAME]
    open_root "$1" "$2"
    if [ $# -gt 2 ]; then
        report "$3"
    else
        report_all
    fi
    printf 'now %s\n' "$(now)"
}
