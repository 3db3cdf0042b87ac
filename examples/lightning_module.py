"""A GAN of ganzoo in PyTorch Lightning (pip install lightning): python examples/lightning_module.py [STEPS]"""

import argparse

import torch
from torch.utils.data import DataLoader, TensorDataset

import ganzoo
from ganzoo.training.step_functions import MicroBatch, discriminator_step, generator_step

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("steps", type=int, nargs="?", default=500)
steps = parser.parse_args().steps
try:
    import lightning
except ImportError as error:
    parser.exit(2, f"{error}: pip install lightning\n")


class LitGAN(lightning.LightningModule):
    """Both networks of a preset, with two optimizers that Lightning leaves to us."""

    def __init__(self, preset="fashion-mnist", loss="non-saturating"):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        gan = ganzoo.create(preset, clusters=0)
        self.generator, self.discriminator, self.latent_size = gan.generator, gan.discriminator, gan.latent_size
        self.loss = ganzoo.LOSSES.make(loss)

    def training_step(self, batch, index):
        generator_optimizer, discriminator_optimizer = self.optimizers()
        (real,) = batch
        fake = self.generator(torch.randn(len(real), self.latent_size, device=self.device))
        parts = [MicroBatch(real, fake)]
        rules = {"backward": self.manual_backward}
        figures = discriminator_step(self.discriminator, discriminator_optimizer, self.loss, parts, **rules)
        generator_loss = generator_step(self.discriminator, generator_optimizer, self.loss, parts, **rules)
        self.log_dict({"discriminator": figures[0], "generator": generator_loss[0]}, prog_bar=True)

    def configure_optimizers(self):
        networks = (self.generator, self.discriminator)
        return [torch.optim.Adam(each.parameters(), lr=2e-4, betas=(0.5, 0.999)) for each in networks]


data = ganzoo.data.open_data("fashion-mnist-mini")
loader = DataLoader(TensorDataset(data.batch(torch.arange(len(data)))), batch_size=64, shuffle=True, drop_last=True)
module = LitGAN()
# a step of ours is two of Lightning's: it counts those of the optimizers
trainer = lightning.Trainer(
    max_steps=2 * steps, logger=False, enable_checkpointing=False, accelerator="auto", devices=1
)
trainer.fit(module, loader)
gan = ganzoo.GAN(module.generator.cpu(), module.discriminator.cpu())
ganzoo.images.save(ganzoo.images.grid(gan.sample(64, seed=0)), "pictures/lightning.png")
print("picture: pictures/lightning.png")
gan.save_pretrained("models/lightning")  # samples, evaluates, pushes and trains on like any other
