"""Train on your own pictures: python examples/train_folder.py FOLDER [STEPS] [--overwrite]

FOLDER (or a zip) holds images of any size; they are cropped to squares of 64 pixels. Mirroring and augmentation make it
harder for the discriminator to learn a few hundred by heart. With so few pictures, begin with a trained model:
`ganzoo train --from pokemon-64 --data FOLDER` (docs/drawings.md has figures).
"""

import argparse

import ganzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder")
parser.add_argument("steps", type=int, nargs="?", default=10_000)
parser.add_argument("--overwrite", action="store_true", help="replace the run of an earlier call")
given = parser.parse_args()
try:
    trainer = ganzoo.Trainer(
        "pokemon-64",
        data=given.folder,
        output_dir="runs/example-my-pictures",
        steps=given.steps,
        flip=True,
        augmentations=("color", "translation", "cutout"),
        batch_size=32,
        overwrite=given.overwrite,
    )
    result = trainer.fit()  # Ctrl-C saves; ganzoo.Trainer.resume("runs/example-my-pictures").fit() goes on
except ganzoo.GanzooError as error:
    parser.exit(2, f"{error}\n")

gan = ganzoo.from_pretrained(result.model)
ganzoo.images.save(ganzoo.images.grid(gan.sample(64, seed=0), columns=8), "pictures/mine.png")
print("picture: pictures/mine.png")
