# Sends a job's log in frames: "out 12" or "err 12", then so many bytes.

most=1048576

size() {
    if [ -f "$dir/$1" ]; then wc -c <"$dir/$1"; else echo 0; fi
}

# from OFFSET SIZE TAIL: where to begin
from() {
    if [ "$3" -gt 0 ] && [ "$2" -gt "$3" ]; then echo $(($2 - $3)); else echo "$1"; fi
}

# frame STREAM OFFSET END: sends the next piece and sets $sent to its length
frame() {
    sent=$(($3 - $2))
    [ "$sent" -gt 0 ] || return 1
    [ "$sent" -le "$most" ] || sent=$most
    printf '%s %s\n' "$1" "$sent" || exit
    tail -c "+$(($2 + 1))" "$dir/$1" | head -c "$sent"
}

# send OUT_END ERR_END: sends what is there; fails when there is nothing
send() {
    grew=1
    if frame out "$out" "$1"; then out=$((out + sent)) grew=0; fi
    if frame err "$err" "$2"; then err=$((err + sent)) grew=0; fi
    return $grew
}

over() {
    [ -e "$dir/exit" ] && return
    [ -d "$dir" ] || return 0
    [ -e "$dir/start" ] && ! alive
}

follow() { # PAUSE BEAT
    silent=0
    while :; do
        last=no
        if over; then last=yes; fi
        if send "$(size out)" "$(size err)"; then
            silent=0
            continue
        fi
        [ "$last" = no ] || return
        silent=$((silent + 1))
        if [ "$silent" -ge "$2" ]; then
            echo beat || exit
            silent=0
        fi
        nap "$1"
    done
}

main() { # ROOT INSTANCE NAME FOLLOW OUT ERR TAIL PAUSE BEAT
    open_root "$1" "$2"
    if ! card "$3" || [ ! -d "$dir" ]; then
        echo absent
        return
    fi
    out_end=$(size out) err_end=$(size err)
    out=$(from "$5" "$out_end" "$7") err=$(from "$6" "$err_end" "$7")
    echo "open o${out}e$err"
    while send "$out_end" "$err_end"; do :; done
    if [ "$4" = yes ]; then follow "$8" "$9"; fi
}
