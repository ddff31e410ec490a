# Sourced by every stage: where it runs, and what happens when it is stopped or killed.
# A stage goes on where it stopped, so beginning it anew is always right.
# @environment@

job="${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}"
job="${job:-$SLURM_JOB_ID}"
failures="$(dirname -- "${BASH_SOURCE[0]}")/logs/$SLURM_JOB_NAME-$job.failed"
stopping=

# Slurm sends TERM before the time limit, and when it wants the node back.
stop_stage() {
    stopping=1
    if [ -n "${stop_file:-}" ]; then
        mkdir -p -- "$(dirname -- "$stop_file")" && touch -- "$stop_file"
    else
        kill -TERM "$command" 2>/dev/null || true
    fi
}

# Runs the command. Stopped in time, it is queued again; killed or failed, up to three times; refused (exit
# code 2: wrong input), never.
run_stage() {
    local code
    rm -f -- "${stop_file:-}"    # of a stop that came too late for the run before
    trap stop_stage TERM
    "$@" &
    command=$!
    while kill -0 "$command" 2>/dev/null; do wait "$command" || true; done    # a signal ends wait early
    wait "$command" && code=0 || code=$?
    if [ "$code" -eq 0 ]; then
        rm -f -- "$failures"
    elif [ -n "$stopping" ]; then
        echo "stopped before the time limit; job $job is queued again and goes on"
        scontrol requeue "$job"
    else
        echo "$(date '+%F %T') exit code $code" >>"$failures"
        if [ "$code" -ne 2 ] && [ "$(wc -l <"$failures")" -le 3 ]; then
            echo "exit code $code; job $job is queued again and goes on"
            scontrol requeue "$job"
        fi
    fi
    exit "$code"
}
