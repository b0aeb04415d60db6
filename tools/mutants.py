"""Mutants for `tools/mutate.py`: a module with one expression or statement changed."""

import ast
import collections
import copy
import itertools

SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "argmax": "argmin",
    "zeros": "ones",
    "ones": "zeros",
}

Mutant = collections.namedtuple("Mutant", "module number line function before after")


def changed(node, **fields):
    """Return a copy of a node with other fields."""
    other = copy.copy(node)
    vars(other).update(fields)
    return other


def changes(node):
    """Yield the possible replacements of a node."""
    match node:
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPS:
            yield changed(node, op=SWAPS[type(op)]())
        case ast.Compare(ops=ops):
            yield from (
                changed(node, ops=[*ops[:i], SWAPS[type(op)](), *ops[i + 1 :]])
                for i, op in enumerate(ops)
            )
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.If(test=test) | ast.IfExp(test=test):
            yield changed(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Name(id=name) if name in NAMES:
            yield ast.Name(NAMES[name], node.ctx)
        case ast.Attribute(attr=name) if name in NAMES:
            yield changed(node, attr=NAMES[name])
        case ast.Call(keywords=given):
            yield from (
                changed(node, keywords=given[:i] + given[i + 1 :]) for i in range(len(given))
            )
        case ast.FunctionDef(decorator_list=given) | ast.ClassDef(decorator_list=given):
            yield from (
                changed(node, decorator_list=given[:i] + given[i + 1 :]) for i in range(len(given))
            )
    match node:
        case (
            ast.Expr(value=ast.Call())
            | ast.AugAssign()
            | ast.Raise()
            | ast.Continue()
            | ast.Break()
        ):
            yield ast.Pass()
        case ast.Return(value=ast.expr()) if ast.unparse(node) != "return None":
            yield ast.Return(ast.Constant(None))


def nodes(tree, function=""):
    """Yield `(function, parent, node)` of all code below a node.

    Annotations, messages and imports are left out.
    """
    fields = (
        value for name, value in ast.iter_fields(tree) if name not in ("annotation", "returns")
    )
    for child in itertools.chain.from_iterable(
        value if isinstance(value, list) else [value] for value in fields
    ):
        if isinstance(child, ast.AST) and not isinstance(
            child, (ast.JoinedStr, ast.Import, ast.ImportFrom)
        ):
            name = f".{child.name}" if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else ""
            yield (function + name).lstrip("."), tree, child
            if not isinstance(child, ast.Raise):
                yield from nodes(child, (function + name).lstrip("."))


def put(parent, old, new):
    """Return a copy of a node with one child replaced."""
    fields = {
        name: [new if each is old else each for each in value]
        if isinstance(value, list)
        else new
        if value is old
        else value
        for name, value in ast.iter_fields(parent)
    }
    return changed(parent, **fields)


def in_words(parent, old, new):
    """Return the code before and after a change, at most two lines."""
    pair = (
        (parent, put(parent, old, new))
        if isinstance(old, (ast.Constant, ast.Name, ast.UnaryOp))
        else (old, new)
    )
    return [" ".join(ast.unparse(ast.fix_missing_locations(node)).split("\n")[:2]) for node in pair]


def find_mutants(module, tree):
    """Yield `(mutant, old node, new node)` of every change to a module's tree."""
    every = (
        (function, parent, old, new)
        for function, parent, old in nodes(tree)
        for new in changes(old)
    )
    for number, (function, parent, old, new) in enumerate(every):
        yield Mutant(module, number, old.lineno, function, *in_words(parent, old, new)), old, new


class Replace(ast.NodeTransformer):
    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else self.generic_visit(node)


def write_mutant(mutant, path):
    """Write a mutant over its module."""
    tree = ast.parse(path.read_text())
    _, old, new = next(itertools.islice(find_mutants(mutant.module, tree), mutant.number, None))
    path.write_text(ast.unparse(ast.fix_missing_locations(Replace(old, new).visit(tree))))
