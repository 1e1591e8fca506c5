"""Everything that needs a GPU, in one command: `make gpu`. Tests of the engine, then the benchmark.

Works without network and without a virtual environment: it uses the Python that runs it, and its
torch. What that Python lacks is installed from a folder of wheels into build/gpu, which nothing
else uses. With --rehearse everything runs on the CPU, on little work, to see that it starts.
"""

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILT = ROOT / "build" / "gpu"
TEST_PACKAGES = ("pytest>=8.3", "pytest-timeout>=2.3")
REHEARSAL = "--device cpu --trials 2 --max-steps 2 --batch-sizes 1,8 --seconds 0.05 --images 550"
_TEST_SECONDS = 1200


def project() -> dict[str, object]:
    """Return the section of that name in pyproject.toml."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    section: dict[str, object] = content["project"]
    return section


def has(name: str) -> bool:
    """Return whether this Python finds a distribution."""
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def plain(requirement: str) -> str:
    """Return the name in a requirement such as `ray[tune]>=2.50`."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0]


def absent(requirements: Sequence[str]) -> list[str]:
    """Return the requirements whose distribution is not there."""
    return [requirement for requirement in requirements if not has(plain(requirement))]


def install(wheels: Path) -> None:
    """Install every wheel of a folder whose distribution this Python lacks, and nothing else."""
    files = sorted(wheels.glob("*.whl"))
    lacking = [str(file) for file in files if not has(file.name.partition("-")[0])]
    if lacking:
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        subprocess.run([*words, "--target", str(BUILT), *lacking], check=True)


def introduce() -> None:
    """Let this Python know batchscale by name and version, as an installation would."""
    version = project()["version"]
    if not has("batchscale"):
        info = BUILT / f"batchscale-{version}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        text = f"Metadata-Version: 2.1\nName: batchscale\nVersion: {version}\n"
        (info / "METADATA").write_text(text, encoding="utf-8")


def environment() -> dict[str, str]:
    """Return the environment of what is run: with the installed wheels, and this repository."""
    paths = [str(ROOT), str(BUILT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def card(env: dict[str, str]) -> str:
    """Return what the GPU calls itself; empty without one."""
    ask = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    words = [sys.executable, "-c", ask]
    return subprocess.run(
        words, env=env, text=True, stdout=subprocess.PIPE, check=True
    ).stdout.strip()


def main() -> int:
    """Prepare, test and measure; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, help="folder of wheels of what is missing")
    parser.add_argument("--json", type=Path, default=BUILT / "gpu.json", help="what was measured")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, on little work")
    chosen = parser.parse_args()
    sys.path.insert(0, str(BUILT))
    if chosen.wheels is not None:
        install(chosen.wheels)
    dependencies = project()["dependencies"]
    assert isinstance(dependencies, list)
    if missing := absent([*dependencies, *TEST_PACKAGES]):
        print(
            f"this Python needs packages that it lacks: {', '.join(missing)}; on a machine with "
            "network and the same Python run `pip download --dest wheels "
            f"{' '.join(map(repr, missing))}`, then here `make gpu WHEELS=wheels`",
            file=sys.stderr,
        )
        return 2
    introduce()
    env = environment()
    name = "the CPU, a rehearsal" if chosen.rehearse else card(env)
    if not name:
        print("make gpu needs a GPU that torch can use, got none", file=sys.stderr)
        return 2
    print(f"on {name}", flush=True)
    env |= {"BATCHSCALE_TEST_DEVICE": "cpu"} if chosen.rehearse else {}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs"]
    tests += [str(ROOT / "tests/study/engine/test_cuda.py")]
    panel = [sys.executable, "-m", "tests.benchmarks.steps.gpu", "--json", str(chosen.json)]
    panel += REHEARSAL.split() if chosen.rehearse else []
    tested = subprocess.run(tests, env=env, cwd=ROOT, timeout=_TEST_SECONDS).returncode
    return subprocess.run(panel, env=env, cwd=ROOT).returncode or tested


if __name__ == "__main__":
    sys.exit(main())
