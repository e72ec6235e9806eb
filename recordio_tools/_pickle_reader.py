"""A verification pack's pickle → lists, bytes and flags, by a machine that can do nothing else.

A pickle is a program. Python's own unpickler with a list of allowed names does not import or call strangers, but
it still obeys: it makes room for whatever length, shape or memo number the file states, before it looks for the
bytes. Scanning ahead with `pickletools` would not see what the stack holds by then, and cannot read the strings
of Python 2's protocol 0. The programs that write packs need some forty of pickle's operations, so here are those
forty, over values of our own:

- nothing is imported, called or built by a name: see `_pickle_names`;
- a length is compared with what is left of the file before a byte is read;
- the memo is a dict, a mark is a number, nothing recurses, and the number of operations is limited, so memory
  stays within a few times the size of the file;
- after the end nothing may follow.

Protocols 0 to 5 are read, from Python 2 (strings are bytes) and Python 3. Operations that no pack needs, among
them INST, OBJ, NEWOBJ, EXT and the persistent ids, are damage.
"""

import os
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from recordio_tools import _pickle_names as names
from recordio_tools._pickle_stream import Stream
from recordio_tools.errors import DamageError

_NEWEST_PROTOCOL = 5
_FREE_STEPS = 100_000
_BYTES_A_STEP = 32  # beyond those: an array takes about 25 steps, and the image in it has a kilobyte at least
_ADVICE = "nothing in it was run; if it should be a verification pack, get it again, from a source that you trust"


def read_pickle(path: Path) -> object:
    """The value that the pickle holds: lists, tuples, bytes, str, numbers, flags, None and `Array`.

    Raises:
        DamageError: Anything that a pack does not need, or the end of the file before the end of the pickle.
    """
    with path.open("rb") as file:
        machine = _Machine(file, os.fstat(file.fileno()).st_size)
        try:
            return machine.run()
        except DamageError as error:
            raise error.located(path, None, machine.start, _ADVICE) from None


