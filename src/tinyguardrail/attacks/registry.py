"""All families of attacks, found in this folder: a module that declares `FAMILY` is one."""

from importlib import import_module
from pkgutil import iter_modules

import tinyguardrail.attacks as package
from tinyguardrail.attacks.family import Family

MOST_FAMILIES = 15  # that four bits of a response tell apart, none included


def find_families() -> dict[str, Family]:
    """Families by name, in the order of their codes.

    Raises:
        ValueError: a code is out of range, or two families share a code or a name.
    """
    modules = (
        import_module(f"{package.__name__}.{each.name}")
        for each in iter_modules(package.__path__)
        if each.name != "registry"
    )
    found = [module.FAMILY for module in modules if hasattr(module, "FAMILY")]
    by_code: dict[int, Family] = {}
    by_name: dict[str, Family] = {}
    for family in sorted(found, key=lambda each: each.code):
        if not 1 <= family.code <= MOST_FAMILIES:
            raise ValueError(f"family {family.name}: code {family.code} is not 1 to {MOST_FAMILIES}")
        for known, key in ((by_code, family.code), (by_name, family.name)):
            if known.setdefault(key, family) is not family:
                raise ValueError(
                    f"family {family.name} (code {family.code}): {key!r} is also that of "
                    f"{known[key].name} (code {known[key].code}); choose another"
                )
    return by_name


FAMILIES = find_families()
