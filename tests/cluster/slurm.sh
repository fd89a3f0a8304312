#!/bin/sh
# A Slurm of one node with two task slots, below FOLDER, without systemd: slurm.sh start|stop FOLDER.
# Clients find it by SLURM_CONF=FOLDER/slurm.conf. Needs slurmctld, slurmd and munged (apt-get install slurm-wlm munge)
# and the right to be root.
set -eu
action=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
host=$(hostname -s)

start() {
    mkdir -p "$folder/munge" "$folder/state" "$folder/spool"
    chmod 700 "$folder/munge"
    head -c 1024 /dev/urandom > "$folder/munge/key"
    chmod 600 "$folder/munge/key"
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
        --log-file="$folder/munge/log" --seed-file="$folder/munge/seed"
    cat > "$folder/slurm.conf" << CONF
ClusterName=ifcurate
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${SLURMCTLD_PORT:-16817}
SlurmdPort=${SLURMD_PORT:-16818}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=1,sched_interval=5
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=600
MaxArraySize=1001
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    SLURM_CONF="$folder/slurm.conf"
    export SLURM_CONF
    slurmctld -c
    slurmd -c
    for _ in $(seq 120); do
        if [ "$(sinfo --noheader --format=%t 2> /dev/null)" = idle ]; then exit 0; fi
        sleep 1
    done
    tail -n 5 "$folder/slurmctld.log" "$folder/slurmd.log" >&2
    exit 1
}

stop() {
    SLURM_CONF="$folder/slurm.conf" scancel --partition=main 2> /dev/null || true # else tasks would outlive it
    sleep 5
    for file in "$folder/slurmd.pid" "$folder/slurmctld.pid" "$folder/munge/pid"; do
        if [ -f "$file" ]; then kill "$(cat "$file")" 2> /dev/null || true; fi
    done
}

"$action"
