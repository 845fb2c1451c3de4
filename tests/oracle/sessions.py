"""Session windows by the words of docs/WINDOWS.md, event by event and without forgetting anything."""

import dataclasses

MS = 1000


@dataclasses.dataclass
class Event:
    partition: int
    time: int  # ms, as everything here
    end: int
    watermark: int | None
    value: int
    layer: str = ""  # "on_time", "late" or "" for too late
    link: tuple | None = None  # what it covers for others, by 1 us
    own: object = None  # an event of the session that alone holds it


class Groups:
    """Which events are one session: those that link, of the given layers and partition."""

    def __init__(self, events, layers, partition=None):
        self.events = [e for e in events if e.layer in layers and partition in (None, e.partition)]
        self.parents = {id(e): e for e in self.events}
        for i, a in enumerate(self.events):
            if a.own is not None and id(a.own) in self.parents:
                self.join(a, a.own)
            for b in self.events[:i]:
                if a.link and b.link and a.link[0] <= b.link[1] and b.link[0] <= a.link[1]:
                    self.join(a, b)

    def root(self, event):
        while self.parents[id(event)] is not event:
            event = self.parents[id(event)]
        return event

    def join(self, a, b):
        self.parents[id(self.root(a))] = self.root(b)

    def sessions(self):
        found = {}
        for event in self.events:
            found.setdefault(id(self.root(event)), []).append(event)
        return list(found.values())


class Model:
    def __init__(self, gap, lateness, max_duration=None, late="update"):
        self.gap, self.lateness, self.max_duration, self.late = gap, lateness, max_duration, late
        self.keys = {}

    def part_end(self, start, end, time):
        if not self.max_duration or end - start <= self.max_duration:
            return end
        return min(end, (time // self.max_duration + 1) * self.max_duration)

    def reach(self, event, layers):
        """Start and end of the own partition's session that the event would be in, and an event of it."""
        gone = None if event.watermark is None else event.watermark - self.lateness
        start, end, held = event.time, event.end, None
        for session in Groups(self.keys[event.key], layers, event.partition).sessions():
            their_start, their_end = min(e.time for e in session), max(e.end for e in session)
            touches = their_end >= event.time and their_start <= event.end
            if touches and (gone is None or their_end > gone):
                start, end, held = min(start, their_start), max(end, their_end), session[-1]
        return start, end, held

    def add(self, key, partition, time, watermark, value):
        event = Event(partition, time, time + self.gap, watermark, value)
        event.key = key
        events = self.keys.setdefault(key, [])
        gone = None if watermark is None else watermark - self.lateness
        start, end, held = self.reach(event, ("on_time",))
        if watermark is None or watermark < self.part_end(start, end, time):
            event.layer = "on_time"
        elif self.late == "update":
            start, end, held = self.reach(event, ("on_time", "late"))
            event.layer = "late" if self.part_end(start, end, time) > gone else ""
        # A session that ends at or before `gone` is none of its neighbours; times have whole milliseconds here.
        link_start = time * MS if gone is None or gone < time else gone * MS + 1
        if link_start <= event.end * MS:
            event.link = (link_start, event.end * MS)
        else:
            event.own = held
        events.append(event)
        return event.layer

    def expected(self, layers=("on_time", "late")):
        """{(key, start): (end, on time, late, sum)} of every part of every session."""
        found = {}
        for key, events in self.keys.items():
            for session in Groups(events, layers).sessions():
                start, end = min(e.time for e in session), max(e.end for e in session)
                is_cut = self.max_duration and end - start > self.max_duration
                parts = {}
                for event in session:
                    parts.setdefault(event.time // self.max_duration if is_cut else 0, []).append(event)
                for part in parts.values():
                    part_end = max(min(e.end, self.part_end(start, end, e.time)) for e in part)
                    on_time = sum(e.layer == "on_time" for e in part)
                    first = min(e.time for e in part)
                    assert (key, first) not in found or found.setdefault("ambiguous", True)
                    found[key, first] = (part_end, on_time, len(part) - on_time, sum(e.value for e in part))
        return found
