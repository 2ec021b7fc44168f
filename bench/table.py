"""The table of results: the last line of each row in results/latest.jsonl, as Markdown."""

import json

COLUMNS = ("penstock", "nginx", "haproxy", "envoy")


def rows_of(results):
    """The newest object of each row, in the order in which rows first appear."""
    found = {}
    for line in results.read_text().splitlines():
        row = json.loads(line)
        found[row["row"]] = row
    return list(found.values())


def markdown(rows):
    lines = [
        "| row | unit | Penstock | nginx | HAProxy | Envoy | ratio to the best | rounds, spread |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    machines = sorted({row["machine"] for row in rows})
    commands = sorted({row["command"] for row in rows})
    lines += ["", "Machine: " + "; ".join(machines) + ".", "", "```", *commands, "```"]
    return "\n".join(lines) + "\n"


def cells(row):
    if row.get("invalid"):
        reason = row["invalid"].replace("|", "/")
        return [f"`{row['row']}`", row["unit"] or "-", "invalid", "-", "-", "-", "-", reason]
    figures = {"penstock": row["penstock"], **row["peers"]}
    interval = (row.get("details") or {}).get("ratio_interval")
    ratio = "-" if row["ratio_best"] is None else f"{row['ratio_best']:.2f}"
    if interval:
        ratio += f" ({interval[0]:.2f} to {interval[1]:.2f})"
    spread = f"{row['repeats']}, {row['spread'] * 100:.0f} %"
    return [f"`{row['row']}`", row["unit"], *(number(figures.get(c)) for c in COLUMNS), ratio, spread]


def number(value):
    """Three digits that say something."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
