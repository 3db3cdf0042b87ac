"""Pokemon, ours beside the chapter's recipe: python examples/pokemon.py [STEPS] [DATA]

DATA is a zip or folder of sprites; without it the chapter's file is downloaded. A step of the chapter's recipe, of 256
images, takes five seconds on one core, so that its 300 steps take half an hour.
"""

import argparse

import ganzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=300)
parser.add_argument("data", nargs="?", default="pokemon")
given = parser.parse_args()
for preset in ("pokemon-64", "pokemon-64-d2l"):
    try:
        result = ganzoo.Trainer(preset, data=given.data, output_dir=f"runs/{preset}", steps=given.steps).fit()
    except ganzoo.GanzooError as error:
        parser.exit(2, f"{error}\n")
    samples = ganzoo.from_pretrained(result.model).sample(21, seed=0)
    ganzoo.images.save(ganzoo.images.grid(samples, columns=7), f"pictures/{preset}.png")
    print(f"picture: pictures/{preset}.png")
