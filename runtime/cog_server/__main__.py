"""Start of the server's process: `python -I .../cog_server/__main__.py --sdk DIR --model-python PATH [OPTIONS]`.

With `--redis-queue` as the first argument predictions come from a Redis queue instead of HTTP.

Started isolated, so nothing of the model is on the path: the two folders that are needed are added at its end.
"""

import os
import sys


def _paths() -> "list[str]":
    sdk = [value for option, value in zip(sys.argv, sys.argv[1:]) if option == "--sdk"]
    return [os.path.dirname(os.path.dirname(os.path.abspath(__file__))), *sdk[:1]]


if __name__ == "__main__":
    sys.path.extend(path for path in _paths() if path not in sys.path)
    if sys.argv[1:2] == ["--redis-queue"]:
        from cog_server.redis_queue.main import main

        main(sys.argv[2:])
    else:
        from cog_server.main import main

        main(sys.argv[1:])
