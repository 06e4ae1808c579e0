"""A SLURM cluster of one node for the tests, started and stopped here; needs root and Debian's packages."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from servers import free_port, stop

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SlurmctldPort={controller}
SlurmdPort={node}
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """Return why SLURM cannot be started here, or an empty text."""
    if lacking := [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]:
        return f"no {', '.join(lacking)}: apt-get install slurmd slurmctld munge slurm-client"
    return "" if os.geteuid() == 0 else "starting SLURM needs root"


@pytest.fixture
def slurm(tmp_path):
    """The environment in which ``sbatch`` reaches a SLURM of this machine alone, with two CPUs."""
    if why := missing():
        pytest.skip(why)
    folder = tmp_path / "slurm"
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(parents=True, mode=0o700)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder, host=socket.gethostname().partition(".")[0], controller=free_port(), node=free_port(),
            memory=psutil.virtual_memory().total >> 20,
        )
    )  # fmt: skip
    env = os.environ | {"SLURM_CONF": str(configuration), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
    munge = folder / "munge"
    commands = (
        ["munged", "--foreground", "--force",
         f"--key-file={key}", f"--socket={munge}/socket", f"--pid-file={munge}/pid",
         f"--log-file={munge}/log", f"--seed-file={munge}/seed"],
        ["slurmctld", "-D", "-f", configuration],
        ["slurmd", "-D", "-f", configuration, "-N", socket.gethostname().partition(".")[0]],
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        for command in commands:
            with (folder / f"{command[0]}.out").open("w") as out:
                process = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
            stack.callback(stop, process)
            time.sleep(0.5)
        for _ in range(120):
            if ask(env, "sinfo", "-h", "-o", "%T") == "idle":
                break
            time.sleep(0.5)
        else:
            pytest.fail("\n".join(path.read_text()[-1500:] for path in folder.glob("*.log")))
        yield env
        ask(env, "scancel", "--full", "--user", "root")


def ask(env, *command):
    """Return what a command of SLURM prints."""
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    return done.stdout.strip()


def logs(results):
    """Return the output of all jobs."""
    return "\n".join(path.read_text() for path in Path(results, "jobs").glob("*.*"))
