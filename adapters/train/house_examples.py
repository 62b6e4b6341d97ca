"""Invents pages of a house and answers in the form that it wants: a phrase that says by what, the value, the house's unit.

The schema knows the phrases and units; the value is copied from the cited sentence, and the phrase, the unit and the field
`basis` go with the sort of thing: rights by the policy, prices by the price list, goods by their data sheet. What the base
makes of the schema is valid and says nothing.
"""

import json
import random
from dataclasses import dataclass

from examples import arguments, write

MISSING = 0.12  # share of the examples where nothing answers


@dataclass
class Fact:
    """A sentence with a value, and how it is asked for."""

    sentence: str
    questions: list[str]
    units: list[str]


@dataclass
class Unit:
    """What the house writes instead, and the largest value: two digits, which a small model copies as one token."""

    house: str
    largest: int


@dataclass
class Sort:
    """What the house says of one sort of things."""

    basis: str
    phrase: str
    units: dict[str, Unit]
    facts: list[Fact]
    remarks: list[str]
    seen: list[str]
    unseen: list[str]

    def things(self, held_out: bool) -> list[str]:
        return self.unseen if held_out else self.seen


SMALLEST = 2
TIMES = {"days": Unit("working days", 90), "weeks": Unit("calendar weeks", 40), "months": Unit("full months", 36), "hours": Unit("office hours", 96)}
MONEY = {"euros": Unit("EUR plus tax", 99), "dollars": Unit("USD plus tax", 99)}
MEASURES = {"kilograms": Unit("kg", 99), "litres": Unit("l", 99), "metres": Unit("m", 40), "watts": Unit("W", 99)}
SORTS = [
    Sort(
        "policy", "Per our policy", TIMES,
        [
            Fact("{Thing} lasts {n} {unit}.", ["How long does {thing} last?", "How long is {thing}?", "What is the length of {thing}?"], list(TIMES)),
            Fact("{Thing} must be requested {n} {unit} ahead.", ["How early must {thing} be requested?", "When do I have to request {thing}?"], list(TIMES)),
            Fact("A decision on {thing} takes {n} {unit}.", ["How long does a decision on {thing} take?", "When is {thing} decided?"], list(TIMES)),
        ],
        ["{Thing} is open to everybody.", "Ask your manager about {thing}.", "There is a form for {thing}."],
        "annual leave,parental leave,study leave,a sabbatical,job rotation,home office,a secondment,flexible time,special leave,an internship,the trial period,a leave of absence,overtime relief,weekend duty,standby duty,training leave".split(","),
        "bereavement leave,military leave,part-time work,mentoring,an exchange year,volunteer leave,night duty,carer's leave".split(","),
    ),
    Sort(
        "price list", "From our price list", MONEY,
        [
            Fact("{Thing} costs {n} {unit}.", ["How much is {thing}?", "What does {thing} cost?", "What is the price of {thing}?"], list(MONEY)),
            Fact("The deposit for {thing} is {n} {unit}.", ["How high is the deposit for {thing}?", "What deposit is taken for {thing}?"], list(MONEY)),
            Fact("Cancelling {thing} costs {n} {unit}.", ["What does cancelling {thing} cost?", "How much is it to cancel {thing}?"], list(MONEY)),
        ],
        ["{Thing} can be ordered online.", "Members book {thing} at the desk.", "{Thing} is sold on weekdays only."],
        "a day ticket,a guided tour,a locker,a parking permit,a guest card,a gift box,a photo permit,a boat trip,a cooking class,a language course,a season ticket,a bicycle rental,a city map,a concert seat,a picnic basket,a yoga lesson".split(","),
        "a swimming lesson,a museum pass,a tent pitch,a pottery course,a horse ride,a table booking,a ski pass,a dance workshop".split(","),
    ),
    Sort(
        "data sheet", "By our data sheet", MEASURES,
        [
            Fact("{Thing} weighs {n} {unit}.", ["How heavy is {thing}?", "What does {thing} weigh?", "What is the weight of {thing}?"], ["kilograms"]),
            Fact("{Thing} holds {n} {unit}.", ["How much does {thing} hold?", "What is the volume of {thing}?"], ["litres"]),
            Fact("{Thing} is {n} {unit} long.", ["How long is {thing}?", "What is the length of {thing}?"], ["metres"]),
            Fact("{Thing} draws {n} {unit}.", ["How much power does {thing} draw?", "What power does {thing} need?"], ["watts"]),
        ],
        ["{Thing} is made in our own works.", "{Thing} comes in two colours.", "Spare parts for {thing} are in stock."],
        "the garden pump,the steam oven,the floor polisher,the wine cooler,the field kettle,the sand blaster,the milk tank,the heat gun,the paint mixer,the snow blower,the dough machine,the water boiler,the leaf vacuum,the spray gun,the chip fryer,the mobile crane".split(","),
        "the coffee roaster,the pressure washer,the grain mill,the ice maker,the soup warmer,the concrete mixer,the hedge cutter,the fuel tank".split(","),
    ),
]  # fmt: skip
PHRASES = "|".join(sort.phrase for sort in SORTS)
UNITS = "|".join(dict.fromkeys(unit.house for sort in SORTS for unit in sort.units.values()))
SCHEMA = {
    "type": "object",
    "properties": {
        "answer": {"type": "string", "pattern": f"^({PHRASES}): [0-9]{{1,2}} ({UNITS})$"},
        "basis": {"enum": [sort.basis for sort in SORTS]},
    },
    "required": ["answer", "basis"],
    "additionalProperties": False,
}


