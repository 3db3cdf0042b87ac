"""Tools that look into a trained generator or discriminator."""

import ganzoo.exports as _exports
from ganzoo.explore.arithmetic import Arithmetic as Arithmetic
from ganzoo.explore.arithmetic import arithmetic as arithmetic  # these names are functions now, no longer modules
from ganzoo.explore.inversion import Inversion as Inversion
from ganzoo.explore.inversion import invert as invert
from ganzoo.explore.probe import Probe as Probe
from ganzoo.explore.probe import discriminator_features as discriminator_features
from ganzoo.explore.probe import probe as probe
from ganzoo.explore.walk import directions as directions
from ganzoo.explore.walk import walk as walk

_exports.without_submodules(globals())
