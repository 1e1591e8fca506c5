"""Data-parallel training on several processes, started by torchrun; the first one reports.

The batch size of the study is the total over all processes.
"""

import argparse
import os

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import batchscale

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
given, trial = parser.parse_args(), batchscale.trial()

torch.set_num_threads(1)
dist.init_process_group("gloo")  # nccl on GPUs
rank, processes = dist.get_rank(), dist.get_world_size()
torch.manual_seed(trial.seed)
points = torch.randn(1500, 2, generator=torch.Generator().manual_seed(0))
inside = (points.norm(dim=1) < 1).long()
model = DistributedDataParallel(nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2)))
optimizer = torch.optim.SGD(model.parameters(), lr=given.lr, momentum=0.9)
saved = os.path.join(trial.checkpoint or ".", "model.pt")
first = 1
if trial.resume:
    state = torch.load(saved)
    first = state["step"] + 1
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])

for step in range(first, (trial.max_steps or 200) + 1):
    # every process draws the same batch and takes its share
    draw = torch.Generator().manual_seed(trial.seed + step)
    rows = torch.randint(1000, (trial.batch_size,), generator=draw)[rank::processes]
    loss = nn.functional.cross_entropy(model(points[rows]), inside[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0 and rank == 0:
        with torch.no_grad():
            error = (model.module(points[1000:]).argmax(1) != inside[1000:]).float().mean()
        batchscale.report(step=step, val_error=error)
        state = {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, f"{saved}.new")
        os.replace(f"{saved}.new", saved)

dist.destroy_process_group()
