"""The few-shot family (FastGAN): for hundreds of pictures, by a discriminator that must also redraw what it sees."""
