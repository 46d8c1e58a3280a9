"""Images as rows of numbers in which likeness can be measured, without downloading anything."""

from maquette.features.extractor import REGISTRY as REGISTRY
from maquette.features.extractor import Extractor as Extractor
from maquette.features.extractor import extract as extract
