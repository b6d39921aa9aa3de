# What type checkers and editors see of the package, whose names are imported when they are first used.

from keras_transfer.compression import cluster as cluster
from keras_transfer.compression import distill as distill
from keras_transfer.compression import prune as prune
from keras_transfer.compression import quantize_aware as quantize_aware
from keras_transfer.compression import remove_channels as remove_channels
from keras_transfer.compression import sensitivity as sensitivity
from keras_transfer.compression import shrink as shrink
from keras_transfer.compression import weight_figures as weight_figures
from keras_transfer.errors import GateError as GateError
from keras_transfer.errors import InputError as InputError
from keras_transfer.evaluation import evaluate as evaluate
from keras_transfer.evaluation import open_classifier as open_classifier
from keras_transfer.exporters import export as export
from keras_transfer.jobs.add_class import add_class as add_class
from keras_transfer.jobs.audition import audition as audition
from keras_transfer.jobs.cross_validate import cross_validate as cross_validate
from keras_transfer.jobs.search import search as search
from keras_transfer.jobs.stream import evaluate_stream as evaluate_stream
from keras_transfer.litert import convert as convert
from keras_transfer.litert import open_litert as open_litert
from keras_transfer.modalities import load as load
from keras_transfer.modalities.audio.builder import build_audio_classifier as build_audio_classifier
from keras_transfer.modalities.image import build_augmenter as build_augmenter
from keras_transfer.modalities.image import decode_image as decode_image
from keras_transfer.modalities.image import load_images as load_images
from keras_transfer.modalities.image.backbones import BACKBONES as BACKBONES
from keras_transfer.modalities.image.builder import build_classifier as build_classifier
from keras_transfer.modalities.text.builder import build_text_classifier as build_text_classifier
from keras_transfer.models import adapt_batchnorm as adapt_batchnorm
from keras_transfer.models import as_classifier as as_classifier
from keras_transfer.models import batchnorm_shift as batchnorm_shift
from keras_transfer.models import boundary as boundary
from keras_transfer.models import copy_weights as copy_weights
from keras_transfer.models import freeze_backbone as freeze_backbone
from keras_transfer.models import make_twin as make_twin
from keras_transfer.models import stages as stages
from keras_transfer.models import unfreeze_top as unfreeze_top
from keras_transfer.training import find_learning_rate as find_learning_rate
from keras_transfer.training import fit as fit
from keras_transfer.training import layerwise_optimizer as layerwise_optimizer

__version__: str
