"""What an hour of a pod costs, by the prices of a context, and with it what tasks will cost."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tlbatch.manifests.needs import Needs
from tlbatch.quantities import amount
from tlbatch.schema.base import Part

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]
HOUR_S = 3600.0


class Prices(Part):
    """What is paid for an hour of what a pod asks for, used or not."""

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="three capital letters: USD, EUR, CNY")] = "USD"
    cpu_hour: Annotated[Price, Field(description="a core")] = 0.0
    memory_gib_hour: Annotated[Price, Field(description="a GiB of memory")] = 0.0
    gpu_hour: Annotated[Price, Field(description="a GPU")] = 0.0

    def cost(self, needs: Needs, seconds: float) -> float:
        """Of one pod with such needs that runs so long, in ``currency``.

        Work that shards or nodes share counts once: several pods take as many pod hours as one, but for their starts.
        """
        cores, gibibytes = amount(needs.cpu), amount(needs.memory) / 2**30
        hourly = cores * self.cpu_hour + gibibytes * self.memory_gib_hour + needs.gpu * self.gpu_hour
        return hourly * seconds / HOUR_S

    def text(self, cost: float) -> str:
        """``0.34 USD``; of less than a hundredth ``<0.01 USD``."""
        return f"<0.01 {self.currency}" if 0 < cost < 0.01 else f"{cost:,.2f} {self.currency}"
