# Starts a job under a supervisor: a background shell that waits for it and writes how it ended.
# Defined in front of this text: "job_env" exports the job's environment, "mask_secrets" masks each
# of its secrets, "longest_secret" is the length of the longest in bytes.

# runnable REFUSED PROGRAM: says why a program cannot be run. The job's environment is in force.
runnable() {
    case $2 in
        */*)
            if [ ! -e "$2" ]; then
                echo start.command_not_found >"$1"
                return 1
            fi
            if [ ! -f "$2" ] || [ ! -x "$2" ]; then
                echo start.not_executable >"$1"
                return 1
            fi
            ;;
        *) (on_path "$2") || {
            echo start.command_not_found >"$1"
            return 1
        } ;;
    esac
}

on_path() {
    set -f
    IFS=:
    for folder in ${PATH-/usr/bin:/bin}; do
        if [ -f "${folder:-.}/$1" ] && [ -x "${folder:-.}/$1" ]; then return 0; fi
    done
    return 1
}

# launch REFUSED WORKDIR SETSID ARG...: only positional parameters from the export on.
launch() {
    trap - HUP
    cd -- "$2" 2>/dev/null || {
        echo start.workdir >"$1"
        exit 126
    }
    unset OLDPWD
    job_env
    runnable "$1" "$4" || exit 126
    shift 2
    exec "$@"
}

supervise() { # WORKDIR TAIL ARG...
    trap '' HUP
    me=$(exec sh -c 'echo $PPID')
    born "$me"
    claim "$me $born $(now)" || exit
    folder=$1 tail=$2
    shift 2
    (launch "$dir/refused" "${folder:-$dir/work}" "$setsid" "$@" 2>"$dir/err" >"$dir/out") &
    job=$!
    echo "$job" >"$dir/pid"
    wait "$job"
    code=$?
    signal KILL # what it left behind in its group, and elsewhere
    kill_marked
    cause=-
    if [ -s "$dir/refused" ]; then read -r cause <"$dir/refused"; fi
    if [ "$tail" -gt 0 ]; then
        if [ "$code" != 0 ] || [ -e "$dir/asked" ]; then keep_tail; fi
    fi
    finish "$code" "$cause"
}

# keep_tail: writes the end of the log, secrets masked, each line behind "| ". Of each file a
# secret's length more is looked at, so that none is cut in two before it is found.
keep_tail() {
    { tail_of out && tail_of err; } | tail -c "$tail" | LC_ALL=C sed 's/^/| /' >"$dir/tail"
}

tail_of() { # FILE
    seen=$((tail + longest_secret))
    text=$(tail -c "$seen" "$dir/$1" | tr -d '\000' && echo .)
    text=${text%.}
    mask_secrets
    if [ "$(wc -c <"$dir/$1")" -gt "$seen" ]; then
        printf %s "$text" | tail -c "+$((longest_secret + 1))"
    else
        printf %s "$text"
    fi
}

# mask VALUE: replaces it in $text
mask() {
    clean=
    while :; do
        case $text in
            *"$1"*)
                clean=$clean${text%%"$1"*}***
                text=${text#*"$1"}
                ;;
            *) break ;;
        esac
    done
    text=$clean$text
}

main() { # ROOT INSTANCE NAME UID WORKDIR TAIL ARG...
    open_root "$1" "$2"
    card "$3" && [ "$uid" = "$4" ] && [ -d "$dir" ] || {
        echo gone
        return
    }
    setsid=$(command -v setsid) || {
        echo no-setsid
        return
    }
    shift 4
    (supervise "$@") </dev/null >/dev/null &
    claimed_by $!
}

# claimed_by PID: waits for the claim of that supervisor, or of another one that was faster
claimed_by() {
    while [ ! -e "$dir/start" ] && kill -0 "$1"; do nap 0.02; done
    read -r supervisor since started <"$dir/start" || {
        echo gone
        return
    }
    if [ "$supervisor" = "$1" ]; then echo started; else echo already; fi
}
