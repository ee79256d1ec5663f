"""Training for the chip: networks that compute with the chip's own weights and messages.

    from lnn2loihi import qat

    module = qat.prepare(trained, "w4a8", calibrate=x)   # an ncps.torch.CfC, or a LiquidNetwork
    ...                                                  # any PyTorch loop; module.train()
    module.eval()                                        # now it answers the chip's integers
    program = module.export()

Needs PyTorch; nothing else in this library imports this package.
"""

from lnn2loihi.qat.module import TrainableNetwork
from lnn2loihi.qat.verb import prepare
from lnn2loihi.qat.whole import TrainableModule

__all__ = ["TrainableModule", "TrainableNetwork", "prepare"]
