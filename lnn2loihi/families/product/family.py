"""The family of products."""

from __future__ import annotations

from lnn2loihi.families.product.layer import ProductLayer, ProductStage
from lnn2loihi.families.product.lowering import ProductLowering
from lnn2loihi.family import Family

FAMILY = Family("product", (ProductLayer,), {ProductStage: ProductLowering()})
