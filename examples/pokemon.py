"""Pokemon, ours beside the chapter's recipe: python examples/pokemon.py [STEPS] [DATA] [--overwrite]

DATA is a zip or folder of sprites; without it the chapter's file is downloaded. A step of the chapter's recipe, of 256
images, takes five seconds on one core, so that its 300 steps take half an hour.
"""

import argparse

import ganzoo

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=300)
parser.add_argument("data", nargs="?", default="pokemon")
parser.add_argument("--overwrite", action="store_true", help="replace the run of an earlier call")
given = parser.parse_args()
for preset in ("pokemon-64", "pokemon-64-d2l"):
    try:
        run = {"output_dir": f"runs/example-{preset}", "overwrite": given.overwrite}
        result = ganzoo.Trainer(preset, data=given.data, steps=given.steps, **run).fit()
    except ganzoo.GanzooError as error:
        parser.exit(2, f"{error}\n")
    samples = ganzoo.from_pretrained(result.model).sample(21, seed=0)
    ganzoo.images.save(ganzoo.images.grid(samples, columns=7), f"pictures/{preset}.png")
    print(f"picture: pictures/{preset}.png")
