"""What one file of a sharded training run takes: a folder of torch.distributed.checkpoint of 4.5 GB, its optimizer included.

`python -m tests.bench.sharded FOLDER` writes it there with torch in two processes, unless it is there, and removes nothing.
`slim` is run in turn with `cp` of as many bytes as it keeps, and once with torch's own `dcp_to_torch_save`.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.bench.measure import Command, Row, in_turn, measured, ratios, table, verdict

MOST_MIB, MOST_OF_COPY = 64, 1.5
ROUNDS = 5

WRITE = """
import os, sys, torch, torch.distributed as dist, torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

def run(rank, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511", "RANK": str(rank), "WORLD_SIZE": "2"}
    dist.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (2,))

    whole = torch.randn(4096, 4096) * 0.02
    names = [f"layers.{number}.weight" for number in range(22)]

    def made(number):
        return distribute_tensor(whole + number, mesh, [Shard(0)])

    moments = {name: {"exp_avg": made(at), "exp_avg_sq": made(-at)} for at, name in enumerate(names)}
    optimizer = {"state": moments, "param_groups": [{"lr": 1e-3, "params": names}]}
    state = {"model": {name: made(at) for at, name in enumerate(names)}, "optimizer": optimizer}
    dcp.save(state, checkpoint_id=folder)

if __name__ == "__main__":
    mp.spawn(run, (sys.argv[1],), nprocs=2)
"""


def main(folder: Path) -> bool:
    saved = folder / "step-1000"
    if not saved.exists():
        (folder / "write.py").write_text(WRITE)
        subprocess.run([sys.executable, folder / "write.py", saved], check=True)
    ptzip: Command = [sys.executable, "-m", "ptzip", "slim", saved, "--no-sync", "-f", "-q"]
    kept, half = folder / "kept.pt", folder / "half.pt"
    is_met = True
    for output, flags in ((kept, ["--dtype", "keep"]), (half, [])):
        slim = partial(measured, [*ptzip, "-o", output, *flags], folder)
        slim()
        rows = in_turn({"slim": slim, "cp": partial(measured, ["cp", output, folder / "copy.pt"], folder)}, ROUNDS)
        print(f"{output.stem}: {output.stat().st_size:,} bytes", table(rows), sep="\n")
        is_met &= _is_met(*rows)
    own: Command = ["-m", "torch.distributed.checkpoint.format_utils", "dcp_to_torch", saved, folder / "torch.pt"]
    print(table(in_turn({"torch's own": lambda: measured([sys.executable, *own], folder)}, 1)))
    return is_met


def _is_met(slim: Row, copy: Row) -> bool:
    times = sorted(ratios(slim.walls, copy.walls))[len(slim.walls) // 2]
    return verdict(f"memory {slim.peak:.0f} MiB, at most {MOST_MIB}", slim.peak <= MOST_MIB) & verdict(
        f"{times:.2f} x cp, at most {MOST_OF_COPY}", times <= MOST_OF_COPY
    )


if __name__ == "__main__":
    sys.exit(0 if main(Path(sys.argv[1])) else 1)
