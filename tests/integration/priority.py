"""Who goes first where everything shares one machine: as an operator arranges it with `nice` or CPU weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_GIVES_WAY: Final = 10


def giving_way(command: Sequence[str]) -> list[str]:
    """The command, run so that it gives way to what is not; as it is where there is no `nice`."""
    nice = shutil.which("nice")
    return [nice, "-n", str(_GIVES_WAY), *command] if nice else list(command)


def let_give_way(session: int) -> None:
    """Let all processes of a session give way to others: Linux weighs sessions first, and priorities within them."""
    with suppress(OSError):
        Path(f"/proc/{session}/autogroup").write_text(str(_GIVES_WAY))
