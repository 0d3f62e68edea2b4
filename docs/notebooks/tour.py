# %% [markdown]
# # A tour of Pushcart
#
# You follow one small shop from its raw events to a verdict: may the new model replace the one
# that serves shoppers now? The stages are those of `bin/ci run`. Nothing is built again for this
# notebook: each figure comes from the pipeline's own code and files.
#
# It takes one to two minutes on two cores, and needs no network. The shop lies in a temporary
# folder and goes when the kernel ends.
#
# | part | question |
# |---|---|
# | 1 Events | What does a shop write down? |
# | 2 Prepare | What is kept of it, and what is set aside to judge on? |
# | 3 Train | What does each rung of the ladder learn? |
# | 4 One shopper | What does each rung recommend to a person? |
# | 5 Export and evaluate | What will be served, and how good is it? |
# | 6 Gate | Is it good enough, and how sure are we? |
# | 7 A worse model | Does the gate say no? |

# %%
import logging
import sqlite3
import tempfile
import warnings
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from scipy.stats import binomtest

from ci import registry
from ci.config import Options, load_config
from ci.errors import HeldError, InconclusiveError
from ci.runner import run_named_stage, workspace_of

# TensorFlow and MLflow are more talkative in a notebook than on a terminal.
logging.disable(logging.INFO)
warnings.filterwarnings("ignore", "IProgress not found")

# %% [markdown]
# ## The shop
#
# Change these numbers and run all cells again.

# %% tags=["parameters"]
SHOPPERS = 4_000
ITEMS = 600
EVENTS = 240_000
CPU_SECONDS = 20  # what the neural network may spend on learning
MARGIN = 0.03  # what a challenger may lose, as a share of the live model's score

# %% [markdown]
# A shop is one configuration file. What is not written in it has the default that
# [pipeline.toml](../../pipeline.toml) shows, with its reason.

# %%
scratch = tempfile.TemporaryDirectory(prefix="pushcart-tour-")
folder = Path(scratch.name)
TOML = f"""
[shop]
name = "tour"

[simulator]
shoppers = {SHOPPERS}
items = {ITEMS}
events = {EVENTS}
bots = 10

[model]
cpu_seconds = {CPU_SECONDS}

[gate]
margin = {MARGIN}
baseline_environment = "shop"  # the challenger is compared with what serves there
max_cpu_ratio = 10             # part 6 says why

[environments.shop]
target = "kubernetes"          # rolled out by a cluster: nothing starts to serve on this machine

[serving]
engine = "litert"

[storage]
build = "{folder}/build"
state = "{folder}/var"
"""
(folder / "shop.toml").write_text(TOML)


def configured(**settings):
    """Read the shop's settings; `model_name="linear"` is `bin/ci --set model.name=linear`."""
    chosen = {key.replace("_", ".", 1): value for key, value in settings.items()}
    return load_config(folder / "shop.toml", chosen, Options(environment="shop"))


def stage(name, config):
    """Do what `bin/ci NAME` does. A verdict that keeps the live model ends with an exit code."""
    try:
        run_named_stage(config, name)
    except (HeldError, InconclusiveError) as verdict:
        print(f"exit code {verdict.exit_code}")


config = configured()
workspace = workspace_of(config)

# %% [markdown]
# The plots have the colours of the pipeline's report: blue is the challenger, grey what it is
# compared with, red is harm. Colours that mean something else are Okabe and Ito's, which
# colour-blind people can tell apart too.

# %%
BLUE, RED, DARK, GREY, PALE = "#3b82f6", "#dc4c4c", "#3f4650", "#9aa3ae", "#d7dce2"
OF_ROLE = {"challenger": BLUE, "live": DARK, "rung": GREY, "harm": RED}
OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
plt.rcParams |= {
    "figure.figsize": (8.5, 3.6),
    "figure.dpi": 120,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eceff3",
    "legend.frameon": False,
    "date.converter": "concise",
}


def show(figure, title, across, up):
    """Name a figure and its axes, to those who see it and to those who do not, and show it."""
    figure.suptitle(title, x=0.01, ha="left", fontsize="large", fontweight="bold")
    figure.supxlabel(across, fontsize="medium")
    figure.supylabel(up, fontsize="medium")
    display(figure, metadata={"image/png": {"alt": f"{title}. Across: {across}. Up: {up}."}})
    plt.close(figure)


