"""The closing page: accuracy before, during and after, as a picture and a page with every link."""

import base64
import io
from pathlib import Path

from jinja2 import Environment

from examples.story.chapters import Story
from examples.story.loop import Outcome
from include.storage import write_atomically

COLOURS = {"before": "#2f7d5d", "during": "#c2452d", "after": "#2b6cb0"}
CAPTIONS = {"before": "clean lens", "during": "worn lens", "after": "worn lens,\nretrained model"}

PAGE = Path(__file__).with_name("report.html")


def draw(outcome: Outcome) -> bytes:
    """Draw accuracy with 95 % Wilson intervals as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from scipy.stats import binomtest

    figure = Figure(figsize=(7.2, 3.8), dpi=150, layout="constrained")
    axes = FigureCanvasAgg(figure).figure.subplots()
    for position, (name, sample) in enumerate(outcome.samples.items()):
        interval = binomtest(sample.correct, sample.answered).proportion_ci(method="wilson")
        error = [[sample.accuracy - interval.low], [interval.high - sample.accuracy]]
        axes.bar(position, sample.accuracy, width=0.6, color=COLOURS[name], yerr=error, capsize=5, ecolor="#333")
        axes.text(position, 0.03, f"{sample.accuracy:.1%}", ha="center", color="white", fontweight="bold")
    axes.set_xticks(range(len(outcome.samples)), [f"{name}\n{CAPTIONS[name]}" for name in outcome.samples])
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("accuracy on live traffic")
    axes.set_title("The lens wears out, the pipeline notices and learns", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def write_report(story: Story, chapters: list[dict[str, object]], folder: Path) -> tuple[Path, Path]:
    """Write the picture and the page of a play, and return where they are."""
    picture, page = folder / f"play_{story.play.number}.png", folder / f"play_{story.play.number}.html"
    drawing = draw(story.outcome)
    html = (
        Environment(autoescape=True)
        .from_string(PAGE.read_text())
        .render(
            play=story.play.number,
            days=story.play.days,
            picture=base64.b64encode(drawing).decode(),
            samples=story.outcome.samples,
            chapters=chapters,
            links=story.outcome.links,
        )
    )
    write_atomically(picture, drawing)
    write_atomically(page, html.encode())
    return picture, page
