"""A Trainer of Hugging Face's transformers; a callback of four lines reports to batchscale.

The model is small and made from a config, and the language is made up, so nothing is downloaded. It
needs `pip install transformers accelerate`.
"""

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import batchscale


class Report(TrainerCallback):
    """A callback that reports every evaluation."""

    def on_evaluate(self, args, state, control, metrics, **others):
        """Report the loss of an evaluation."""
        batchscale.report(step=state.global_step, val_loss=metrics["eval_loss"])


def sequences(count, seed):
    """Return sequences in which most tokens follow from the one before."""
    draw = torch.Generator().manual_seed(seed)
    rows = torch.randint(16, (count, 16), generator=draw)
    for at in range(1, 16):
        follows = torch.rand(count, generator=draw) < 0.9
        rows[:, at] = torch.where(follows, (3 * rows[:, at - 1] + 1) % 16, rows[:, at])
    return [{"input_ids": row, "labels": row} for row in rows]


trial = batchscale.trial(lr=1e-3)
torch.set_num_threads(1)
torch.manual_seed(trial.seed)
model = GPT2LMHeadModel(GPT2Config(vocab_size=16, n_positions=16, n_embd=32, n_layer=1, n_head=2))
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir=str(trial.checkpoint or "checkpoints"),
        learning_rate=trial["lr"],
        per_device_train_batch_size=trial.batch_size,
        max_steps=trial.max_steps or 200,
        eval_strategy="steps",
        eval_steps=10,
        save_strategy="steps",
        save_steps=50,
        save_total_limit=1,
        seed=trial.seed,
        lr_scheduler_type="constant",
        use_cpu=True,  # leave out on a GPU
        disable_tqdm=True,
        report_to=[],
    ),
    train_dataset=sequences(1024, seed=0),
    eval_dataset=sequences(128, seed=1),
    callbacks=[Report()],
)
trainer.train(resume_from_checkpoint=trial.resume and any(trial.checkpoint.glob("checkpoint-*")))
