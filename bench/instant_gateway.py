"""The gateway's HTTP edge over a backend that answers at once: what HTTP costs by itself.

`python -m bench.instant_gateway PORT KEYS_FILE`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn
import uvloop

from models.decision import Action, encode_decision
from models.purchase import Purchase
from models.settlement import Settlement, SettlementResult
from rules.degraded import decision_without_rules
from streams.broker.broker import HOST
from streams.gateway.app import make_app
from streams.gateway.backend import Answer, Deadline, GatewayStatus
from streams.gateway.config import EdgeConfig
from streams.gateway.keys import FileKeys
from streams.gateway.metrics import GatewayMetrics
from streams.process import spare_the_collector


class AtOnce:
    """Approves whatever it is asked about."""

    async def decide(self, purchase: Purchase, deadline: Deadline) -> Answer:
        """Approved."""
        return Answer(encode_decision(decision_without_rules(purchase, Action.APPROVE, ())), ())

    async def look_up(self, transaction_id: str, account_id: str | None, deadline: Deadline) -> bytes | None:
        """Nothing is kept."""
        return None

    async def settle(self, settlement: Settlement, deadline: Deadline) -> SettlementResult | None:
        """Nothing is settled."""
        return None

    def status(self) -> GatewayStatus:
        """Idle."""
        return GatewayStatus("closed", 0, 0, None, {})


def main(port: int, keys_file: Path) -> None:
    """Serve until SIGTERM."""
    app = make_app(AtOnce(), FileKeys(keys_file), EdgeConfig(), GatewayMetrics())
    config = uvicorn.Config(
        app,
        host=HOST,
        port=port,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )
    spare_the_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
