"""The R3GAN family: no norms, grouped residual blocks, trained with a relativistic loss and two gradient penalties."""
