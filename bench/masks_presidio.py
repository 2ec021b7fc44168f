"""Presidio's recognisers without a language model, in the peers' environment.

`serve PORT` answers `/analyze` and `/anonymize` as its services do; `speed FILE…` prints how fast
each text is analysed; `find FILE` prints all results of each text of a JSON array. Context words are looked for among the words as they are written, since there
is no model that tells their base forms.
"""

import http.server
import json
import pathlib
import re
import sys
import time

import tldextract
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
from presidio_analyzer import predefined_recognizers as known
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

RECOGNIZERS = (
    "AbaRoutingRecognizer",
    "CreditCardRecognizer",
    "CryptoRecognizer",
    "EmailRecognizer",
    "EsNifRecognizer",
    "IbanRecognizer",
    "IpRecognizer",
    "MacAddressRecognizer",
    "NhsRecognizer",
    "PhoneRecognizer",
    "UkNinoRecognizer",
    "UsBankRecognizer",
    "UsItinRecognizer",
    "UsLicenseRecognizer",
    "UsPassportRecognizer",
    "UsSsnRecognizer",
)
THRESHOLD = 0.35
MEASURED_S = 2.0


class Words(NlpEngine):
    """Words and their places, and nothing else."""

    def load(self):
        pass

    def is_loaded(self):
        return True

    def process_text(self, text, language):
        words = list(re.finditer(r"\w+", text))
        return NlpArtifacts(
            entities=[],
            tokens=[Word(found.group(), found.start()) for found in words],
            tokens_indices=[found.start() for found in words],
            lemmas=[found.group().lower() for found in words],
            nlp_engine=self,
            language=language,
        )

    def process_batch(self, texts, language, **_):
        return ((text, self.process_text(text, language)) for text in texts)

    def is_stopword(self, word, language):
        return False

    def is_punct(self, word, language):
        return False

    def get_supported_entities(self):
        return []

    def get_supported_languages(self):
        return ["en"]


class Word(str):
    """A token as the search for context words expects it."""

    def __new__(cls, text, start):
        word = super().__new__(cls, text)
        word.text, word.idx = text, start
        return word


def engine():
    # The list of public suffixes that comes with it, so that nobody is asked.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    registry = RecognizerRegistry(supported_languages=["en"])
    for name in RECOGNIZERS:
        registry.add_recognizer(getattr(known, name)(supported_language="en"))
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=Words(),
        supported_languages=["en"],
        default_score_threshold=THRESHOLD,
    )


def spans(analyzer, text):
    """Results that overlap are one, named by the best of them."""
    merged = []
    for found in sorted(analyzer.analyze(text, "en"), key=lambda one: (one.start, -one.end)):
        if merged and found.start < merged[-1]["end"]:
            last = merged[-1]
            last["end"] = max(last["end"], found.end)
            if found.score > last["score"]:
                last.update(entity_type=found.entity_type, score=found.score)
        else:
            fields = ("start", "end", "entity_type", "score")
            merged.append({field: getattr(found, field) for field in fields})
    return merged


def anonymized(text, results):
    out, at = [], 0
    for one in sorted(results, key=lambda one: one["start"]):
        out += [text[at : one["start"]], f"<{one['entity_type']}>"]
        at = one["end"]
    items = [{"entity_type": one["entity_type"], "operator": "replace"} for one in results]
    return {"text": "".join([*out, text[at:]]), "items": items}


def serve(port):
    analyzer = engine()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path == "/analyze":
                answer = spans(analyzer, body["text"])
            else:
                answer = anonymized(body["text"], body["analyzer_results"])
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def speed(paths):
    """Nanoseconds a byte of each text, which is a JSON array of lines: an analysis a line, as a
    service gets them."""
    analyzer = engine()
    found = {}
    for path in map(pathlib.Path, paths):
        lines = json.loads(path.read_text())
        spans(analyzer, lines[0])
        began, read = time.perf_counter(), 0
        while time.perf_counter() - began < MEASURED_S:
            for line in lines:
                analyzer.analyze(line, "en")
                read += len(line.encode())
                if time.perf_counter() - began >= MEASURED_S:
                    break
        found[path.stem] = (time.perf_counter() - began) * 1e9 / read
    print(json.dumps(found))


def find(path):
    analyzer = engine()
    texts = json.loads(pathlib.Path(path).read_text())
    fields = ("start", "end", "entity_type")
    found = [
        [[getattr(one, field) for field in fields] for one in analyzer.analyze(text, "en")]
        for text in texts
    ]
    print(json.dumps(found))


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    {
        "serve": lambda: serve(int(arguments[0])),
        "speed": lambda: speed(arguments),
        "find": lambda: find(arguments[0]),
    }[what]()
