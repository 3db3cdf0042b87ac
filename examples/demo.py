"""The main job in a few minutes: train a small generator on the bundled images, and sample it and the bundled model."""

import argparse
from pathlib import Path

import ganzoo

argparse.ArgumentParser(description=__doc__).parse_args()
PICTURES = Path("pictures")

# A few steps on the 2,000 bundled images: garments show their outlines, no more. A longer run sharpens them.
trainer = ganzoo.Trainer(
    "fashion-mnist", data="fashion-mnist-mini", output_dir="runs/demo", overwrite=True, steps=800, ema_half_life=10_000
)
result = trainer.fit()

mine = ganzoo.from_pretrained(result.run)
ganzoo.images.save(ganzoo.images.grid(mine.sample(64, seed=0), columns=8), PICTURES / "trained-just-now.png")

bundled = ganzoo.from_pretrained("fashion-mnist")
ganzoo.images.save(ganzoo.images.grid(bundled.sample(64, seed=0), columns=8), PICTURES / "bundled-model.png")

print(f"Two grids of 64 images lie in {PICTURES.resolve()}:")
print("  trained-just-now.png   from the run you have just seen (runs/demo)")
print("  bundled-model.png      from the model that comes with ganzoo")
