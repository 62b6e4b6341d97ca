"""Makes question-like clozes from sentences: a phrase is blanked, words near it are kept, dropped or shuffled."""

import re

ASKING = {
    "number": ["How many", "How much", "What number", "What"],
    "year": ["When", "In what year", "What year", "In which year"],
    "name": ["Who", "What", "Which", "Where", "What", "Who"],
    "phrase": ["What", "Which", "What", "How", "Why", "What kind of", "When"],
}
FUNCTION_WORDS = set(
    "the a an of to in on at for and or is are was were be been by with from as that this it its which has have had not can may will would "
    "should their his her they he she we you also than then but if such into do does did".split()
)
NUMBER = re.compile(r"(?<![\w.])[$£€]?\d[\d,.:]*\d?%?(?: (?:million|billion|percent|years|days|seconds|hours|bytes|months))?(?![\w])")
NAME = re.compile(r"(?<=[\w,] )[A-Z][\w'-]+(?: (?:of |the )?[A-Z][\w'-]+)*")
PHRASE = re.compile(
    r"(?:\b(?:the|a|an|of|by|for|with|in|to|as|is|are|was|were|called)) ((?:[a-z-]{3,} ){0,2}[a-z-]{4,})"
    r"(?=[,.;:)]| (?:of|in|and|or|to|for|with|that|which|is|are|was|from|by|on)\b)"
)
CELL = re.compile(r"(?<=\| )[^|]*\w[^|]*?(?= \||$)")


def candidates(sentence):
    found = []
    for m in NUMBER.finditer(sentence):
        text = m.group().rstrip(".,:")
        kind = "year" if re.fullmatch(r"1[5-9]\d\d|20\d\d", text) else "number"
        found.append((m.start(), m.start() + len(text), kind))
    found += [(m.start(), m.end(), "name") for m in NAME.finditer(sentence)]
    phrases = [(m.start(1), m.end(1), "phrase") for m in PHRASE.finditer(sentence)]
    return found, phrases


def bare(word):
    return word.strip(".,;:()[]!?|\"'`")


def thin(words, r, drop_function, drop_content):
    kept = [bare(w) for w in words]
    return [w for w in kept if w and r.random() > (drop_function if w.lower() in FUNCTION_WORDS else drop_content)]


def inflect(word, r):
    if re.search(r"(ed|ing|s|ly)$", word):
        return re.sub(r"(ed|ing|s|es|ly)$", "", word)
    return word + r.choice(["s", "ed", "ing"])


def cloze(sentence, r, foreign, near=None):
    """near: words to words of like meaning, which may stand in their place. Returns (question, answer), (question, None) when words were swapped so that nothing answers, or None."""
    if len(sentence.split()) < 4 or '"' in sentence or "\\" in sentence:
        return None
    sure, phrases = candidates(sentence)
    if not sure and not phrases:
        return None
    start, end, kind = r.choice(sure if sure and (not phrases or r.random() < 0.6) else phrases)
    answer = sentence[start:end]
    left, right = sentence[:start].split(), sentence[end:].split()
    window = r.choice([4, 5, 6, 7, 8, 10, 12, 14])
    take = min(len(left), r.randint(0, window))
    left = left[len(left) - take :] if take else []
    loss = r.choice([0.05, 0.15, 0.3])
    left, right = thin(left, r, 0.35, loss), thin(right[: window - take], r, 0.35, loss)
    if len([w for w in left + right if w.lower() not in FUNCTION_WORDS]) < 2:
        return None
    asking, form = r.choice(ASKING[kind]), r.random()
    if form < 0.35:
        body = [asking, *right, *left]
    elif form < 0.65:
        body = [asking, *left, *right]
    elif form < 0.78:
        body = [*left, asking.lower(), *right]
    elif form < 0.9:
        body = [asking, *r.sample(left + right, len(left + right))]
    else:
        body = [*r.choice([["Tell", "me"], ["Find"], [], ["Explain"]]), *left, *right]
    if asking in ("How", "Why", "When", "Who", "Where", "What") and form < 0.65 and r.random() < 0.5:
        body.insert(1, r.choice(["did", "does", "is", "was", "can", "do", "are", "were"]))
    body = [inflect(w, r) if len(w) > 5 and r.random() < 0.12 else w for w in body[:18]]
    if near and (rate := r.choice([0, 0.2, 0.4, 0.7])):
        body = [body[0], *(r.choice(near[w.lower()]) if w.lower() in near and r.random() < rate else w for w in body[1:])]
    if r.random() < 0.2:
        body = [w.lower() for w in body]
    if foreign and r.random() < 0.22:
        spots = [i for i, w in enumerate(body) if i and len(w) > 3 and w.lower() not in FUNCTION_WORDS and w.lower() not in ("what", "which", "when", "where", "many", "much", "year")]
        if len(spots) >= 2:
            for i in r.sample(spots, r.choice([1, 1, 2])):
                shape = "capital" if body[i][0].isupper() else "digit" if body[i][0].isdigit() else "lower"
                body[i] = r.choice(foreign[shape])
            answer = None
    text = " ".join(body)
    return text[0].upper() + text[1:] + ("?" if r.random() < 0.9 else ""), answer
