"""The tokens that frame a prompt and an answer. The runtime writes exactly these; see README.md."""

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
END_OF_TEXT, TURN_START, TURN_END = CONTROL

PASSAGE = "[[P]]"
QUESTION = "Question:"
CITE = '{"cite":"'
CLOSE = '"}'
ANSWER_STRING = '","answer":"'
ANSWER_JSON = '","answer":'

LAST_MARKER = 64
MARKERS = [f"[[{number}]]" for number in range(LAST_MARKER + 1)]  # [[0]]: nothing answers

ADDED = [PASSAGE, QUESTION, CITE, CLOSE, ANSWER_STRING, ANSWER_JSON, *MARKERS]

# A system message is accepted and left out: the model never learnt to read one.
CHAT_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] != 'system' %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
