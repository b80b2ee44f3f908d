"""Scores rows of every known task by the harness's own prompts and by transformers, on a CPU, and compares with `calibrant eval`. See README.md."""

import argparse
import ast
import importlib.util
import json
import math
import pathlib
import subprocess
import tempfile

import jinja2
import torch
import transformers
import yaml

parser = argparse.ArgumentParser()
parser.add_argument("--harness", required=True, help="a checkout of lm-evaluation-harness")
parser.add_argument("--model", default="packages/tiny-llama/model")
options = parser.parse_args()
TASKS = pathlib.Path(options.harness) / "lm_eval" / "tasks"
HERE = pathlib.Path(__file__).parent
ROWS = json.loads((HERE / "rows.json").read_text())

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()


class Loader(yaml.SafeLoader):
    """Names of functions stay names: those that are needed are called below."""


Loader.add_constructor("!function", lambda _, node: node.value)


def module(path):
    """A file of prompts, without the library of data sets that it names in its types."""
    source = (TASKS / path).read_text().replace("import datasets\n", "").replace("datasets.Dataset", "list")
    spec = importlib.util.spec_from_loader(pathlib.Path(path).stem, loader=None)
    made = importlib.util.module_from_spec(spec)
    exec(compile(source, path, "exec"), made.__dict__)
    return made


def from_template(path):
    config = yaml.load((TASKS / path).read_text(), Loader)

    def render(template, row):
        return jinja2.Environment(keep_trailing_newline=True).from_string(template).render(**row)

    def item(row):
        choices = config["doc_to_choice"]
        choices = choices if isinstance(choices, list) else ast.literal_eval(render(choices, row))
        target = config["doc_to_target"]
        answer = row[target] if target in row else int(render(target, row))
        return one_context(render(config["doc_to_text"], row), choices, answer)

    return item


def one_context(context, choices, answer):
    return {"contexts": [context] * len(choices), "choices": choices, "texts": [f" {choice}" for choice in choices], "answer": answer}


class Mapped(list):
    def map(self, function):
        return [function(row) for row in self]


hellaswag, winogrande, mnli = (module(f"{path}.py") for path in ("hellaswag/utils", "winogrande/preprocess_winogrande", "glue/mnli/utils"))
mmlu = from_template("mmlu/default/_default_template_yaml")


def hellaswag_item(row):
    row = hellaswag.process_docs(Mapped([row]))[0]
    return one_context(row["query"], row["choices"], row["gold"])


def winogrande_item(row):
    target = winogrande.doc_to_target(row)
    return {"contexts": winogrande.doc_to_choice(row), "choices": [target] * 2, "texts": [f" {target}"] * 2, "answer": winogrande.doc_to_text(row)}


def mnli_item(row):
    return one_context(mnli.doc_to_text(row), ["True", "Neither", "False"], row["label"])


def mmlu_item(row, shots=0):
    item = mmlu(row)
    subject = row["subject"].replace("_", " ")
    examples = [mmlu(other) for other in ROWS["mmlu-dev"] if other["subject"] == row["subject"]][:shots]
    before = f"The following are multiple choice questions (with answers) about {subject}.\n\n" + "".join(map(solved, examples))
    return {**item, "contexts": [before + context for context in item["contexts"]]}


def solved(item):
    return item["contexts"][item["answer"]] + item["texts"][item["answer"]] + "\n\n"


def log_likelihood(context, text):
    """By the harness's rule: what the whole has more tokens than its context; spaces at the end of a context go to the text."""
    spaces = len(context) - len(context.rstrip())
    context, text = context[: len(context) - spaces], context[len(context) - spaces :] + text
    start, ids = len(tokenizer.encode(context)), tokenizer.encode(context + text)
    with torch.no_grad():
        rows = torch.log_softmax(model(torch.tensor([ids[:-1]])).logits[0].double(), -1)
    return sum(rows[at - 1, ids[at]].item() for at in range(start, len(ids)))


def figures(items):
    """acc, acc_norm, acc_bytes, and the mean probability of the chosen option, in which every log-likelihood has a part."""
    totals = [0.0] * 4
    for item in items:
        values = [log_likelihood(*pair) for pair in zip(item["contexts"], item["texts"])]
        for i, length in enumerate((lambda _: 1, len, lambda choice: len(choice.encode()))):
            by_length = [value / length(choice) for value, choice in zip(values, item["choices"])]
            totals[i] += by_length.index(max(by_length)) == item["answer"]
        totals[3] += 1 / sum(math.exp(value - max(values)) for value in values)
    return [total / len(items) for total in totals]


def calibrant(task, rows, shots=0, examples=()):
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / name for name in ("rows.jsonl", "examples.jsonl")]
        for file, content in zip(files, (rows, examples)):
            file.write_text("\n".join(map(json.dumps, content)))
        few = ["--shots", str(shots), "--shots-from", str(files[1])] if shots else []
        command = ["node", "apps/cli/bin/calibrant.js", "eval", options.model, "--task", f"{task}={files[0]}", "--json", "--quiet", *few]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["tasks"][0]["model"]
    scores = [result[name]["value"] for name in ("accuracy", "accuracyPerCharacter", "accuracyPerByte")]
    return [*scores, result["calibration"]["meanConfidence"]]


def compare(name, expected, found):
    difference = max(abs(a - b) for a, b in zip(expected, found))
    cells = " | ".join(f"{value:.4f}" for value in expected)
    print(f"| {name} | {cells} | {difference:.0e} |", flush=True)


print("| task | acc | acc_norm | acc_bytes | mean probability | largest difference here |\n| --- | --- | --- | --- | --- | --- |")
GLUE = ("sst2", "cola", "rte", "wnli", "qnli", "mrpc", "qqp")
MAKERS = {
    "hellaswag": hellaswag_item,
    "arc-easy": from_template("arc/arc_easy.yaml"),
    "winogrande": winogrande_item,
    "mnli": mnli_item,
    **{name: from_template(f"glue/{name}/default.yaml") for name in GLUE},
}
for name, make in MAKERS.items():
    compare(name, figures([make(row) for row in ROWS[name]]), calibrant(name, ROWS[name]))
for shots in (0, 1, 2):
    found = calibrant("mmlu", ROWS["mmlu"], shots, ROWS["mmlu-dev"])
    compare(f"mmlu, {shots}-shot", figures([mmlu_item(row, shots) for row in ROWS["mmlu"]]), found)
# With one example to choose from, the draw is known.
asked, example = ROWS["winogrande"][:2]
item = winogrande_item(asked)
item["contexts"] = [solved(winogrande_item(example)) + context for context in item["contexts"]]
compare("winogrande, 1-shot", figures([item]), calibrant("winogrande", [asked], 1, [example]))
