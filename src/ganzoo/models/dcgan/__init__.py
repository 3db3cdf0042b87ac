"""The DCGAN family: a pair of networks built of registered blocks."""
