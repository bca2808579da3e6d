# SPDX-License-Identifier: MIT
"""The demo's timeline as SVG: each packet's way through the scenes.

Three panels over one time axis: the one-way delay of the packets down and up (a point for each
20 ms and, in red, what was lost), and the download's progress.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Callable, Iterable

if TYPE_CHECKING:
    import demo as demo_module

WIDTH, LEFT, RIGHT = 1200, 70, 20
PANELS_TOP, PANEL_HEIGHT, PANEL_GAP = 96, 150, 46
BIN_US = 20_000
COLOURS = {"wifi": "#dbe9f6", "cell": "#fde8d0", "v6": "#e3f2dc", "home": "#f3e0ee"}
LINE, LOST, INK, FAINT = "#1f4e79", "#c0392b", "#222", "#888"


class Canvas:
    def __init__(self, width: int, height: int):
        self.parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                      f'viewBox="0 0 {width} {height}" font-family="DejaVu Sans, sans-serif" font-size="12">',
                      f'<rect width="{width}" height="{height}" fill="white"/>']

    def rect(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" '
                          f'fill="{fill}"/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, stroke: str = FAINT, dash: str = "") -> None:
        more = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{more}/>')

    def path(self, points: Iterable[tuple[float, float]], stroke: str) -> None:
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{text}" fill="none" stroke="{stroke}" stroke-width="1.5"/>')

    def dots(self, points: Iterable[tuple[float, float]], fill: str) -> None:
        self.parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.4" fill="{fill}"/>' for x, y in points]

    def text(self, x: float, y: float, text: str, anchor: str = "start", fill: str = INK, size: int = 12) -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}" '
                          f'font-size="{size}">{html.escape(text)}</text>')

    def svg(self) -> str:
        return "\n".join([*self.parts, "</svg>\n"])


def axis(canvas: Canvas, top: float, most: float, unit: str, title: str) -> Callable[[float], float]:
    """A panel's frame; returns value -> y."""
    def y(value: float) -> float:
        return top + PANEL_HEIGHT - min(value, most) / most * PANEL_HEIGHT
    canvas.text(LEFT, top - 6, title, size=13)
    for step in range(0, 5):
        value = most * step / 4
        canvas.line(LEFT - 4, y(value), LEFT, y(value))
        canvas.text(LEFT - 8, y(value) + 4, f"{value:g}{unit}", "end", FAINT, 11)
    canvas.line(LEFT, top, LEFT, top + PANEL_HEIGHT)
    canvas.line(LEFT, top + PANEL_HEIGHT, WIDTH - RIGHT, top + PANEL_HEIGHT)
    return y


def draw(demo: demo_module.Demo) -> str:
    played = [s for s in demo.scenes if s.start_us]
    start_us = (played[0].start_us if played else demo.start_us) - 500_000
    end_us = max(demo.end_us, start_us + 1_000_000)
    bottom = PANELS_TOP + 3 * PANEL_HEIGHT + 2 * PANEL_GAP
    canvas = Canvas(WIDTH, bottom + 44)

    def x(time_us: float) -> float:
        return LEFT + (time_us - start_us) / (end_us - start_us) * (WIDTH - LEFT - RIGHT)

    canvas.text(LEFT, 26, "A terminal moves: one download, 1,000 packets/s each way", size=17)
    ends = [s.start_us for s in played[1:]] + [end_us]
    for i, (scene, until_us) in enumerate(zip(played, ends)):
        canvas.rect(x(scene.start_us), 66, x(until_us) - x(scene.start_us), bottom - 66, COLOURS[scene.network])
        canvas.line(x(scene.start_us), 40 + i % 2 * 14, x(scene.start_us), bottom, FAINT, "3 3")
        canvas.text(x(scene.start_us) + 3, 50 + i % 2 * 14, f"{i + 1}. {scene.name}", size=11)

    top = PANELS_TOP
    for way, title in (("down", "down: delay of packets to the terminal"),
                       ("up", "up: delay of packets from the terminal")):
        y = axis(canvas, top, 120, " ms", title)
        sender, receiver = demo.streams.ends(way)
        bins: dict[int, float] = {}
        for time_us, number in receiver.arrivals:
            sent_us = sender.sent_us[number]
            if start_us <= sent_us < end_us:
                at = sent_us // BIN_US
                bins[at] = max(bins.get(at, 0.0), (time_us - sent_us) / 1000)
        canvas.dots(((x(at * BIN_US), y(ms)) for at, ms in bins.items()), LINE)
        lost = demo.streams.missing(way, start_us, end_us)
        for at in sorted({sender.sent_us[n] // BIN_US for n in lost}):
            canvas.rect(x(at * BIN_US), top, x(BIN_US + start_us) - x(start_us), PANEL_HEIGHT, LOST)
        canvas.text(WIDTH - RIGHT, top - 6, f"{len(lost)} lost", "end", LOST if lost else FAINT)
        top += PANEL_HEIGHT + PANEL_GAP

    progress = [(t, n) for t, n in demo.download.progress if start_us <= t < end_us]
    most = max((n for _, n in progress), default=1) / 1e6
    y = axis(canvas, top, max(round(most + 0.5), 1), " MB", "download: one TCP connection")
    canvas.path(((x(t), y(n / 1e6)) for t, n in progress[::max(1, len(progress) // 2000)]), LINE)

    for second in range(0, int((end_us - start_us) / 1e6) + 1, 2):
        canvas.text(x(start_us + second * 1e6), bottom + 18, f"{second} s", "middle", FAINT, 11)
    for i, (network, colour) in enumerate(COLOURS.items()):
        canvas.rect(LEFT + i * 90, bottom + 26, 12, 12, colour)
        canvas.text(LEFT + i * 90 + 17, bottom + 36, network)
    canvas.rect(LEFT + 360, bottom + 26, 12, 12, LOST)
    canvas.text(LEFT + 377, bottom + 36, "lost packets")
    return canvas.svg()
