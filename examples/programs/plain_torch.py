"""A training script in plain PyTorch; three lines of it are for batchscale."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import batchscale

trial = batchscale.trial(lr=0.1, momentum=0.9)  # defaults for a run by hand

torch.set_num_threads(1)
torch.manual_seed(trial.seed)
digits = load_digits()
inputs = torch.tensor(digits.data, dtype=torch.float32) / 16
targets = torch.tensor(digits.target)
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=trial["lr"], momentum=trial["momentum"])

for step in range(1, (trial.max_steps or 500) + 1):
    rows = torch.randint(1347, (trial.batch_size,))
    loss = nn.functional.cross_entropy(model(inputs[rows]), targets[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        with torch.no_grad():
            outputs = model(inputs[1347:])
            error = (outputs.argmax(1) != targets[1347:]).float().mean()
            val_loss = nn.functional.cross_entropy(outputs, targets[1347:])
        batchscale.report(step=step, val_error=error, val_loss=val_loss)
