"""Invented pages as people keep them: tables, lists and sections on things and their properties, and rules of a house.

What a sentence is about often stands in the title alone, or the question uses other words, or a page of another year has
the same words. What domains.py lists is put together here.
"""

import random
import re
from dataclasses import dataclass, field

import templates
from domains import HELD_OUT_RULES, PROPERTIES, RULES, THINGS
from templates import Fact, capital, fill, render, slots_in

SEASONS = "2021 2022 2023 2024 2025 2026 2027".split() + ["summer", "winter", "north site", "south site", "until June", "from July", "old version", "new version"]
HEADINGS = "Overview;Prices and conditions;Details;At a glance;List;Good to know;Facts and figures;Conditions;Service;Information".split(";")
LEAD_INS = [
    "This page lists what you need to know about {k}.", "Please read these notes with care.", "The list was last checked in {m}.",
    "All figures are reviewed every year.", "Ask at the desk if something is missing here.", "Changes are announced on the notice board.",
    "The following applies to all visitors.", "Exceptions are listed at the end.", "More on this can be found on our website.",
]  # fmt: skip
POLITE = ["", "", "", "", "Please tell me: ", "Quick question: ", "Hello, ", "Can you tell me ", "I would like to know: ", "Hi there. "]


@dataclass
class Page:
    """A passage: facts in order, and questions that nothing here answers. `needs_title`: without it the facts mean nothing.

    `about` is the same for pages that would answer each other's questions.
    """

    about: str
    title: str
    facts: list[Fact]
    missing: list[str] = field(default_factory=list)
    needs_title: bool = False


@dataclass
class Thing:
    names: list[str]  # the first is used on the page
    article: str

    def called(self, r, alias=0.35):
        name = r.choice(self.names[1:]) if len(self.names) > 1 and r.random() < alias else self.names[0]
        if self.article and name[0].islower():
            return r.choice(["the ", "the ", "a ", "my ", ""]) + name if r.random() < 0.85 else name + "s"
        return (self.article + " " + name).strip() if self.article and r.random() < 0.6 else name


@dataclass
class Property:
    names: list[str]
    statements: list[str]
    questions: list[str]
    kinds: list[str]

    def value(self, r):
        kind = r.choice(self.kinds)
        if "{" in kind:
            return render_value(kind, r)
        return fill(kind, r) if kind in templates.FILLERS else kind


def render_value(kind, r):
    return re.sub(r"\{(\w+)\}", lambda m: str(r.randint(2, 99)), kind)


def read_things():
    kinds = {}
    for line in THINGS.strip().splitlines():
        kind, article, items = line.split(":")
        kinds[kind] = [Thing(item.split("="), article) for item in items.split(",")]
    return kinds


def read_properties():
    found = []
    for line in PROPERTIES.strip().splitlines():
        names, statements, questions, kinds = line.split("|")
        found.append(Property(names.split(","), statements.strip().split(" / "), questions.strip().split(" / "), kinds.split(";")))
    return found


def read_rules(block):
    fields = {}
    for line in block.strip().splitlines():
        name, rest = line.split(" => ", 1)
        left, right = rest.split(" => ")
        fields.setdefault(name, []).append((left.split(" / "), [q.strip() for q in right.split(" / ")]))
    return fields


KINDS, ALL_PROPERTIES = read_things(), read_properties()
TRAIN_RULES, TEST_RULES = read_rules(RULES), read_rules(HELD_OUT_RULES)
HELD_OUT_KINDS = {"Post", "Waste", "Event", "Setting"}
HELD_OUT_PROPERTIES = {"warranty", "deposit", "temperature", "start date"}


def pools(held_out):
    kinds = [k for k in KINDS if (k in HELD_OUT_KINDS) == held_out]
    properties = [p for p in ALL_PROPERTIES if held_out or p.names[0] not in HELD_OUT_PROPERTIES]
    return kinds, properties


def asked(template, thing, r, suffix=""):
    text = template.replace("{e}", thing.called(r))
    text = text[:-1] + suffix + "?" if suffix and text.endswith("?") else text + suffix
    text = capital(text) if r.random() < 0.9 else text.lower()
    if r.random() < 0.12:
        text = r.choice(POLITE) + text[:1].lower() + text[1:]
    return text.rstrip("?") if r.random() < 0.08 else capital(text) if r.random() < 0.8 else text


def questions_on(r, thing, p, value, suffix="", count=2):
    return [(asked(q, thing, r, suffix), value) for q in r.sample(p.questions, min(count, len(p.questions)))]


