"""What a killed child runs: a small run, begun or gone on with. Imported by the fork server once."""

from pathlib import Path

import torch

import ganzoo
import ganzoo.runs.export
from ganzoo.errors import TrainingError

STEPS = 30
VARIANTS = {
    "float32": {"precision": "float32"},
    "bf16": {"precision": "bf16"},
    "float32-r1": {"precision": "float32", "penalties": ("r1(weight=1,every=3)",)},
    "bf16-wgan-gp": {"precision": "bf16", "penalties": ("wgan-gp",), "loss": "wasserstein"},
}


def train_or_go_on(folder: Path, variant: str) -> None:
    """Bring the run at `folder` to its end, from wherever a kill has left it."""
    torch.set_num_threads(1)
    ganzoo.runs.export.SAMPLES = 100  # a thousand would be scored for most of the run's time
    data = torch.randint(0, 256, (64, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    try:
        trainer = ganzoo.Trainer.resume(folder, data=data, progress=False)
    except TrainingError as error:
        if "begun again" not in str(error):
            raise
        norm = "none" if "penalties" in VARIANTS[variant] else "batch"
        gan = ganzoo.create(
            "fashion-mnist", 16, {"latent_size": 8, "widths": (16, 8)}, {"widths": (8, 16), "norm": norm}, seed=0
        )
        trainer = ganzoo.Trainer(
            gan,
            data,
            folder,
            steps=STEPS,
            batch_size=16,
            log_every=1,
            checkpoint_every=2,
            sample_every=5,
            score_every=3,
            doctor_every=5,
            report_every=10,
            progress=False,
            **VARIANTS[variant],
        )
    trainer.fit()
