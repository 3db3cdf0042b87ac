"""Tools that look into a trained generator or discriminator."""
