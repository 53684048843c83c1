"""`python -m cog.server.http`: the command of every image."""

import sys


def main():
    """Say that this version has no server, and stop."""
    sys.stderr.write(
        "cog.server.http: this image was built by a version of cogc whose runtime has no HTTP server yet.\n"
        "The model's environment is complete; build the image again with a newer cogc to serve predictions.\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