class _Machine:
    """Pickle's stack machine; a method for each thing that an operation of `_STEPS` may need.

    Attributes:
        read: Where the operations' arguments come from.
        start: Where in the file the operation under way stands.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.read = Stream(file, size)
        self._stack: list[object] = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}
        self._made = 0
        self.start = 0

    def run(self) -> object:
        """The pickle's value, once the file has come to its end with it."""
        steps = _FREE_STEPS + self.read.size // _BYTES_A_STEP
        for _ in range(steps):
            self.start = self.read.at
            operation = self.read.take(1)
            if operation == b".":
                return self._result()
            if operation not in _STEPS:
                raise DamageError.of(_called(operation), "an operation that makes lists, bytes or flags")
            _STEPS[operation](self)
        raise DamageError.of(f"more than {steps:,} operations", "no more than a pack of this size needs")

    def _result(self) -> object:
        value = self.pop()
        if self._stack or self._marks:
            raise DamageError.of("values left over at the pickle's end", "one value")
        if self.read.left:
            raise DamageError.of(f"{self.read.left:,} byte(s) after the pickle's end", "the end of the file")
        return value

    def found_name(self) -> names.Name:
        return names.find(self.read.name(), self.read.name())

    def stacked_name(self) -> names.Name:
        name, module = self.pop(), self.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise DamageError.of("a name that is not text", "text")
        return names.find(module, name)

    def push(self, value: object) -> None:
        self._stack.append(value)

    def top(self) -> object:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise DamageError.of("an operation on a value that is not there", "a value before it")
        return self._stack[-1]

    def pop(self) -> object:
        self.top()
        return self._stack.pop()

    def popped(self, count: int) -> tuple[object, ...]:
        return tuple(self.pop() for _ in range(count))[::-1]

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def since_mark(self) -> list[object]:
        if not self._marks:
            raise DamageError.of("the end of a group that was not begun", "its beginning before it")
        mark = self._marks.pop()
        values = self._stack[mark:]
        del self._stack[mark:]
        return values

    def append(self, values: list[object]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise DamageError.of(f"an append to {type(target).__name__}", "a list")
        target += values

    def remember(self, number: int | None = None) -> None:
        if number is not None and number < 0:
            raise DamageError.of(f"the memo number {number:,}", "0 or more")
        self._memo[len(self._memo) if number is None else number] = self.top()

    def recall(self, number: int) -> object:
        if number not in self._memo:
            raise DamageError.of(f"a value remembered as {number:,}", f"one of the {len(self._memo):,} remembered")
        return self._memo[number]

    def reduce(self) -> object:
        arguments, name = self.pop(), self.pop()
        value = names.call(name, arguments)
        self._made += len(value) if isinstance(value, bytes) else 0
        if self._made > self.read.size:  # the same text made into bytes again and again
            raise DamageError.of(f"{self._made:,} bytes made from text", f"the file's {self.read.size:,} at most")
        return value

    def build(self) -> None:
        state = self.pop()
        names.set_state(self.top(), state)

    def protocol(self) -> None:
        version = self.read.number(1)
        if version > _NEWEST_PROTOCOL:
            raise DamageError.of(f"protocol {version}", f"0 to {_NEWEST_PROTOCOL}")

    def frame(self) -> None:
        length, left = self.read.number(8), self.read.left
        if length > left:
            raise DamageError.of(f"{left:,} byte(s) before the end of the file", f"the {length:,} of a frame")


def _called(operation: bytes) -> str:
    known = [known.name for known in pickletools.opcodes if known.code == operation.decode("latin-1")]
    return f"pickle's operation {known[0]}" if known else f"the byte 0x{operation.hex()}"


_STEPS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.protocol,
    b"\x95": _Machine.frame,
    b"(": _Machine.mark,
    # numbers, flags, None
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push(m.read.decimal()),
    b"L": lambda m: m.push(m.read.decimal()),
    b"K": lambda m: m.push(m.read.number(1)),
    b"M": lambda m: m.push(m.read.number(2)),
    b"J": lambda m: m.push(m.read.number(4, signed=True)),
    b"\x8a": lambda m: m.push(m.read.number(m.read.number(1), signed=True)),
    # bytes: Python 2's strings, Python 3's bytes, a bytearray
    b"S": lambda m: m.push(m.read.quoted()),
    b"U": lambda m: m.push(m.read.counted(1)),
    b"T": lambda m: m.push(m.read.counted(4)),
    b"C": lambda m: m.push(m.read.counted(1)),
    b"B": lambda m: m.push(m.read.counted(4)),
    b"\x8e": lambda m: m.push(m.read.counted(8)),
    b"\x96": lambda m: m.push(m.read.counted(8)),
    # text
    b"V": lambda m: m.push(m.read.raw_text()),
    b"\x8c": lambda m: m.push(m.read.text(1)),
    b"X": lambda m: m.push(m.read.text(4)),
    b"\x8d": lambda m: m.push(m.read.text(8)),
    # lists and tuples
    b"]": lambda m: m.push([]),
    b"l": lambda m: m.push(m.since_mark()),
    b"a": lambda m: m.append([m.pop()]),
    b"e": lambda m: m.append(m.since_mark()),
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.push(m.popped(1)),
    b"\x86": lambda m: m.push(m.popped(2)),
    b"\x87": lambda m: m.push(m.popped(3)),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    # what was remembered
    b"p": lambda m: m.remember(m.read.decimal()),
    b"q": lambda m: m.remember(m.read.number(1)),
    b"r": lambda m: m.remember(m.read.number(4)),
    b"\x94": lambda m: m.remember(),
    b"g": lambda m: m.push(m.recall(m.read.decimal())),
    b"h": lambda m: m.push(m.recall(m.read.number(1))),
    b"j": lambda m: m.push(m.recall(m.read.number(4))),
    # names, and what they stand for
    b"c": lambda m: m.push(m.found_name()),
    b"\x93": lambda m: m.push(m.stacked_name()),
    b"R": lambda m: m.push(m.reduce()),
    b"b": _Machine.build,
}