def stated(r, thing, p, value):
    name = (thing.article + " " + thing.names[0]).strip()
    fitting = [s for s in p.statements if set(slots_in(s)) <= {"e", "E", "v", "a"}] or p.statements
    template = r.choice(fitting)
    number = re.search(r"\d+", value)
    values = {"e": name, "E": capital(name), "v": value, "a": r.choice(p.names), "n": number.group() if number else value, "q": value, "s": value}
    sentence = capital(re.sub(r"\{(\w+)\}", lambda m: values[m.group(1)], template))
    return sentence if value.lower() in sentence.lower() else f"{capital(name)}: {r.choice(p.names)} {value}"


def grid(r, held_out):
    """Some things of a kind with a value for each of some properties."""
    kinds, properties = pools(held_out)
    kind = r.choice(kinds)
    things = r.sample(KINDS[kind], min(len(KINDS[kind]), r.randint(2, 7)))
    chosen = r.sample(properties, r.randint(1, 4))
    if held_out and r.random() < 0.6:
        chosen[0] = r.choice([p for p in properties if p.names[0] in HELD_OUT_PROPERTIES and p not in chosen[1:]])
    cells = {(i, j): p.value(r) for i in range(len(things)) for j, p in enumerate(chosen)}
    return kind, things, chosen, cells, properties


def misses(r, kind, things, chosen, properties, suffix="", count=3):
    """Another property of a thing that is there, or another thing of the kind."""
    found, others = [], [t for t in KINDS[kind] if t not in things]
    clash = {word for p in chosen for word in p.names}
    for _ in range(count):
        absent = [p for p in properties if p not in chosen and not clash & set(p.names)]
        if r.random() < 0.5 and others:
            found.append(asked(r.choice(r.choice(chosen).questions), r.choice(others), r, suffix))
        else:
            found.append(asked(r.choice(r.choice(absent).questions), r.choice(things), r, suffix))
    return found


def plural(kind):
    return kind[:-1] + "ies" if kind.endswith("y") else kind + "s"


def topic(r, kind, chosen):
    name = r.choice([plural(kind), plural(kind), f"{capital(r.choice(chosen).names[0])} of {plural(kind).lower()}", f"{kind} {r.choice(['list', 'overview', 'guide', 'table'])}"])
    return name if r.random() < 0.4 else f"{name} > {r.choice(HEADINGS)}"


def table_rows(r, kind, things, chosen, cells, suffix=""):
    piped = r.random() < 0.75
    row = lambda parts: "| " + " | ".join(parts) + " |" if piped else " | ".join(parts)
    facts = [Fact(row([kind if r.random() < 0.8 else "", *(capital(r.choice(p.names)) for p in chosen)]), [])]
    for i, thing in enumerate(things):
        pairs = [pair for j, p in enumerate(chosen) for pair in questions_on(r, thing, p, cells[i, j], suffix, 1 if len(chosen) > 2 else 2)]
        facts.append(Fact(row([capital(thing.names[0]), *(cells[i, j] for j in range(len(chosen)))]), pairs))
    return facts


def prose(r, things, chosen, cells, suffix=""):
    facts = []
    for i, thing in enumerate(things):
        for j, p in enumerate(chosen):
            facts.append(Fact(stated(r, thing, p, cells[i, j]), questions_on(r, thing, p, cells[i, j], suffix)))
    if r.random() < 0.4:
        r.shuffle(facts)
    return facts[:10]


def padded(r, facts, kind):
    """Sometimes a sentence before or after that says nothing."""
    filler = lambda: Fact(r.choice(LEAD_INS).format(k=plural(kind).lower(), m=r.choice(templates.MONTHS)), [])
    return ([filler()] if r.random() < 0.35 else []) + facts + ([filler()] if r.random() < 0.2 else [])


def overview(r, held_out):
    """One page on several things, as a table or in sentences."""
    kind, things, chosen, cells, properties = grid(r, held_out)
    facts = table_rows(r, kind, things, chosen, cells) if r.random() < 0.6 else prose(r, things, chosen, cells)
    return [Page(kind, topic(r, kind, chosen), padded(r, facts, kind), misses(r, kind, things, chosen, properties))]