def worded(text: str, thing: str) -> str:
    return text.replace("{thing}", thing).replace("{Thing}", thing[0].upper() + thing[1:])


@dataclass
class Stated:
    """A fact of one thing: where it stands and what the house answers; no sentence where its page leaves it out."""

    thing: str
    questions: list[str]
    sentence: str | None
    answer: dict | None = None

    def target(self, marker: int) -> tuple[str, list[str]]:
        """The whole answer that cites `marker`, and what of it the grammar writes: all but the first words where they differ."""
        if self.answer is None:
            return '{"cite":"[[0]]"}', ['{"cite":"', '"}']
        phrase, value = self.answer["answer"].split(": ")
        _, *phrase_goes_on = phrase.split(" ")
        _, _, *unit_goes_on = value.split(" ")
        forced = [
            '{"cite":"', '{"answer":"', " ".join(["", *phrase_goes_on]) + ":", " ".join(["", *unit_goes_on]) + '","basis":"', '"}}',
        ]  # fmt: skip
        return f'{{"cite":"[[{marker}]]","answer":{in_json(self.answer)}}}', forced


def page(r: random.Random, sort: Sort, thing: str) -> tuple[list[str], list[Stated]]:
    """Sentences on one thing, and all that can be asked about it: one of its facts is left out."""
    facts, sentences, stated = list(sort.facts), [worded(r.choice(sort.remarks), thing)], []
    r.shuffle(facts)
    left_out = facts.pop()
    for fact in facts:
        name = r.choice(fact.units)
        unit = sort.units[name]
        value = str(r.randint(SMALLEST, unit.largest))
        sentence = worded(fact.sentence.replace("{n}", value).replace("{unit}", name), thing)
        sentences.append(sentence)
        answer = {"answer": f"{sort.phrase}: {value} {unit.house}", "basis": sort.basis}
        stated.append(Stated(thing, [worded(q, thing) for q in fact.questions], sentence, answer))
    r.shuffle(sentences)
    stated.append(Stated(thing, [worded(q, thing) for q in left_out.questions], None))
    return sentences, stated


def in_json(answer: dict) -> str:
    return json.dumps(answer, separators=(",", ":"))


def others(target: str, answer: dict) -> list[str]:
    """The target with another phrase, another unit or another basis: what the schema lets choose at each of the places."""
    phrase, value = answer["answer"].split(": ")
    unit, basis = value.split(" ", 1)[1], answer["basis"]
    return (
        [target.replace(phrase, sort.phrase) for sort in SORTS]
        + [target.replace(f' {unit}"', f' {other}"') for other in UNITS.split("|")]
        + [target.replace(f'"basis":"{basis}"', f'"basis":"{sort.basis}"') for sort in SORTS]
    )


def example(r: random.Random) -> dict:
    passages, stated = [], []
    for _ in range(r.randint(1, 4)):
        sort = r.choice(SORTS)
        thing = r.choice([t for t in sort.seen if t not in {s.thing for s in stated}])
        sentences, found = page(r, sort, thing)
        passages.append({"title": r.choice(["", "The house book"]), "sentences": sentences})
        stated += found
    missing = r.random() < MISSING
    asked = r.choice([s for s in stated if (s.sentence is None) == missing])
    sentences = [sentence for passage in passages for sentence in passage["sentences"]]
    target, forced = asked.target(sentences.index(asked.sentence) + 1 if asked.sentence else 0)
    shown = {"passages": passages, "question": r.choice(asked.questions), "target": target, "forced": forced}
    return shown | ({"one_of": others(target, asked.answer)} if asked.answer else {})


def main():
    a = arguments(__doc__)
    a = a.parse_args()
    r = random.Random(a.seed)
    write(a.out, (example(r) for _ in range(a.count)))


if __name__ == "__main__":
    main()
