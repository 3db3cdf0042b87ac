# What `import ganzoo` offers, for editors and type checkers; __init__.py loads each name on first use.
from ganzoo import augment as augment
from ganzoo import blocks as blocks
from ganzoo import data as data
from ganzoo import errors as errors
from ganzoo import images as images
from ganzoo import latents as latents
from ganzoo import losses as losses
from ganzoo import models as models
from ganzoo import penalties as penalties
from ganzoo import presets as presets
from ganzoo.augment import AUGMENTATIONS as AUGMENTATIONS
from ganzoo.blocks import ACTIVATIONS as ACTIVATIONS
from ganzoo.blocks import BLOCKS as BLOCKS
from ganzoo.blocks import INITIALISATIONS as INITIALISATIONS
from ganzoo.blocks import NORMS as NORMS
from ganzoo.callbacks import CALLBACKS as CALLBACKS
from ganzoo.data import SOURCES as SOURCES
from ganzoo.errors import GanzooError as GanzooError
from ganzoo.evaluation.evaluate import evaluate as evaluate
from ganzoo.evaluation.features import FEATURES as FEATURES
from ganzoo.evaluation.metrics import METRICS as METRICS
from ganzoo.gan import GAN as GAN
from ganzoo.integrations.onnx import export_onnx as export_onnx
from ganzoo.losses import LOSSES as LOSSES
from ganzoo.models import MODELS as MODELS
from ganzoo.penalties import GENERATOR_PENALTIES as GENERATOR_PENALTIES
from ganzoo.penalties import PENALTIES as PENALTIES
from ganzoo.presets import PRESETS as PRESETS
from ganzoo.presets import Preset as Preset
from ganzoo.presets import create as create
from ganzoo.presets import list_presets as list_presets
from ganzoo.pretrained import from_pretrained as from_pretrained
from ganzoo.pretrained import list_models as list_models
from ganzoo.schedules import SCHEDULES as SCHEDULES
from ganzoo.settings import Settings as Settings
from ganzoo.training import Trainer as Trainer

REGISTRIES: dict[str, str]
__version__: str
