"""One event as a picture: a lane for each door, what its clients met as marks. SVG, readable on light and dark ground."""

from xml.sax.saxutils import escape

from doors import CLIENTS, role

LEFT, WIDTH, LANE, TOP, FOOT = 230, 720, 46, 58, 44
BEFORE, AFTER = 1.0, 2.0  # seconds shown before the event, and after the last failure
LONGEST_AFTER = 12.0      # seconds shown after the new primary is writable
ROWS = {"a": (2, 14), "b": (18, 10), "c": (30, 10)}  # of a lane: where the client's marks begin, how tall they are

STYLE = """
text{font:12px sans-serif;fill:#222}.s{font-size:10px;fill:#666}.l{fill:#8882}.g{fill:#1a7f37}.f{fill:#d1242f}
.o{stroke:#9a6700;stroke-dasharray:4 3}.n{stroke:#0969da}.e{stroke:#888;stroke-dasharray:1 3}.o,.n,.e{fill:none;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#ddd}.s{fill:#999}.g{fill:#3fb950}.f{fill:#ff7b72}.o{stroke:#d29922}.n{stroke:#58a6ff}}
"""


def span_shown(records, truth):
    """(from, to): the event, and what follows it until the last failure."""
    last_failure = max((record["end"] for record in records if not record["ok"] and not record.get("hanging")),
                       default=truth.new_writable)
    return truth.begun - BEFORE, min(max(last_failure, truth.new_writable) + AFTER, truth.new_writable + LONGEST_AFTER)


def marks(moments, at, tall, scale):
    """One path of upright bars; those that all but touch are one wider bar."""
    bars = []
    for place in sorted(round(scale(moment) * 2) / 2 for moment in moments):
        if bars and place - bars[-1][1] <= 1.5:
            bars[-1][1] = place
        else:
            bars.append([place, place])
    return "".join(f"M{first:g} {at}h{last - first + 1:g}v{tall}h-{last - first + 1:g}z" for first, last in bars)


def lane(kind, records, top, scale, begin, end):
    """Good writes where they ended, failures where they did."""
    lines = [f'<rect class="l" x="{LEFT}" y="{top}" width="{WIDTH}" height="{LANE - 4}"/>',
             f'<text x="8" y="{top + 26}">{escape(kind.title)}</text>']
    for letter in CLIENTS:
        at, tall = ROWS[letter]
        own = [record for record in records if record["client"] == role(kind, letter) and begin <= record["end"] <= end]
        lines.append(f'<text class="s" x="{LEFT - 12}" y="{top + at + 9}">{letter}</text>')
        for ok, name in ((True, "g"), (False, "f")):
            path = marks([record["end"] for record in own if record["ok"] == ok], top + at, tall, scale)
            if path:
                lines.append(f'<path class="{name}" d="{path}"/>')
    return lines


def tick_step(length):
    return next((step for step in (0.5, 1, 2, 5, 10, 20, 60) if length / step <= 12), 120)


def draw(event, kinds, records, truth, subtitle):
    """The whole picture, as text."""
    begin, end = span_shown(records, truth)
    bottom = TOP + LANE * len(kinds)
    height = bottom + FOOT

    def scale(moment):
        return LEFT + (moment - begin) / (end - begin) * WIDTH

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 14} {height}" role="img">',
             f"<title>{escape(event)}: what the clients of each door met</title>", f"<style>{STYLE}</style>",
             f'<text x="8" y="18">{escape(event)}: each mark is the end of a write: good ones green, failed ones red</text>',
             f'<text class="s" x="8" y="34">{escape(subtitle)}</text>']
    for number, kind in enumerate(kinds):
        lines += lane(kind, records, TOP + LANE * number, scale, begin, end)
    for moment, name, label, anchor in ((truth.begun, "e", event, "end"), (truth.old_stopped, "o", "old stopped", "end"),
                                        (truth.new_writable, "n", "new writable", "start")):
        place = min(max(scale(moment), LEFT), LEFT + WIDTH)
        lines.append(f'<path class="{name}" d="M{place:.1f} {TOP - 6}V{bottom}"/>')
        shift = {"end": -4, "start": 4}[anchor]
        row = TOP - 8 if name != "e" else bottom + 28
        lines.append(f'<text class="s" x="{place + shift:.1f}" y="{row}" text-anchor="{anchor}">{label}</text>')
    step = tick_step(end - begin)
    tick = 0.0
    while truth.begun + tick <= end:
        place = scale(truth.begun + tick)
        lines.append(f'<text class="s" x="{place:.1f}" y="{bottom + 14}" text-anchor="middle">{tick:g} s</text>')
        tick += step
    return "\n".join([*lines, "</svg>"]) + "\n"
