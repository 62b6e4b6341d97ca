"""Serves a model with the program and asks it fixed questions over the sample handbook: does it load, how long does that take,
how much memory, how many tokens a second, and does what it writes keep to the schema.

    python measure.py --program ../../../target/release/quoin out/qwen2.5-0.5b --quantization q4k --adapter out/adapter

Prints one JSON line. Nothing but Python's own library is needed. Runs on Linux: memory is read from /proc.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

# With weights that mean nothing the answers mean nothing; what counts is their form, and how long they took. Texts are short
# enough to end within the limit: an answer that does not is generated twice.
MAX_TOKENS = 192
TEXT = {"type": "string", "maxLength": 60}
RECORD = {
    "type": "object",
    "properties": {
        "days": {"type": "integer", "minimum": 0, "maximum": 400},
        "unit": {"enum": ["working days", "calendar days"]},
        "paid": {"type": "boolean"},
        "rule": {"type": "string", "maxLength": 60},
    },
    "required": ["days", "unit", "paid", "rule"],
    "additionalProperties": False,
}
QUESTIONS = [
    ("How long does a VPN session last?", TEXT),
    ("How many days of leave does a new colleague have, and can they be carried over?", RECORD),
    ("Who approves a journey abroad, and what has to be attached?", TEXT),
]
PREPARED_S = 120


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model", help="what model.source names: a folder, a .gguf file, a hub id, or `bundled`")
    a.add_argument("--program", type=Path, required=True, help="the built `quoin`")
    a.add_argument("--quantization", help="model.quantization")
    a.add_argument("--adapter", type=Path, help="a folder to add as an adapter version, and to ask as well")
    a.add_argument("--data", type=Path, help="data folder to serve, when the model or the adapters lie in one")
    a.add_argument("--context-length", type=int, default=4096)
    a.add_argument("--top-k", type=int, default=4)
    a.add_argument("--neighbours", action="store_true", help="show the passages around those found as well")
    a.add_argument("--questions", type=int, default=len(QUESTIONS))
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--limit", type=int, default=1800, help="seconds for one start or one answer")
    a.add_argument("--citing", choices=["point", "quote"], default="point")
    a.add_argument("--device", default="cpu")
    a.add_argument("--show", action="store_true", help="the whole answers as well")
    a = a.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = a.data or Path(folder) / "data"
        record = {"model": Path(a.model).name, "quantization": a.quantization, "threads": a.threads}
        prepare(a, Path(folder), data)
        settings = Path(folder) / "quoin.toml"
        settings.write_text(configured(a))
        with Server(a, settings, data) as server:
            record |= server.start()
            if server.address:
                record |= asked(a, server, None)
                if a.adapter:
                    record["adapter"] = added(a, server, settings, data)
        record["log"] = server.complaints()
    print(json.dumps(record, ensure_ascii=False), flush=True)


def configured(a) -> str:
    source = str(Path(a.model).resolve()) if Path(a.model).exists() else a.model
    lines = [
        "[server]", f"request_timeout_ms = {a.limit * 1000}",
        "[model]", f"source = {json.dumps(source)}", f'device = "{a.device}"', f"context_length = {a.context_length}",
        f"time_limit_ms = {a.limit * 1000}", *([f'quantization = "{a.quantization}"'] if a.quantization else []),
        "[answers]", f'citing = "{a.citing}"', f"neighbours = {str(a.neighbours).lower()}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def prepare(a, folder: Path, data: Path) -> None:
    """The sample handbook is taken in with the bundled model, so that a start is the loading of the model and little else."""
    settings = folder / "bundled.toml"
    settings.write_text("")
    with Server(a, settings, data) as server:
        problem = server.start(PREPARED_S).get("error")
        if problem:
            raise SystemExit(f"the program does not start with the bundled model: {problem}")


class Server:
    """A running `quoin serve`, ended on leaving."""

    def __init__(self, a, settings: Path, data: Path):
        self.limit, self.address = a.limit, None
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")  # noqa: SIM115
        command = [a.program, "serve", "--config", settings, "--data", data, "--listen", "127.0.0.1:0"]
        threads = {"RAYON_NUM_THREADS": str(a.threads), "OMP_NUM_THREADS": str(a.threads)}
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, stderr=self.log, env=os.environ | threads)  # noqa: S603

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def start(self, limit: float | None = None) -> dict:
        while time.monotonic() - self.began < (limit or self.limit):
            if self.process.poll() is not None:
                return {"error": self.last_lines()}
            log = Path(self.log.name).read_text()
            if failed := re.search(r"error=(model .*)", log):
                return {"error": failed[1]}
            found = re.search(r"listening on (http://\S+)", log)
            if found and self.is_ready(found[1]):
                self.address = found[1]
                waited = {"load_wall_s": round(time.monotonic() - self.began, 2), "load_cpu_s": round(self.cpu_s(), 2)}
                return waited | {"memory_after_load": self.memory()}
            time.sleep(0.25)
        return {"error": "not ready in time"}

    def is_ready(self, address: str) -> bool:
        try:
            with urllib.request.urlopen(f"{address}/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, TimeoutError):
            return False

    def memory(self) -> dict:
        """MiB that are resident: now, at most until now, and of what is not a mapped file."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        read = lambda name: int(re.search(rf"{name}:\s+(\d+)", text)[1]) // 1024
        return {"now": read("VmRSS"), "most": read("VmHWM"), "anonymous": read("RssAnon")}

    def cpu_s(self) -> float:
        """What the process has computed, all threads together."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def post(self, path: str, body: dict) -> tuple[int, dict]:
        request = urllib.request.Request(
            f"{self.address}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.limit) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def last_lines(self) -> str:
        return "\n".join(Path(self.log.name).read_text().splitlines()[-3:])

    def complaints(self) -> list[str]:
        return [line for line in Path(self.log.name).read_text().splitlines() if re.search(r"WARN|ERROR|^error", line)]


class CpuClock(threading.Thread):
    """Reads, while a request runs, how much the server has computed, to know it at a moment in between."""

    def __init__(self, server: Server):
        super().__init__(daemon=True)
        self.server, self.over, self.seen = server, threading.Event(), []

    def run(self) -> None:
        while not self.over.wait(0.02):
            self.seen.append((time.monotonic(), self.server.cpu_s()))

    def __enter__(self):
        self.seen.append((time.monotonic(), self.server.cpu_s()))
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.seen.append((time.monotonic(), self.server.cpu_s()))

    def at(self, moment: float) -> float:
        return min(self.seen, key=lambda seen: abs(seen[0] - moment))[1]


def asked(a, server: Server, model: str | None) -> dict:
    """Tokens a second by the clock on the wall, and by what the process computed: with one thread and other work on the
    machine the second says what a core of one's own would give."""
    answers, tokens, wall, cpu = [], [0, 0], [0.0, 0.0], [0.0, 0.0]
    for question, schema in QUESTIONS[: a.questions]:
        body = {"question": question, "mode": "grounded", "top_k": a.top_k, "max_tokens": MAX_TOKENS, "schema": schema}
        body |= {"model": model} if model else {}
        with CpuClock(server) as clock:
            status, answer = server.post("/v1/answers", body)
            ended = time.monotonic()
        if status != 200:
            answers.append({"http": status, "error": answer["error"]["message"]})
            continue
        times, usage = {name: ms / 1000 for name, ms in answer["timings_ms"].items()}, answer["usage"]
        after = times["generation"] - times["first_token"]
        first = ended - times["verification"] - after
        began, middle, end = clock.at(first - times["first_token"]), clock.at(first), clock.seen[-1][1]
        for total, prompt, generated in [
            (tokens, usage["prompt_tokens"], usage["completion_tokens"] - 1),
            (wall, times["first_token"], after),
            (cpu, middle - began, end - middle),
        ]:
            total[0] += prompt
            total[1] += generated
        answers.append(
            {
                "status": answer["status"], "citations": len(answer["citations"]), "form": formed(answer, schema),
                "prompt_tokens": usage["prompt_tokens"], "completion_tokens": usage["completion_tokens"],
                "first_token_s": round(times["first_token"], 2), "total_s": round(times["total"], 2),
                "grammar_ms": round(times["grammar"] * 1000, 1),
            } | ({"answer": answer} if a.show else {})
        )  # fmt: skip
    rates = {
        f"{what}_tokens_per_{unit}_s": round(tokens[which] / seconds[which], 2) if seconds[which] > 0 else None
        for which, what in enumerate(["prompt", "generated"])
        for unit, seconds in [("wall", wall), ("cpu", cpu)]
    }
    return rates | {"memory_after_asking": server.memory(), "answers": answers}


