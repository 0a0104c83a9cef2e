# Makes the object of a job, or tells what is there.

make() {
    mkdir -p "$root/.jobs" && mkdir "$dir" "$dir/work" &&
        printf '%s %s %s %s %s\n%s\n' "$magic" "$2" "$instance" "$3" "$(now)" "$4" >"$dir/card"
}

main() { # ROOT INSTANCE NAME UID HASH JSON
    open_root "$1" "$2"
    for attempt in 1 2; do
        dir=$root/.jobs/$4
        problem=$(make "$3" "$4" "$5" "$6" 2>&1) || {
            rm -rf "$dir"
            printf 'refused %s\n' "$(printf '%s' "$problem" | tr '\n' ' ')"
            return
        }
        if [ ! -d "$root/$3" ] && ln "$dir/card" "$root/$3"; then
            echo created
            return
        fi
        rm -rf "$dir"
        if ! card "$3"; then
            [ -n "$foreign" ] || continue # it was removed meanwhile
            printf 'foreign %s\n' "$foreign"
            return
        fi
        if [ -d "$dir" ]; then
            launched=no
            [ ! -e "$dir/start" ] || launched=yes
            printf 'exists %s %s %s %s\n' "$uid" "$hash" "$launched" "$json"
            return
        fi
        rm -f "$root/$3" # what a removal that was cut short left behind
    done
    echo busy
}
