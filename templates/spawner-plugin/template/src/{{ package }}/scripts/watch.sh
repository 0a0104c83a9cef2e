# Tells of all jobs of the instance at each change; follows list.sh.

main() { # ROOT INSTANCE PAUSE BEAT
    open_root "$1" "$2"
    last=none
    silent=0
    while :; do
        seen=$(report_all)
        if [ "$seen" != "$last" ]; then
            printf '%s\nnow %s\n' "$seen" "$(now)" || exit
            last=$seen
            silent=0
        elif [ "$silent" -ge "$4" ]; then
            echo beat || exit # fails when nobody listens any more
            silent=0
        fi
        silent=$((silent + 1))
        nap "$3"
    done
}
