# Tells where jobs live: the host's own id and the whole path of the root folder.

main() { # ROOT INSTANCE
    open_root "$1" "$2"
    mkdir -p "$root/.jobs"
    printf 'machine %s\n' "$(machine_id | head -n 1)"
    printf 'root %s\n' "$(cd "$root" && pwd -P)"
}
