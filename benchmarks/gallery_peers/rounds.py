"""What is measured on photos."""

import shutil
import sys
from typing import Any

from benchmarks.gallery_peers.answers import judge, traces
from benchmarks.gallery_peers.photos import LATER, TRIALS
from benchmarks.gallery_peers.processes import finish, seconds
from benchmarks.gallery_peers.tools import Deepface, FaceRecognition, Keeping, Ours, Tool


def measure_photos(tools: list[Tool], who: dict[str, Any], rounds: int) -> dict[str, Any]:
    """Rounds in turns, then two processes at once."""
    found: dict[str, Any] = {tool.name: {"rounds": []} for tool in tools}
    for number in range(rounds):
        for tool in tools:
            found[tool.name]["rounds"].append(one_round(tool, who, last=number == rounds - 1))
            print(f"round {number + 1}: {tool.name}: {found[tool.name]['rounds'][-1]}", file=sys.stderr, flush=True)
    for tool in tools:
        if isinstance(tool, Keeping) and not isinstance(tool, FaceRecognition):  # its file is the user's own doing
            found[tool.name]["two_at_once"] = two_at_once(tool, who)
            print(f"two at once: {tool.name}: {found[tool.name]['two_at_once']}", file=sys.stderr, flush=True)
    return found


def one_round(tool: Tool, who: dict[str, Any], last: bool) -> dict[str, Any]:
    """Everything with a tool once; the last time with all probes."""
    shutil.rmtree(tool.home, ignore_errors=True)
    tool.home.mkdir(parents=True)
    figures: dict[str, Any] = {"enrol": seconds(lambda: tool.enrol(tool.photos / "known"))[0]}
    if isinstance(tool, Ours):
        figures["calibrate"] = seconds(tool.calibrate)[0]
    figures["first"], _ = seconds(lambda: tool.identify(tool.photos / "one"))
    some, _ = seconds(lambda: tool.identify(tool.photos / "some"))
    figures["later"] = (some - figures["first"]) / LATER
    if last:
        figures["answers"] = judge(tool.identify(tool.photos / "all"), who)
    if not isinstance(tool, Keeping):
        return figures | {"enrol": None}
    if last:
        held = tool.vectors()
        figures["enrolled"] = {
            "people": sum(bool(own) for own in held.values()),
            "photos": sum(map(len, held.values())),
        }
    figures["add"] = seconds(lambda: finish(tool.add(who["new"][0])))[0]
    gone = tool.vectors()[who["known"][1]]
    figures["vectors_of_the_removed"] = [traces(tool.home, gone)]
    figures["remove"] = seconds(lambda: tool.remove(who["known"][1]))[0]
    figures["vectors_of_the_removed"] += [traces(tool.home, gone)]
    if isinstance(tool, Deepface):
        tool.identify(tool.photos / "one")
        figures["vectors_of_the_removed"] += [traces(tool.home, gone)]
    return figures


def two_at_once(tool: Keeping, who: dict[str, Any]) -> dict[str, Any]:
    """Two processes begin at the same time, each to add a person, ten times into one gallery."""
    shutil.rmtree(tool.home, ignore_errors=True)
    tool.home.mkdir(parents=True)
    few = tool.home.with_name(f"{tool.home.name}-few")
    shutil.rmtree(few, ignore_errors=True)
    for name in who["known"][:5]:
        shutil.copytree(tool.photos / "known" / name, few / name)
    tool.enrol(few)
    failed, lost, words = 0, 0, set()
    for trial in range(TRIALS):
        pair = who["new"][1 + 2 * trial : 3 + 2 * trial]
        for process in [tool.add(name) for name in pair]:
            _, err = process.communicate()
            failed += process.returncode != 0
            words |= {err.strip().splitlines()[-1][:300]} if process.returncode else set()
        lost += len(set(pair) - tool.vectors().keys())
    missing = len(set(who["new"][1:]) - tool.vectors().keys())
    return {
        "pairs": TRIALS,
        "failed": failed,
        "absent_after": lost,
        "absent_at_the_end": missing,
        "errors": sorted(words),
    }
