"""The projected discriminator: heads on the features of a frozen, pretrained network."""
