"""Pokemon, ours beside the chapter's recipe: python examples/pokemon.py [STEPS] [DATA]

DATA is a zip or folder of sprites; without it the chapter's file is downloaded. A step of the chapter's recipe, of 256
images, takes five seconds on one core, so that its 300 steps take half an hour.
"""

import sys

import ganzoo

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 300
data = sys.argv[2] if len(sys.argv) > 2 else "pokemon"
for preset in ("pokemon-64", "pokemon-64-d2l"):
    result = ganzoo.Trainer(preset, data=data, output_dir=f"runs/{preset}", steps=steps).fit()
    samples = ganzoo.from_pretrained(result.model).sample(21, seed=0)
    ganzoo.images.save(ganzoo.images.grid(samples, columns=7), f"pictures/{preset}.png")
