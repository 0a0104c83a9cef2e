# Looks at the host: the utilities that the scripts use, the root folder, the clock.

main() { # ROOT INSTANCE
    open_root "$1" "$2"
    for tool in cat cut date grep head ln mkdir mv rm sed setsid sleep tail tr wc; do
        command -v "$tool" >/dev/null || printf 'missing %s\n' "$tool"
    done
    if [ -r /proc/self/environ ]; then echo proc; fi
    if problem=$(mkdir -p "$root/.jobs" 2>&1) && [ -w "$root/.jobs" ]; then
        printf 'root %s\n' "$(cd "$root" && pwd)"
    else
        printf 'denied %s\n' "$(printf '%s' "${problem:-it cannot be written}" | tr '\n' ' ')"
    fi
    printf 'now %s\n' "$(now)"
}
