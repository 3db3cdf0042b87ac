"""An `accelerate` loop of your own around ganzoo's two steps: python examples/accelerate_loop.py [STEPS]

`discriminator_step` and `generator_step` do one update each; the loop, the optimizers and the processes are yours.
`accelerate launch examples/accelerate_loop.py` runs it on all devices.
"""

import argparse

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import ganzoo
from ganzoo.training.step_functions import MicroBatch, discriminator_step, generator_step

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=500)
steps = parser.parse_args().steps
accelerator = Accelerator()
# R1 takes the gradient for each image by itself; batch norm would mix the images of a batch
gan = ganzoo.create("fashion-mnist", discriminator={"norm": "layer"}, clusters=0, seed=0)
loss = ganzoo.LOSSES.make("hinge")
r1 = ganzoo.PENALTIES["r1"]
data = ganzoo.data.open_data("fashion-mnist-mini")
loader = DataLoader(TensorDataset(data.batch(torch.arange(len(data)))), batch_size=64, shuffle=True, drop_last=True)
networks = (gan.generator, gan.discriminator)
optimizers = [torch.optim.Adam(each.parameters(), lr=2e-4, betas=(0.5, 0.999)) for each in networks]
generator, discriminator, generator_optimizer, discriminator_optimizer, loader = accelerator.prepare(
    *networks, *optimizers, loader
)


def batches():
    while True:
        yield from loader


for step, (real,) in zip(range(steps), batches()):
    latents = torch.randn(len(real), gan.latent_size, device=accelerator.device)
    batch = MicroBatch(real, generator(latents))
    figures = discriminator_step(
        discriminator,
        discriminator_optimizer,
        loss,
        [batch],
        penalty=lambda real, fake, labels: 5 * r1(discriminator, real, fake),
        backward=accelerator.backward,
    )
    generator_loss = generator_step(discriminator, generator_optimizer, loss, [batch], backward=accelerator.backward)
    if step % 100 == 0:
        accelerator.print(f"step {step}: discriminator {figures[0]:.3f}, generator {generator_loss.item():.3f}")

if accelerator.is_main_process:
    trained = ganzoo.GAN(accelerator.unwrap_model(generator), accelerator.unwrap_model(discriminator))
    ganzoo.images.save(ganzoo.images.grid(trained.sample(64, seed=0)), "pictures/accelerate.png")
    print("picture: pictures/accelerate.png")
