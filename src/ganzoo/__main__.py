"""`python -m ganzoo` is the command `ganzoo`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while its modules load ends it like later on."""
    try:
        from ganzoo.cli import main as command

        command()
    except KeyboardInterrupt:
        print("ganzoo: interrupted.", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
