"""README's map equals the disk, and its commands are the ones there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def mapped() -> set[str]:
    """Every file that the map names, as a path."""
    (block,) = re.findall(r"```text\n(.*?)```", README, re.S)
    found, folders = set(), {}
    for line in block.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        for name in re.match(r"(\S+(?:  ?\S+\.(?:py|toml))*)", line.strip()).group().split():  # type: ignore[union-attr]
            if name.endswith("/"):
                folders[depth] = name
            else:
                found.add("".join(folders[d] for d in range(depth)) + name)
    return found


def on_disk() -> set[str]:
    """Every module and config, but for a folder's ``__init__.py``."""
    files = [p for folder in ("recordio_tools", "facerec_oltr", "benchmarks") for p in (ROOT / folder).rglob("*.py")]
    files += (ROOT / "configs").rglob("*.toml")
    return {str(path.relative_to(ROOT)) for path in files if path.name != "__init__.py"}


def test_the_map_equals_the_disk() -> None:
    assert mapped() == on_disk()


def test_the_commands_for_set_up_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^    make (\S+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
