"""The wait of a notebook's first cells, moved to where nobody notices: while the reader reads the title.

Done by a client of the running kernel, as a cell that rust-analyzer reads but that does not compile. So it
leaves nothing behind, neither a dependency nor a library in the kernel's memory: a notebook that asks for more
dependencies may have candle-explain compiled anew, and a process can only use one of the two.
(As part of the kernel's start it would keep Jupyter waiting, which then asks again and again; and evcxr ends
when it answers such a question too late.)
"""

import sys
import time

from jupyter_client.blocking import BlockingKernelClient

from lab import workspace

TIMEOUT = 600


def main(connection_file: str) -> None:
    client = BlockingKernelClient(connection_file=connection_file)
    client.load_connection_file()
    client.start_channels(stdin=False, control=False)
    wait(client)
    client.execute_interactive(
        "\n".join([workspace.dependency(), workspace.FIRST_CELL, 'compile_error!("to be read, not run");']),
        silent=True,
        allow_stdin=False,
        timeout=TIMEOUT,
        output_hook=lambda message: None,
    )


def wait(client: BlockingKernelClient) -> None:
    """Until the kernel answers. Should it never do so, whoever started this ends it together with the kernel."""
    while True:
        try:
            return client.wait_for_ready(timeout=TIMEOUT)
        except RuntimeError:  # no heartbeat yet
            time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1])
