"""What each process of tests/test_processes.py runs: a training run by `options`, and what it has seen, to a file."""

import json
import os
import sys
from pathlib import Path

import torch

import ganzoo
from ganzoo.cli.train_command import _finish
from ganzoo.training.step import TrainingStep

out, options = sys.argv[1], json.loads(sys.argv[2])
rank = int(os.environ.get("RANK", 0))
torch.manual_seed(0)
few_shot = options.pop("few_shot", False)
side = 16 if few_shot else 8
data = torch.randint(0, 256, (options.pop("images", 48), 1, side, side), dtype=torch.uint8)
if few_shot:
    gan = ganzoo.create(
        "few-shot-64",
        image_size=16,
        seed=0,
        discriminator={"widths": (4, 8)},
        generator={"latent_size": 4, "widths": (8, 4, 4), "skip": 2, "image_channels": 1},
    )
else:
    gan = ganzoo.create(
        "fashion-mnist",
        image_size=8,
        seed=0,
        generator={"latent_size": 4, "widths": (8, 4), "norm": "none"},
        discriminator={"widths": (4, 8), "norm": "none"},
    )
seen, sent = [], TrainingStep._sent


def noting(self, drawn, before):
    batch = sent(self, drawn, before)
    seen.append(batch.real.flatten(1).sum(1).tolist())
    return batch


TrainingStep._sent = noting
if options.pop("apart", False):
    import ganzoo.training.checkpoint_manager

    ganzoo.training.checkpoint_manager.PATIENCE = 0
    out = f"{out}/machine-{rank}"


class Wish(ganzoo.training.Callback):
    def on_step(self, run):
        if run.step == 3 and rank == 1:  # one process alone
            run.scale_learning_rates(generator=0.5)
            run.log("asked", 1)
            if wish == "fail":
                raise RuntimeError("out of ideas")
            run.stop("enough")


wish = options.pop("wish", None)
if wish:
    options["callbacks"] = [Wish()]
usual = {"batch_size": 16, "log_every": 1, "checkpoint_every": 2, "sample_every": 2, "score_every": 2}
if options.pop("resume", False):
    trainer = ganzoo.Trainer.resume(out + "/run", data, **options)
    gan = trainer.gan
else:
    trainer = ganzoo.Trainer(gan, data, out + "/run", **{**usual, "precision": "float32", **options})
_finish(trainer)  # as `ganzoo train` ends
state = {
    f"{name}.{key}": value.tolist()
    for name in ("generator", "discriminator")
    for key, value in getattr(gan, name).state_dict().items()
}
Path(out, f"rank-{rank}.json").write_text(json.dumps({"state": state, "seen": seen}))
