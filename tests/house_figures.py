"""Count what the code is made of: files, lines, classes, ways to ask for a hook, long functions.

``python tests/house_figures.py [FOLDER]``: FOLDER is the root of a checkout, this one by default.
Figures are of `synthesis`, `over_sampling`, `training`, `rows` and `guides` together.
"""

import ast
import collections
import io
import pathlib
import sys
import tokenize

ROOMS = ("synthesis", "over_sampling", "training", "rows", "guides")


def functions_of(tree):
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def length_without_docstring(node):
    """Return the lines of a function, its docstring left out."""
    first, *rest = node.body
    said = isinstance(first, ast.Expr) and isinstance(getattr(first, "value", None), ast.Constant)
    lines = node.end_lineno - node.lineno + 1
    return lines - (first.end_lineno - first.lineno + 1 if said else 0)


def comment_lines(text):
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return len({t.start[0] for t in tokens if t.type == tokenize.COMMENT})


def code_lines(text, tree):
    """Return the number of lines that are neither empty nor in a docstring."""
    said = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            said.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return sum(bool(line.strip()) and i not in said for i, line in enumerate(text.split("\n"), 1))


def figures(root):
    """Return the figures of a checkout."""
    package = pathlib.Path(root) / "ltresample"
    total, used, private, lengths = collections.Counter(), collections.Counter(), set(), []
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name | ast.Attribute):
                used[node.id if isinstance(node, ast.Name) else node.attr] += 1
        if path.relative_to(package).parts[0] not in ROOMS:
            continue
        total["files"] += 1
        total["lines"] += text.count("\n")
        total["code"] += code_lines(text, tree)
        total["comments"] += comment_lines(text)
        for node in ast.walk(tree):
            total["classes"] += isinstance(node, ast.ClassDef)
            asked = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            total["asked"] += asked and node.func.id in ("hasattr", "getattr")
        for node in functions_of(tree):
            total["functions"] += 1
            lengths.append(length_without_docstring(node))
            if node.name.startswith("_") and not node.name.startswith("__"):
                private.add(node.name)
    once = sum(used[name] == 1 for name in private)
    return {
        "files": total["files"],
        "lines": total["lines"],
        "classes": total["classes"],
        "functions": total["functions"],
        "hasattr and getattr": total["asked"],
        "private functions used in one place": f"{once} of {len(private)}",
        "comment lines per line of code": f"{total['comments'] / total['code']:.1%}",
        "functions over 50 lines": sum(n > 50 for n in lengths),
        "median function": sorted(lengths)[len(lengths) // 2],
    }


if __name__ == "__main__":
    for name, value in figures(sys.argv[1] if len(sys.argv) > 1 else ".").items():
        print(f"{name:40} {value}")