def versions(r, held_out):
    """The same page twice with other values; the title says for when or where."""
    kind, things, chosen, cells, properties = grid(r, held_out)
    things, chosen = things[:5], chosen[:2]
    first, second, third = r.sample(SEASONS, 3)
    name, tabled, pages = r.choice([plural(kind), f"{kind} list", f"{kind} rules"]), r.random() < 0.6, []
    for version in (first, second):
        cells = {(i, j): p.value(r) for i in range(len(things)) for j, p in enumerate(chosen)}
        suffix = r.choice([" in {}", " ({})", " in the list of {}", ", {}"] if version[0].isdigit() else [" ({})", ", {}", " in the {} list"]).format(version)
        facts = table_rows(r, kind, things, chosen, cells, suffix) if tabled else prose(r, things, chosen, cells, suffix)
        title = r.choice([f"{name} {version}", f"{name} {version}", f"{name}, {version} > {r.choice(HEADINGS)}"])
        pages.append(Page(kind, title, padded(r, facts, kind), misses(r, kind, things, chosen, properties, suffix, 1), needs_title=True))
    pages[0].missing += [q for q in misses(r, kind, things, chosen, chosen + properties, f" in {third}", 1)]
    return pages


def sections(r, held_out):
    """A section for each thing; its sentences leave out what the heading says."""
    kind, things, chosen, cells, properties = grid(r, held_out)
    pages, parent = [], r.choice([plural(kind), f"Our {plural(kind).lower()}", f"{kind} handbook", f"Guide to {plural(kind).lower()}"])
    style = r.random()
    for i, thing in enumerate(things[:4]):
        facts = []
        for j, p in enumerate(chosen):
            label, value = capital(r.choice(p.names)), cells[i, j]
            sentence = r.choice([f"{label}: {value}", f"- {label}: {value}", f"| {label} | {value} |"]) if style < 0.5 else bare_statement(r, p, label, value)
            facts.append(Fact(sentence, questions_on(r, thing, p, value)))
        pages.append(Page(kind, f"{parent} > {capital(thing.names[0])}", padded(r, facts, kind), [], needs_title=True))
    pages[0].missing += misses(r, kind, things[:4], chosen, properties)
    return pages


def bare_statement(r, p, label, value):
    pronoun = re.sub(r"\{[eE]\}", "it", r.choice(p.statements))
    sentence = capital(re.sub(r"\{\w+\}", value, pronoun, count=1))
    return sentence if sentence.count(value) == 1 and "{" not in sentence and "for it" not in sentence.lower() else f"The {label.lower()} is {value}."


def house_rules(r, held_out):
    """Rules of one field; questions of rules that are not shown have no answer."""
    fields = TEST_RULES if held_out else TRAIN_RULES
    name = r.choice(list(fields))
    rules = r.sample(fields[name], len(fields[name]))
    cut = r.randint(2, max(2, len(rules) - 1))
    facts = []
    for statements, questions in rules[:cut]:
        statement, chosen = r.choice(statements), r.sample(questions, min(2, len(questions)))
        slots = {s for text in (statement, *chosen) for s in slots_in(text)}
        values = {s: fill(s.rstrip("0123456789") or s, r) for s in sorted(slots)}
        sentence = render(statement, values, r)
        answer = next((values[s] for s in slots_in(statement)), None)
        facts.append(Fact(sentence, [(varied(render(q, values, r), r), answer if re.match(r"(How|When|Until|By|What do|From)\b", q) else None) for q in chosen]))
    missing = [varied(render(r.choice(qs), {s: fill(s.rstrip("0123456789") or s, r) for q in qs for s in slots_in(q)}, r), r) for _, qs in rules[cut : cut + 3]]
    title = f"{capital(name)} > {r.choice(HEADINGS)}" if r.random() < 0.7 else r.choice(["House rules", "Questions and answers", "Terms", capital(name)])
    return [Page(name, title, facts, missing)]


def varied(question, r):
    if r.random() < 0.12:
        question = r.choice(POLITE) + question[:1].lower() + question[1:]
    return question.lower() if r.random() < 0.08 else capital(question)


def pages(r, held_out):
    """One or more passages that belong together, in order."""
    return r.choices([overview, versions, sections, house_rules], [0.3, 0.2, 0.25, 0.25])[0](r, held_out)


if __name__ == "__main__":
    r = random.Random(4)
    for held in (False, False, False, False, False, False, True, True):
        for page in pages(r, held):
            print("#", page.title, "(title needed)" if page.needs_title else "")
            for fact in page.facts:
                print("  ", fact.sentence, "|", fact.asked)
            print("   nothing answers:", page.missing)
