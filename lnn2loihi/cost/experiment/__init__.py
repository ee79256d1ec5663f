"""A measuring plan of two hours for the owner of a board, and what its logs say."""

from lnn2loihi.cost.experiment.analysis import ExperimentResult, analyse_experiment
from lnn2loihi.cost.experiment.folder import write_experiment

__all__ = ["ExperimentResult", "analyse_experiment", "write_experiment"]
