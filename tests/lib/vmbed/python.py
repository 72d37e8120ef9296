"""Guest programs in Python: the interpreter and just the modules that a script imports."""

import ast
from pathlib import Path
import subprocess
from typing import Sequence

from vmbed.initramfs import Files

INTERPRETER = Path("/usr/bin/python3")

_LIST_FILES = """
import sys
for module in sys.modules.values():
    if getattr(module, "__file__", None):
        print(module.__file__)
"""


def program(script: Path, installed: str, modules: Sequence[str] = ()) -> Files:
    """Files of a payload in which the script is the executable `installed`.

    The script's shebang is INTERPRETER. `modules` are brought besides those the script imports:
    what the standard library imports only when a function is called, as argparse does `locale`.
    """
    tree = ast.parse(script.read_text(), str(script))
    imports = "\n".join(
        [ast.unparse(node) for node in ast.walk(tree) if _is_import(node)]
        + [f"import {module}" for module in modules]
    )
    listing = subprocess.run(
        [INTERPRETER, "-I", "-c", f"{imports}\n{_LIST_FILES}"],
        capture_output=True,
        text=True,
        check=True,
    )
    library = {path: Path(path) for path in listing.stdout.split()}
    return {str(INTERPRETER): INTERPRETER, installed: script.read_bytes(), **library}


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, (ast.Import, ast.ImportFrom))
