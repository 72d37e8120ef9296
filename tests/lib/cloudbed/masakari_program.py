"""masakari_program.py {api,engine,manage} ARGUMENTS...: Debian's program of that name.

Debian's oslo.messaging passes fewer fields of a request's context on than Masakari expects: `read_deleted` arrives as
nothing, which is no value for it.
"""
import importlib
import sys


def main() -> int:
    command = sys.argv.pop(1)
    sys.argv[0] = f"masakari-{command}"
    program = importlib.import_module(f"masakari.cmd.{command}")
    context = importlib.import_module("masakari.context").RequestContext
    take = context._set_read_deleted
    context.read_deleted = property(
        context._get_read_deleted, lambda self, value: take(self, value or "no")
    )
    return program.main()


if __name__ == "__main__":
    sys.exit(main())
