#!/usr/bin/env bash
# A Slurm of one node, this machine, without touching /etc: for trying `xmtf launch slurm`, and for its test.
#
#     apt-get install slurm-wlm munge        Debian and Ubuntu
#     scripts/slurm-one-node.sh start /tmp/slurm
#     export SLURM_CONF=/tmp/slurm/slurm.conf
#     sinfo
#     scripts/slurm-one-node.sh stop /tmp/slurm
#
# Runs as any user, root included. No cgroups, no accounting: jobs are not confined to what they asked for.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

[ $# -eq 2 ] || { sed -n '2,10p' "$0"; exit 2; }
action=$1
mkdir -p -- "$2"
dir=$(cd -- "$2" && pwd)
host=$(hostname -s)

stop() {
    local name
    for name in slurmd slurmctld munged; do
        if [ -s "$dir/$name.pid" ]; then kill "$(cat "$dir/$name.pid")" 2>/dev/null || true; fi
        rm -f -- "$dir/$name.pid"
    done
}

start() {
    command -v munged slurmctld slurmd >/dev/null || { echo "apt-get install slurm-wlm munge" >&2; exit 1; }
    mkdir -p "$dir/state" "$dir/spool"
    chmod 755 "$dir"    # munged wants its socket reachable
    [ -s "$dir/munge.key" ] || { (umask 077; head -c 1024 /dev/urandom >"$dir/munge.key"); }
    cat >"$dir/slurm.conf" <<EOF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
# A requeued job waits for old credentials to end: two minutes, unless this says otherwise.
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobRequeue=1
KillWait=5
ReturnToService=2
SchedulerParameters=sched_interval=2,sched_min_interval=100000
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(getconf _NPROCESSORS_ONLN) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
EOF
    munged --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
        --log-file="$dir/munged.log" --seed-file="$dir/munged.seed"
    slurmctld -c -f "$dir/slurm.conf"
    slurmd -c -f "$dir/slurm.conf"
    export SLURM_CONF="$dir/slurm.conf"
    for _ in $(seq 60); do
        if [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ]; then
            echo "export SLURM_CONF=$dir/slurm.conf"
            return
        fi
        sleep 0.5
    done
    echo "Slurm did not start; see $dir/*.log" >&2
    stop
    exit 1
}

case $action in
    start) start ;;
    stop) stop ;;
    *) echo "start or stop, not $action" >&2; exit 2 ;;
esac