def mark(axes, x, words, colour=DARK, side="center"):
    """Draw a named line from the bottom to the top."""
    axes.axvline(x, color=colour, linewidth=1.2, linestyle="--")
    axes.text(
        x,
        1.01,
        f" {words} ",
        transform=axes.get_xaxis_transform(),
        color=colour,
        ha=side,
        va="bottom",
        fontsize=9,
    )


def show_intervals(plot, title, across, up):
    """Show an interval plot of the report, which has the places in percent of the width."""
    figure, axes = plt.subplots(figsize=(8.5, 1.7 + 0.34 * len(plot.marks)))
    for place, row in enumerate(plot.marks):
        look = {"color": OF_ROLE[row.role], "solid_capstyle": "round", "linewidth": 4}
        axes.plot([row.left, row.right], [place, place], **look)
        axes.plot(row.x, place, "X" if row.role == "harm" else "o", color=look["color"], ms=9)
        axes.annotate(row.text, (102, place), va="center", fontsize=9, annotation_clip=False)
    for rule in plot.rules:
        mark(axes, rule.x, rule.label)
    axes.set_xticks([tick.x for tick in plot.ticks], [tick.label for tick in plot.ticks])
    axes.set_yticks(range(len(plot.marks)), [row.label for row in plot.marks])
    axes.set(xlim=(0, 100), ylim=(len(plot.marks) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    show(figure, title, f"{plot.title} ({across})", up)


# %% [markdown]
# ## 1 Events
#
# A row is one thing that happened: who, which item, what, when. An *impression* is an act of the
# shop: it showed an item at a position of a list. All others are acts of a shopper. A log of yours
# needs four of these columns; [docs/data.md](../../docs/data.md) tells how it is mapped.
#
# This shop is simulated, so the tastes of its shoppers are known. That is why we can tell, in the
# end, how good the *best possible* recommendations would have been.

# %%
from ci.sources import event_source
from model.schema import EVENT_TYPES

source = event_source(config)  # makes the shop, because there is none yet
with closing(sqlite3.connect(urlsplit(source.url).path)) as database:
    events = pd.read_sql("SELECT * FROM events ORDER BY timestamp", database)
events["timestamp"] = pd.to_datetime(events["timestamp"], format="ISO8601", errors="coerce")
events["day"] = events["timestamp"].dt.floor("D")

# A shopper's day with everything in it: a search, a list that was shown, and what came of it.
known = events[events["event_type"].isin(EVENT_TYPES)]
shopper, day = known.groupby(["user_id", "day"])["event_type"].nunique().idxmax()
visit = events[(events["user_id"] == shopper) & (events["day"] == day)].head(12)
visit = visit.drop(columns=["event_id", "day", "model_version"]).convert_dtypes()
visit.style.format(na_rep="", precision=2).hide(axis="index")

# %% [markdown]
# **How much happens on a day?** Weekends are busier. Look at the lone spikes among the views and
# the clicks: no shopper does that. They are bots, planted by the simulator, that look at
# everything for a night.

# %%
daily = events.groupby(["day", "event_type"]).size().unstack(fill_value=0)
begun = events.loc[events["event_type"] == "impression", "day"].min()
daily = daily.asfreq("D", fill_value=0).loc[begun:].iloc[1:-1]  # whole days
figure, grid = plt.subplots(2, 3, sharex=True, figsize=(8.5, 4))
for axes, name in zip(grid.flat, EVENT_TYPES, strict=True):
    axes.plot(daily.index, daily[name], color=BLUE, linewidth=1.3)
    axes.set_title(name, fontsize="medium")
    axes.set_ylim(0)
    axes.tick_params(labelsize=8)
    axes.xaxis.get_offset_text().set_visible(False)  # the label below says it once
show(
    figure,
    "What happens in the shop, by type of event",
    f"day (UTC), {daily.index[0]:%Y-%m-%d} to {daily.index[-1]:%Y-%m-%d}",
    "events a day",
)

# %% [markdown]
# **Which items sell?** Few sell much, many sell little. A list of best-sellers serves the left end
# of this curve alone. The items on the right are why a shop recommends at all.

# %%
sold = events[events["event_type"] == "purchase"]["item_id"].value_counts().to_numpy()
head = -(-len(sold) // 10)
share = sold[:head].sum() / sold.sum()
figure, axes = plt.subplots(figsize=(8.5, 3.2))
axes.bar(np.arange(1, len(sold) + 1), sold, 1.0, color=[BLUE] * head + [GREY] * (len(sold) - head))
axes.annotate(
    f"a tenth of the items, {share:.0%} of the sales",
    (head, sold[head // 2]),
    xytext=(8, 0),
    textcoords="offset points",
    color=BLUE,
)
axes.set(xlim=(0, len(sold)), ylim=0)
show(figure, "The long tail", "items, from the best seller down (rank)", "purchases of the item")

# %% [markdown]
# **Does a click say that the item was good?** Only in part. The lower an item stands in a list,
# the less it is clicked, because fewer people look there. A model that took clicks at their face
# value would learn the order of yesterday's lists. So what was shown is no part of a shopper's
# history, and models are judged on purchases.

# %%
shown = events[events["event_type"] == "impression"]["position"].value_counts().sort_index()
clicks = events[events["event_type"] == "click"]["position"].value_counts()
rates = [binomtest(int(clicks[place]), int(count)) for place, count in shown.items()]
middle = np.array([rate.statistic for rate in rates])
ends = np.array([rate.proportion_ci(method="wilson") for rate in rates]).T
figure, axes = plt.subplots(figsize=(8.5, 3.2))
axes.errorbar(
    shown.index,
    100 * middle,
    100 * np.abs(ends - middle),
    fmt="o",
    color=BLUE,
    ms=8,
    elinewidth=3,
    capsize=5,
)
axes.set_xticks(shown.index.astype(int))
axes.set_ylim(0)
show(
    figure,
    "Position bias: how often an item is clicked, with 95 % intervals",
    "position in the list (1 is the top)",
    "clicks per 100 impressions",
)

# %% [markdown]
# ## 2 Prepare
#
# `bin/ci prepare` holds every row to a contract and leaves nothing out silently. Rows in = kept +
# quarantined + duplicates + filtered. Bots are cut by what they do, not by who they are; as the
# simulator planted them, we know that the right ones were found.

# %%
stage("prepare", config)

# %%
from ci.reporting.accounts import data_of
from ci.reporting.gathered import gather

account = data_of(gather(config, workspace))
figure, axes = plt.subplots(figsize=(8.5, 2.1))
for part in account.bar:
    axes.barh(
        0,
        part.width,
        left=part.left,
        color=OF_ROLE[part.role],
        edgecolor="white",
        label=f"{part.label} {part.text}",
    )
axes.set(yticks=[], xlim=(0, 100))
axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)
show(figure, "Where every row went", "share of the rows (%)", "the log")
for what, listed in (("filtered", account.filtered), ("quarantined", account.reasons)):
    print(f"{what + ':':<13}", ", ".join(f"{why} {rows}" for why, rows in listed))

# %% [markdown]
# **The split is by time.** A model learns from what lies before *the cut* and is judged on what
# came after, as in life. Had the rows been dealt out at random, the model would have seen the
# future of the very shopper that it is judged on. Settings are chosen on the validation window, so
# that the test window is looked at once, by the gate.

# %%
from model.data.dataset import SPLITS, Dataset

dataset = Dataset.load(workspace.path("dataset"))
days = (dataset.timestamp - dataset.start_of("test")) / 86_400
figure, axes = plt.subplots()
edges = np.arange(np.floor(days.min()), np.ceil(days.max()) + 1)
for (name, number), colour in zip(SPLITS.items(), (GREY, OKABE_ITO[1], BLUE), strict=True):
    there = days[dataset.split == number]
    axes.hist(there, edges, color=colour, rwidth=0.9, label=f"{name}: {len(there):,} events")
mark(axes, 0, "the cut")
axes.legend(loc="lower left", ncols=3, bbox_to_anchor=(-0.02, 1.05))
show(
    figure, "What is learned from, and what is judged on", "days after the cut", "kept events a day"
)

# %% [markdown]
# ## 3 Train
#
# A shop that releases its first model has nothing to compare it with. Let this one have gone live
# some time ago with `repeat`: recommend to each shopper what he or she bought most. It is one line
# of counting and hard to beat, because people buy the same things again.
#
# `promote` moves the registry's alias of the environment; `bin/ci deploy` does it last, after it
# has seen the new release answer.

# %%
first = configured(model_name="repeat")
for name in ("prepare", "train", "export"):
    stage(name, first)
live = workspace.read_json("bundle.json", made_by="export")["model_version"]
registry.promote(first, "shop", live)

# %% [markdown]
# Now the challenger, `blend`. It mixes the rungs of a ladder, from a list of best-sellers to a
# transformer; [docs/models.md](../../docs/models.md) has their formulas. Every rung is trained,
# because a model is only worth its cost if it beats the cheaper ones.
#
# `prepare` runs again, as the transformer reads a column that `repeat` does not. Training is the
# long part: it takes half a minute or more.

# %%
for name in ("prepare", "train"):
    stage(name, config)

# %%
training = workspace.read_json("training.json", made_by="train")
fitted = {**training["ladder"], training["model"]: training}
pd.DataFrame(
    {
        "NDCG@10, validation": {
            name: one["validation"]["ndcg_at_10"] for name, one in fitted.items()
        },
        "CPU-seconds": {name: one["cpu_seconds"] for name, one in fitted.items()},
        "share in the blend": training["notes"].get("shares", {}),
    }
).round(3)

# %% [markdown]
# **How the network learns.** The dot marks the best moment. The transformer alone stays below
# `repeat` here; what it knows of the order of events still helps the blend.

# %%
from ci.reporting.quality import quality_of

curves = quality_of(gather(config, workspace)).learning
figure, grid = plt.subplots(1, len(curves), figsize=(8.5, 3), squeeze=False)
for axes, curve in zip(grid.flat, curves, strict=True):
    axes.plot(*zip(*curve.points, strict=True), color=BLUE, linewidth=2)
    axes.plot(*curve.best, "o", color=BLUE, ms=8)
    axes.set_xticks([tick.x for tick in curve.x_ticks], [tick.label for tick in curve.x_ticks])
    axes.set_yticks([place for place, _ in curve.y_ticks], [label for _, label in curve.y_ticks])
    axes.invert_yaxis()  # the report measures from the top
    axes.set_title(curve.title, fontsize="medium")
show(figure, "The transformer learns", curves[0].x_label, "loss; NDCG@10")

# %% [markdown]
# ## 4 One shopper
#
# We take a shopper whose first basket of the test window the blend foresaw in part, and the list
# of best-sellers did not. Here is what the shopper did last before the cut, and what he or she
# bought first after it.

# %%
from ci.evaluating.contenders import rung_lists
from ci.evaluating.scoring import open_window
from model.rungs.metrics import gained
from model.schema import EVENT_TYPE_INDEX

dataset = Dataset.load(workspace.path("dataset"))
window = open_window(dataset)
lengths = config.model.history_length, config.model.frequent_length
rungs = {name: workspace.path(f"ladder/{name}.keras") for name in training["ladder"]}
rungs["blend"] = workspace.path("model.keras")
lists = {name: rung_lists(path, dataset, window, lengths) for name, path in rungs.items()}
hits = {
    name: gained(top, window.targets, np.ones(len(window.targets.items))) > 0
    for name, top in lists.items()
}

is_told = hits["blend"].sum(axis=1) - hits["popularity"].sum(axis=1)
is_told[(window.past_events < 8) | (np.diff(window.targets.offsets) < 2)] = -1
row = int(is_told.argmax())
titles = dict(enumerate(dataset.item_table["title"], start=1))
mine = slice(*dataset.offsets[window.users[row] : window.users[row] + 2])
past = np.arange(mine.start, mine.stop)[dataset.timestamp[mine] < window.start]
kinds = {number: name for name, number in EVENT_TYPE_INDEX.items()}
basket = window.targets.items[slice(*window.targets.offsets[row : row + 2])]
print("bought next:", ", ".join(titles.get(item, "an item that is new") for item in basket))
pd.DataFrame(
    {
        "when": pd.to_datetime(dataset.timestamp[past[-8:]], unit="s"),
        "what": [kinds[kind] for kind in dataset.event_type[past[-8:]]],
        "item": [titles.get(item, "") for item in dataset.item_index[past[-8:]]],
    }
)

# %% [markdown]
# And this is what each rung recommends. ✓ is a hit: the item was in that basket. ↺ is an item that
# the shopper had dealt with before. `popularity` says the same to all; `repeat` only looks back;
# `covisit` and `linear` find what goes with the last items; `blend` weighs them all.

# %%
seen = set(dataset.item_index[past])


def named(name, place):
    """Name one item of a rung's list, with its marks."""
    item = lists[name][row, place]
    marks = "✓" * bool(hits[name][row, place]) + "↺" * (item in seen)
    return f"{titles[item]} {marks}"


pd.DataFrame(
    {name: [named(name, place) for place in range(10)] for name in lists},
    index=pd.RangeIndex(1, 11, name="place"),
)

# %% [markdown]
# ## 5 Export and evaluate
#
# `export` makes the *bundle*: a folder that serving programs load, known by its digest and never
# changed again. Its card holds golden requests, with the answers of the trained model.

# %%
stage("export", config)

# %%
from ci.reporting.example import example_of

golden = example_of(gather(config, workspace))
print("The last acts of a golden shopper, newest first:")
for line in golden.history:
    print(f"  {line.note:<9} {line.item_id} {line.title}")
print("must be answered, by every engine, with:")
for place, line in enumerate(golden.answer[:5], start=1):
    print(f"  {place}. {line.item_id} {line.title} ({line.note})")

# %% [markdown]
# `evaluate` asks the bundle itself, through the signature that will be served, and the live
# bundle, for the same shoppers at the moment when the test window opens. Nobody is left out, and
# each shopper is ranked against the whole catalogue. It also proves *parity*: each engine answers
# the golden requests as the trained model does.

# %%
stage("evaluate", config)
evaluation = workspace.read_json("evaluation.json", made_by="evaluate")
pd.DataFrame(evaluation["parity"]["engines"]).T[["rows", "rows_equal", "max_difference", "passed"]]

# %% [markdown]
# **The ladder.** NDCG@10 is 1 when all that was bought stands at the top of the list, and 0 when
# none of it is among the ten. Each bar is a 95 % interval: other shoppers would have given another
# score. The dashed line is the oracle's score, who knows every shopper's true tastes. Nobody can
# pass it but by luck: shoppers also act on whims. So measure a model by the way that is left to
# that line, not by the way that is left to 1. (`repeat` stands here twice: as a rung, and as the
# live bundle.)

# %%
quality = quality_of(gather(config, workspace))
show_intervals(
    quality.ladder, "The ladder", "mean over the judged shoppers, with 95 % interval", "model"
)

# %% [markdown]
# ## 6 Gate
#
# `blend` looks better than `repeat`, which is live. Is it, or were these shoppers just lucky ones?
# The gate compares both on *the same* shoppers, one by one. [docs/gate.md](../../docs/gate.md) has
# all of its rules.

# %%
from ci.evaluating.per_user import read_scores

scores = read_scores(workspace.path("per_user.parquet"))
difference = scores.difference("challenger", "live", "ndcg_at_10")
equal = difference == 0
print(
    f"{len(difference):,} shoppers: {equal.mean():.0%} are served alike, "
    f"{(difference > 0).mean():.0%} better, {(difference < 0).mean():.0%} worse."
)
figure, axes = plt.subplots(figsize=(8.5, 3.2))
bins = np.linspace(-1, 1, 41)
axes.hist(difference[difference < 0], bins, color=RED, label="worse served by the challenger")
axes.hist(difference[difference > 0], bins, color=BLUE, label="better served by the challenger")
axes.legend()
show(
    figure,
    "Who gains and who loses (without those who are served alike)",
    "NDCG@10 of one shopper, challenger minus live",
    "shoppers",
)

# %% [markdown]
# **How sure are we of the mean?** Draw as many shoppers again, with replacement, and take the
# mean; do that 2,000 times. That is the bootstrap, and the spread of those means is our doubt. The
# middle 95 % of them are the interval.
#
# The *margin* is what a shop is ready to lose on a model that may be better in other ways: a share
# of the live score, fixed before anybody looks. Is the whole interval above it, the gate says
# PROMOTE. Is it wholly below, HOLD. Else nobody can tell yet: INCONCLUSIVE.

# %%
from ci.judging.statistics import interval_of, resampled_means


def show_bootstrap(scores, settings, title):
    """Show the resampled mean differences, their interval and the margin; return the interval."""
    difference = scores.difference("challenger", "live", settings.metric)
    means = resampled_means(difference[:, None], settings.resamples, settings.seed)[:, 0]
    interval = interval_of(difference, means, settings.confidence)
    margin = settings.margin * scores.metrics["live"][settings.metric].mean()
    figure, axes = plt.subplots()
    axes.hist(means, 50, color=BLUE, alpha=0.45)
    axes.plot(
        [interval.lower, interval.upper],
        [0, 0],
        color=BLUE,
        linewidth=7,
        clip_on=False,
        solid_capstyle="round",
    )
    axes.annotate(
        f"{settings.confidence:.0%} interval",
        (interval.value, 0),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        color=DARK,
    )
    mark(axes, 0, "equal", side="left")
    mark(axes, -margin, "margin", RED, side="right")
    axes.set_xlim(min(means.min(), -1.8 * margin), max(means.max(), margin))
    axes.axvspan(axes.get_xlim()[0], -margin, color=RED, alpha=0.1, lw=0)
    show(
        figure,
        title,
        "mean NDCG@10 over the shoppers, challenger minus live",
        f"of {settings.resamples:,} resamples",
    )
    return interval


interval = show_bootstrap(scores, config.gate, "What the mean difference might have been")

# %% [markdown]
# The gate takes the same steps with the same seed, so its figures are these. It judges more than
# the mean, too. One rule needs a word: the challenger costs several times the CPU of the live
# model. It is still a fraction of a millisecond, and whoever wrote this shop's file allowed it
# (`max_cpu_ratio`). Without that line the verdict is HOLD, and somebody has to decide.

# %%
stage("gate", config)
gate = workspace.read_json("gate.json", made_by="gate")
main = next(clause for clause in gate["clauses"] if clause["name"] == "non_inferiority")
print(f"\nabove:     {interval.value:.5f} [{interval.lower:.5f}, {interval.upper:.5f}]")
print(f"gate.json: {main['value']:.5f} [{main['lower']:.5f}, {main['upper']:.5f}]")

# %%
from ci.reporting.verdict import verdict_of

rules = verdict_of(gather(config, workspace)).rows
table = pd.DataFrame(
    [(rule.name, rule.outcome, rule.seen, rule.advice) for rule in rules],
    columns=["rule", "outcome", "seen", "in words"],
)
table.style.hide(axis="index").set_table_styles([{"selector": "*", "props": "text-align: left"}])

# %% [markdown]
# **How many shoppers does that take?** *Power* is the chance that a challenger which is exactly as
# good as the live model is promoted. Few shoppers give wide intervals, and a good model is turned
# away for want of data. Below `min_users` nothing is decided at all.

# %%
from ci.judging.statistics import promotion_power

margin = config.gate.margin * scores.metrics["live"]["ndcg_at_10"].mean()
users = np.geomspace(100, 20_000, 120)
errors = interval.error * np.sqrt(interval.users / users)
power = [promotion_power(margin, error, config.gate.confidence) for error in errors]
here = promotion_power(margin, interval.error, config.gate.confidence)
figure, axes = plt.subplots()
axes.axvspan(users[0], config.gate.min_users, color=PALE, lw=0)
axes.annotate(" too few to judge", (users[0], 97), color=DARK, va="top")
axes.plot(users, 100 * np.array(power), color=BLUE, linewidth=2)
axes.plot(interval.users, 100 * here, "o", color=BLUE, ms=9)
axes.annotate(
    f"this shop: {interval.users:,} shoppers, {here:.0%}",
    (interval.users, 100 * here),
    xytext=(9, -9),
    textcoords="offset points",
    color=BLUE,
)
axes.set(xscale="log", ylim=(0, 103), xlim=(users[0], users[-1]))
axes.set_xticks([100, 300, 1_000, 3_000, 10_000], ["100", "300", "1,000", "3,000", "10,000"])
axes.minorticks_off()
show(
    figure,
    "Power: how often an equally good challenger is promoted",
    "judged shoppers",
    "promoted (% of the time)",
)

# %% [markdown]
# Here is the same with the shoppers that we have: the interval from the first hundred of them,
# from more, from all. It closes in on the mean as one over the square root of their number.

# %%
from ci.judging.statistics import paired_interval

counts = np.unique(np.geomspace(min(100, len(difference)), len(difference), 30).astype(int))
found = [paired_interval(difference[:count]) for count in counts]
figure, axes = plt.subplots(figsize=(8.5, 3.2))
axes.fill_between(
    counts, [one.lower for one in found], [one.upper for one in found], color=BLUE, alpha=0.2, lw=0
)
axes.plot(counts, [one.value for one in found], color=BLUE, linewidth=2)
axes.axhline(0, color=DARK, linewidth=1.2, linestyle="--")
axes.axhline(-margin, color=RED, linewidth=1.2, linestyle="--")
axes.annotate(" equal", (counts[-1], 0), color=DARK, va="center", annotation_clip=False)
axes.annotate(" margin", (counts[-1], -margin), color=RED, va="center", annotation_clip=False)
axes.set_xlim(counts[0], counts[-1])
show(figure, "The interval closes in", "judged shoppers", "NDCG@10, challenger minus live")

# %% [markdown]
# **And the other way round?** `repeat` costs less. Were `blend` live, would `repeat` be good
# enough to replace it? The same rule, with the sign turned. Where it cannot tell, it says what
# would decide.

# %%
from ci.judging.noninferiority import judge_non_inferiority

score = float(scores.metrics["challenger"]["ndcg_at_10"].mean())
clause = judge_non_inferiority(paired_interval(-difference), score, config.gate)
verdicts = {"pass": "PROMOTE", "hold": "HOLD", "inconclusive": "INCONCLUSIVE"}
print(f"{verdicts[clause.outcome]}: {clause.value:.4f} [{clause.lower:.4f}, {clause.upper:.4f}]")
print(f"{clause.rule}.\n{clause.advice}")

# %% [markdown]
# **A mean can hide harm.** So the gate looks at parts of the shoppers as well: new ones, busy
# ones, those of a category or of a price band. Of many parts some look bad by chance alone; Holm's
# correction takes care of that. Bars that cross the dashed line tell nothing; a red cross would be
# harm beyond doubt, and HOLD.

# %%
quality = quality_of(gather(config, workspace))
show_intervals(
    quality.slices,
    "Parts of the shoppers, most harmed first",
    "mean, with 95 % interval",
    "part of the shoppers",
)
print("Too small to judge, shown only:", "; ".join(quality.small_slices))

# %% [markdown]
# ## 7 A worse model
#
# The blend is promoted. Some day later a change goes wrong: a typing error in the settings, a
# broken join, half of the events lost. We plant such a day. The next challenger recommends
# best-sellers to everybody.

# %%
registry.promote(config, "shop", gate["challenger"]["model_version"])
worse = configured(model_name="popularity")
for name in ("prepare", "train", "export", "evaluate", "gate"):
    stage(name, worse)

# %%
scores = read_scores(workspace.path("per_user.parquet"))
show_bootstrap(scores, worse.gate, "Best-sellers against the blend")
verdict = verdict_of(gather(worse, workspace))
print(f"{verdict.word}: {verdict.sentence}")

# %% [markdown]
# HOLD is no crash. The build is whole, the live model goes on serving, and whoever made the change
# reads why. `gate.md` says it in full:

# %%
from IPython.display import Markdown

said, _, _ = workspace.path("gate.md").read_text("utf-8").partition("## Every rule")
Markdown(said.replace("# ", "#### "))

# %% [markdown]
# ## Where to go from here
#
# - `bin/ci run` does all this and goes on: it signs the release, rolls it out, and verifies that
#   it answers. Then `bin/ci status`, `bin/ci rollback`.
# - Your own events: [docs/data.md](../../docs/data.md). Your own model in 40 lines:
#   [docs/own-model.md](../../docs/own-model.md).
# - The formulas: [docs/models.md](../../docs/models.md). How often the gate errs, measured:
#   [docs/gate.md](../../docs/gate.md).
# - Why things are as they are: [docs/decisions.md](../../docs/decisions.md).
