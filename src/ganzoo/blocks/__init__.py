"""Blocks: parts of a GAN that anybody can take out, put into networks of their own, or add to.

`BLOCKS` holds those that a network can stack, by name; stems, heads and small parts are classes and functions here.
"""

from ganzoo.blocks.dcgan import (
    DCGANDown,
    DCGANUp,
    LinearProjection,
    MinibatchStandardDeviation,
    Projection,
    ToImage,
    ToLogit,
)

# the DCGAN's own blocks come first wherever blocks are listed
# isort: split
from ganzoo.blocks.activations import ACTIVATIONS, Activation, check_activation_name, make_activation
from ganzoo.blocks.attention import SelfAttention
from ganzoo.blocks.check import check_block
from ganzoo.blocks.contract import (
    BLOCKS,
    BlockFactory,
    ImageBlock,
    block_scale,
    make_block,
    needs_context,
    takes_context,
)
from ganzoo.blocks.conv import ConvolutionBlock
from ganzoo.blocks.few_shot import GLUUp, SkipExcitation, TwoPathDown
from ganzoo.blocks.initialisation import INITIALISATIONS, BranchConvolution, OwnStart, initialise
from ganzoo.blocks.modulation import ClassModulation, ConditionalNorm
from ganzoo.blocks.norms import NORMS, Norm, check_norm_name, make_norm, wants_bias, with_weight_norm
from ganzoo.blocks.r3gan import GroupedResidual, R3GANDown, R3GANSame, R3GANUp
from ganzoo.blocks.residual import ResidualBlock, ResidualDown, ResidualSame, ResidualUp
from ganzoo.blocks.resize import BlurDown, PixelShuffleUp, ResizeUp

__all__ = [
    "ACTIVATIONS",
    "BLOCKS",
    "INITIALISATIONS",
    "NORMS",
    "Activation",
    "BlockFactory",
    "BlurDown",
    "BranchConvolution",
    "ClassModulation",
    "ConditionalNorm",
    "ConvolutionBlock",
    "DCGANDown",
    "DCGANUp",
    "GLUUp",
    "GroupedResidual",
    "ImageBlock",
    "LinearProjection",
    "MinibatchStandardDeviation",
    "Norm",
    "OwnStart",
    "PixelShuffleUp",
    "Projection",
    "R3GANDown",
    "R3GANSame",
    "R3GANUp",
    "ResidualBlock",
    "ResidualDown",
    "ResidualSame",
    "ResidualUp",
    "ResizeUp",
    "SelfAttention",
    "SkipExcitation",
    "ToImage",
    "ToLogit",
    "TwoPathDown",
    "block_scale",
    "check_activation_name",
    "check_block",
    "check_norm_name",
    "initialise",
    "make_activation",
    "make_block",
    "make_norm",
    "needs_context",
    "takes_context",
    "wants_bias",
    "with_weight_norm",
]