def formed(answer: dict, schema: dict) -> str:
    """`right`, or what is wrong with the form of an answer."""
    if answer["status"] == "abstained":
        return "right" if answer["answer"] is None and not answer["citations"] else "an abstention that says something"
    value = answer["answer"]
    if schema is TEXT:
        return "right" if isinstance(value, str) and len(value) <= TEXT["maxLength"] else "not a string within its bounds"
    unit, rule = schema["properties"]["unit"], schema["properties"]["rule"]
    checks = {
        "keys": set(value) == set(schema["required"]),
        "days": type(value.get("days")) is int and 0 <= value["days"] <= 400,
        "unit": value.get("unit") in unit["enum"],
        "paid": isinstance(value.get("paid"), bool),
        "rule": isinstance(value.get("rule"), str) and len(value["rule"]) <= rule["maxLength"],
    }
    wrong = [name for name, holds in checks.items() if not holds]
    return "right" if not wrong else f"wrong: {', '.join(wrong)}"


def added(a, server: Server, settings: Path, data: Path) -> dict:
    """An adapter version is a model of its own in memory."""
    command = [a.program, "adapters", "add", a.adapter, "--name", "shape", "--config", settings, "--data", data]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        return {"error": done.stderr.strip()}
    version = re.search(r"shape@\d+", done.stdout + done.stderr)[0]
    began = time.monotonic()
    question = {"question": "Who?", "mode": "grounded", "top_k": 1, "max_tokens": MAX_TOKENS, "schema": TEXT, "model": version}
    status, answer = server.post("/v1/answers", question)
    loaded = {"version": version, "first_answer_s": round(time.monotonic() - began, 2), "http": status}
    return loaded | ({"error": answer["error"]["message"]} if status != 200 else asked(a, server, version))


if __name__ == "__main__":
    main()
