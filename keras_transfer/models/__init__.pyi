# What type checkers and editors see of the package, whose names are imported when they are first used.

from keras_transfer.models.batchnorm import adapt_batchnorm as adapt_batchnorm
from keras_transfer.models.batchnorm import batchnorm_shift as batchnorm_shift
from keras_transfer.models.classifiers import as_classifier as as_classifier
from keras_transfer.models.classifiers import as_network as as_network
from keras_transfer.models.cost import multiply_adds as multiply_adds
from keras_transfer.models.freezing import boundary as boundary
from keras_transfer.models.freezing import freeze_backbone as freeze_backbone
from keras_transfer.models.freezing import prefix as prefix
from keras_transfer.models.freezing import suffix as suffix
from keras_transfer.models.freezing import unfreeze_top as unfreeze_top
from keras_transfer.models.graph import cut_points as cut_points
from keras_transfer.models.graph import model_inputs as model_inputs
from keras_transfer.models.graph import side_inputs as side_inputs
from keras_transfer.models.head import add_head as add_head
from keras_transfer.models.head import compile_classifier as compile_classifier
from keras_transfer.models.head import logits_of as logits_of
from keras_transfer.models.loading import load_model as load_model
from keras_transfer.models.loading import read_inputs as read_inputs
from keras_transfer.models.loading import save_model as save_model
from keras_transfer.models.preprocessing import preprocessing_of as preprocessing_of
from keras_transfer.models.stage import Stage as Stage
from keras_transfer.models.stage import backbone_layers as backbone_layers
from keras_transfer.models.stage import head_layers as head_layers
from keras_transfer.models.stage import stages as stages
from keras_transfer.models.twin import copy_weights as copy_weights
from keras_transfer.models.twin import make_twin as make_twin
