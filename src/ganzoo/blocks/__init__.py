"""Blocks: parts of a GAN that anybody can take out, put into networks of their own, or add to.

`BLOCKS` holds those that a network can stack, by name; stems, heads and small parts are classes and functions here.
"""

import ganzoo.exports as _exports
from ganzoo.blocks.dcgan import DCGANDown as DCGANDown
from ganzoo.blocks.dcgan import DCGANSame as DCGANSame
from ganzoo.blocks.dcgan import DCGANUp as DCGANUp
from ganzoo.blocks.dcgan import LinearProjection as LinearProjection
from ganzoo.blocks.dcgan import MinibatchStandardDeviation as MinibatchStandardDeviation
from ganzoo.blocks.dcgan import Projection as Projection
from ganzoo.blocks.dcgan import StridedConvolution as StridedConvolution
from ganzoo.blocks.dcgan import ToImage as ToImage
from ganzoo.blocks.dcgan import ToLogit as ToLogit

# the DCGAN's own blocks come first wherever blocks are listed
# isort: split
from ganzoo.blocks.activations import ACTIVATIONS as ACTIVATIONS
from ganzoo.blocks.activations import Activation as Activation
from ganzoo.blocks.activations import check_activation_name as check_activation_name
from ganzoo.blocks.activations import make_activation as make_activation
from ganzoo.blocks.attention import SelfAttention as SelfAttention
from ganzoo.blocks.check import check_block as check_block
from ganzoo.blocks.contract import BLOCKS as BLOCKS
from ganzoo.blocks.contract import BlockFactory as BlockFactory
from ganzoo.blocks.contract import ImageBlock as ImageBlock
from ganzoo.blocks.contract import block_scale as block_scale
from ganzoo.blocks.contract import make_block as make_block
from ganzoo.blocks.contract import needs_context as needs_context
from ganzoo.blocks.contract import takes_context as takes_context
from ganzoo.blocks.conv import ConvolutionBlock as ConvolutionBlock
from ganzoo.blocks.conv import SameConvolution as SameConvolution
from ganzoo.blocks.few_shot import GLUUp as GLUUp
from ganzoo.blocks.few_shot import SkipExcitation as SkipExcitation
from ganzoo.blocks.few_shot import TwoPathDown as TwoPathDown
from ganzoo.blocks.initialisation import INITIALISATIONS as INITIALISATIONS
from ganzoo.blocks.initialisation import BranchConvolution as BranchConvolution
from ganzoo.blocks.initialisation import OwnStart as OwnStart
from ganzoo.blocks.initialisation import initialise as initialise
from ganzoo.blocks.modulation import ClassModulation as ClassModulation
from ganzoo.blocks.modulation import ConditionalNorm as ConditionalNorm
from ganzoo.blocks.norms import NORMS as NORMS
from ganzoo.blocks.norms import Norm as Norm
from ganzoo.blocks.norms import check_norm_name as check_norm_name
from ganzoo.blocks.norms import make_norm as make_norm
from ganzoo.blocks.norms import wants_bias as wants_bias
from ganzoo.blocks.norms import with_weight_norm as with_weight_norm
from ganzoo.blocks.r3gan import GroupedResidual as GroupedResidual
from ganzoo.blocks.r3gan import R3GANDown as R3GANDown
from ganzoo.blocks.r3gan import R3GANSame as R3GANSame
from ganzoo.blocks.r3gan import R3GANUp as R3GANUp
from ganzoo.blocks.residual import ResidualBlock as ResidualBlock
from ganzoo.blocks.residual import ResidualDown as ResidualDown
from ganzoo.blocks.residual import ResidualSame as ResidualSame
from ganzoo.blocks.residual import ResidualUp as ResidualUp
from ganzoo.blocks.resize import BlurDown as BlurDown
from ganzoo.blocks.resize import PixelShuffleUp as PixelShuffleUp
from ganzoo.blocks.resize import ResizeUp as ResizeUp

_exports.without_submodules(globals())
