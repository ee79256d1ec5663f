"""What programs are prepared for before they are placed, profiled, verified or exported."""

from lnn2loihi.targets.stock.target import stock_target
from lnn2loihi.targets.target import TARGETS, Pass, PlacementRule, Target, target_of

__all__ = ["TARGETS", "Pass", "PlacementRule", "Target", "stock_target", "target_of"]
