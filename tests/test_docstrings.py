"""Every public name is documented as numpydoc has it: what it is, each parameter, what comes back, an example.

A docstring may leave parameters to another public name of its module, which then has to document them: one that its
first paragraph has in backticks (a layer for one axis names that for two), or "Parameters, results and errors are those
of `name`". What `pycnn.reference` offers is the twin of a function, with its signature (tests/test_twins.py), and
leaves everything but its summary to that function. Records (dataclasses, named tuples) are what functions return: their
attributes are documented, the examples are those functions'.
"""

import dataclasses
import importlib
import inspect
import re

import pytest

MODULES = ("data", "estimator", "functional", "io", "models", "nn", "nn.init", "optim", "plot", "reference", "train")


THOSE_OF = "Parameters, results and errors are those of "


def record(thing):
    return isinstance(thing, type) and (dataclasses.is_dataclass(thing) or hasattr(thing, "_fields"))


def public_names():
    """(module, name) of everything public: what `__all__` lists, but for modules."""
    for module in ("pycnn", *(f"pycnn.{name}" for name in MODULES)):
        loaded = importlib.import_module(module)
        assert loaded.__doc__, module
        for name in loaded.__all__:
            if not inspect.ismodule(getattr(loaded, name)):
                yield module, name


def documented(text, heading):
    """The names that a section documents: `stride, dilation : int` gives two."""
    section = re.search(rf"^{heading}\n-+\n(.*?)(?=^\w[\w ]*\n-+\n|\Z)", text, re.M | re.S)
    names = set()
    for line in (section[1] if section else "").splitlines():
        if line and not line.startswith(" "):
            names |= {name.strip(" *") for name in line.split(" : ")[0].split(",")}
    return names


def referred(text, module):
    """The public names that a docstring leaves its parameters to."""
    those_of = re.search(rf"^{THOSE_OF}([^.]*)\.", text, re.M)
    words = re.findall(r"`([\w.]+)`", text.split("\n\n")[0] + " " + (those_of[1] if those_of else ""))
    loaded = importlib.import_module(module)
    return [getattr(loaded, word) for word in words if word in loaded.__all__]


def parameters(thing):
    try:
        return list(inspect.signature(thing).parameters)
    except ValueError:  # built in
        return []


def undocumented(thing, module):
    """The parameters that neither the docstring nor one that it refers to documents."""
    text = inspect.getdoc(thing) or ""
    known = documented(text, "Parameters") | documented(text, "Attributes")
    for other in referred(text, module):
        known |= documented(inspect.getdoc(other) or "", "Parameters")
    return [name for name in parameters(thing) if name not in known]


def faults(module, thing):
    """What a docstring lacks."""
    text = inspect.getdoc(thing) or ""
    if not text or (isinstance(thing, type) and "__doc__" not in vars(thing)):
        return ["no docstring"]
    if module == "pycnn.reference":
        return []
    found = []
    if isinstance(thing, type) and (issubclass(thing, BaseException)):
        return []
    missing = undocumented(thing, module)
    if missing:
        found.append(f"does not document {', '.join(missing)}")
    if ">>>" not in text and not record(thing):
        found.append("has no example")
    annotation = getattr(thing, "__annotations__", {}).get("return")
    says = re.search(rf"^(Returns|Yields)\n---|^{THOSE_OF}", text, re.M)
    if inspect.isfunction(thing) and annotation not in (None, "None") and parameters(thing) and not says:
        found.append("does not say what it returns")
    return found


def methods(thing):
    """The public methods and properties that the class itself defines."""
    for name, member in vars(thing).items():
        member = getattr(member, "__func__", member)
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
            yield name, getattr(thing, name)


CALLABLE = [(m, n) for m, n in public_names() if callable(getattr(importlib.import_module(m), n))]


@pytest.mark.parametrize(("module", "name"), CALLABLE, ids=lambda part: part)
def test_is_documented(module, name):
    thing = getattr(importlib.import_module(module), name)
    assert not faults(module, thing)


@pytest.mark.parametrize(("module", "name"), CALLABLE, ids=lambda part: part)
def test_methods_are_documented(module, name):
    thing = getattr(importlib.import_module(module), name)
    if not isinstance(thing, type):
        return
    for method, member in methods(thing):
        text = inspect.getdoc(member)  # inherited where the method overrides another
        assert text, method
