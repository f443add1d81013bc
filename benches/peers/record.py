"""Where records lie, and what they say of the machine."""
import importlib.metadata
import json
import os
import re
import subprocess
import sys

from ours import Ours

ROOT = os.path.normpath(os.path.join(os.path.dirname(__file__), "..", ".."))
LIBRARIES = ("numpy", "scipy", "torch", "mkl", "sparse_dot_mkl", "numba", "fast-histogram", "jax")
try:
    CPUINFO = open("/proc/cpuinfo").read()
except OSError:
    CPUINFO = ""


def has(flag):
    return re.search(rf"\b{flag}\b", CPUINFO) is not None


def held_to():
    """The set that both sides are held to, or None if they may use all that the CPU has."""
    asked = os.environ.get("NEUROPIL_SIMD")
    if asked in (None, "", "avx512") or (asked == "avx2" and not has("avx512f")):
        return None
    return asked if asked == "avx2" else sys.exit(f"NEUROPIL_SIMD={asked}: the peers can be held to avx2 alone")


def _of_cpu(name):
    found = re.search(rf"^{name}\s*:\s*(.*)$", CPUINFO, re.MULTILINE)
    return found.group(1).strip() if found else "unknown"


def microarchitecture():
    """Behind a name that does not tell, or None. Zen 3 and 4 share a family, and so do Zen to Zen 2."""
    vendor, family, model = (_of_cpu(name) for name in ("vendor_id", "cpu family", "model"))
    if vendor != "AuthenticAMD":
        return None
    if family == "23" and model.isdigit():
        # Zen+ has numbers between those of Zen: Pinnacle Ridge, Picasso.
        return "Zen 2" if int(model) >= 0x30 else "Zen+" if int(model) in (0x08, 0x18) else "Zen"
    if family == "25":
        return "Zen 4" if has("avx512f") else "Zen 3"
    return "Zen 5" if family == "26" else None


def version(library):
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine(binary):
    with Ours(binary, "cycles", {"count": 16}, 1) as ours:
        isa = ours.isa
    name = microarchitecture()
    cpu = _of_cpu("model name") + (f" ({name})" if name else "")
    return {"cpu": cpu, "cores": os.cpu_count(), "isa": isa, "commit": commit(), "libraries": {name: version(name) for name in LIBRARIES}}


def commit():
    """The commit that lies there, which the binary was built from if it is as new; None where nothing tells."""
    git = lambda *arguments: subprocess.run(("git", "-C", ROOT, *arguments), capture_output=True, text=True, check=True).stdout.strip()
    try:
        return git("rev-parse", "--short", "HEAD") + (", with changes" if git("status", "--porcelain", "--", "src", "benches/side_by_side") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def folder(found):
    """amd-epyc-zen5 for "AMD EPYC (Zen 5)"."""
    cpu = re.sub(r"(?i)\bzen (\d)", r"zen\1", found["cpu"])
    return os.path.join(ROOT, "benches", "record", re.sub(r"[^a-z0-9]+", "-", cpu.lower()).strip("-"))


def one_a_line(found):
    """JSON with one entry of each list a line."""
    parts = []
    for key, value in found.items():
        rows = isinstance(value, list)
        text = "[\n" + ",\n".join(json.dumps(row) for row in value) + "\n]" if rows else json.dumps(value)
        parts.append(f"{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def free(found, *kind):
    """Where a record of this day and kind goes, without what is behind the dot: DATE, or DATE-2 and so on where there is one already."""
    os.makedirs(folder(found), exist_ok=True)
    name = lambda number: "-".join(filter(None, (found["date"], number and str(number), *kind)))
    path = lambda number: os.path.join(folder(found), name(number))
    return next(path(number) for number in (None, *range(2, 1000)) if not os.path.exists(f"{path(number)}.json"))


def save(found):
    path = f"{free(found, found['held_to'])}.json"
    with open(path, "x") as file:
        file.write(one_a_line(found))
    return path
