"""Whatever a setting is given that it cannot use, one exception says which and what is allowed.

The shape checks would refuse many of these first, so the settings are tried in a process without them.
"""

import json
import subprocess
import sys

import pytest

NO_NUMBER = ["'5'", "None", "1.5", "True", "[3]", "float('nan')"]
NO_WHOLE_NUMBER = [*NO_NUMBER, "0", "-1"]
NO_SCALE = ["'5'", "None", "True", "[3]", "float('nan')", "float('inf')", "-1"]
NO_WORD = ["'x'", "None", "3", "True", "['first']"]
SIZE_OF_20 = [*NO_WHOLE_NUMBER, "2**20 + 1", "2**21", "'everything'", "4096.0"]

T = "Parity(20, 6)"
CASES: dict[str, tuple[str, list[str]]] = {
    "Parity(dim={})": ("dim", [*NO_WHOLE_NUMBER, "129"]),
    "Parity(20, degree={})": ("degree", [*NO_WHOLE_NUMBER, "21"]),
    "Parity(support={})": ("support", NO_WORD),
    "SingleIndex(dim={})": ("dim", NO_WHOLE_NUMBER),
    "SingleIndex(link={})": ("link", NO_WORD),
    "SingleIndex(noise={})": ("noise", NO_SCALE),
    "Staircase(epsilon={})": ("epsilon", NO_SCALE),
    "LinearRegression(dim={})": ("dim", NO_WHOLE_NUMBER),
    "LinearRegression(exponent={})": ("exponent", NO_SCALE),
    "LinearRegression(noise={})": ("noise", NO_SCALE),
    "InContextRegression(dim={})": ("dim", NO_WHOLE_NUMBER),
    "InContextRegression(points={})": ("points", NO_WHOLE_NUMBER),
    "InContextRegression(noise={})": ("noise", NO_SCALE),
    "InContextRegression(beta={})": ("beta", [*NO_SCALE, "1.01"]),
    "InContextRegression(objective={})": ("objective", NO_WORD),
    "ModularAddition(modulus={})": ("modulus", [*NO_WHOLE_NUMBER, "1", "2**31 + 1"]),
    "ModularAddition(base={})": ("base", [*NO_WHOLE_NUMBER, "1"]),
    "ModularAddition(numbers={})": ("numbers", ["'5'", "1.5", "True", "[3]", "1", "2**31 + 1"]),
    "Facts(subjects={})": ("subjects", [*NO_WHOLE_NUMBER, "2**20 + 1"]),
    "Facts(relations={})": ("relations", [*NO_WHOLE_NUMBER, "2**20 + 1"]),
    "Facts(answers={})": ("answers", [*NO_WHOLE_NUMBER, "2**20 + 1"]),
    "Facts(noise_tokens={})": ("noise_tokens", [*NO_WHOLE_NUMBER, "2**20 + 1"]),
    "Facts(noise_length={})": ("noise_length", [*NO_NUMBER, "-1", "2**20 + 1"]),
    "Facts(objective={})": ("objective", NO_WORD),
    "Text(paths={})": ("paths", ["'5'", "[]", "[3]", "1.5", "True", "['nowhere']", "['no*where']"]),
    "Text(pattern={})": ("pattern", ["None", "3", "True", "['first']", "''"]),
    "Text(length={})": ("length", [*NO_WHOLE_NUMBER, "10**9"]),
    "Text(held_out={})": ("held_out", ["'5'", "None", "True", "float('nan')", "0", "-1", "1", "1.5"]),
    "Text(max_bytes={})": ("max_bytes", ["'5'", "1.5", "True", "[3]", "0", "-1", "10"]),
    "Text(test_windows={})": ("test_windows", NO_WHOLE_NUMBER),
    "Dataset(dataset={})": ("dataset", ["None", "3", "'nowhere.Data'", "'math.nothing'", "'math.pi'"]),
    "Online(Facts(20), axes=dict(subject=Axis({})))": (
        "axes.subject.size",
        ["0", "21", "'online'", "1.5", "None", "True"],
    ),
    "Online(InContextRegression(), axes=dict(context=Axis({})))": (
        "axes.context.size",
        ["0", "-1", "'population'", "1.5", "None"],
    ),
    "Online(Parity(), axes={})": ("axes", ["dict(context=Axis(5))"]),
    "Alpha({})": ("alpha", ["'5'", "None", "True", "0", "-1", "float('nan')", "float('inf')"]),
    "MuP({})": ("base_width", NO_WHOLE_NUMBER),
    "numbers(Online(DIGITS, batch_size={}))": ("data", ["150"]),
    "numbers(Subset(DIGITS, 'online', batch_size={}))": ("data.size", ["150"]),
    "Subset(DIGITS, {})": ("size", ["1439", "0"]),
    "Replicas(seeds={})": ("seeds", NO_WHOLE_NUMBER),
    "Replicas(first_seed={})": ("first_seed", [*NO_NUMBER, "-1", "2**62"]),
    "Replicas(vary={})": ("vary", ["[1]", "'data.size'", "{1: [2]}", "0.5"]),
    "Replicas(vary=dict(a={}))": (
        "vary.a",
        ["[]", "5", "'x'", "None", "(1, 2)", "[1, 1]", "[1, 1.0]", "['a', 'a']"],
    ),
    f"Online({T}, batch_size={{}})": ("batch_size", NO_WHOLE_NUMBER),
    f"Online({T}, test_size={{}})": ("test_size", NO_WHOLE_NUMBER),
    f"Subset({T}, size={{}})": ("size", SIZE_OF_20),
    "Subset(Parity(41, 6), size={})": ("size", ["'population'", "2**62 + 1", "10**30"]),
    f"Subset({T}, 64, reuse={{}})": ("reuse", NO_WORD),
    f"Subset({T}, 64, batch_size={{}})": ("batch_size", NO_WHOLE_NUMBER),
    f"FullBatch({T}, size={{}})": (
        "size",
        [*(size for size in SIZE_OF_20 if size != "[3]"), "'online'", "[]", "[0]", "[5, 'online']", "[5, 5]", "[6, 5]"],
    ),
    f"FullBatch({T}, [5, 6], {{}})": ("durations", ["None", "7", "[]", "[1, 2, 3]", "[0]", "[1.5]", "['1']"]),
    "FullBatch(Parity(41, 6), size={})": ("size", ["'population'"]),
    f"FullBatch({T}, 64, micro_batch_size={{}})": (
        "micro_batch_size",
        [one for one in NO_WHOLE_NUMBER if one != "None"],
    ),
    f"FullBatch({T}, 64, test_size={{}})": ("test_size", NO_WHOLE_NUMBER),
    "Population({})": ("size", ["Parity(41, 6)"]),
    f"Phases({T}, {{}}, [10])": (
        "sizes",
        [
            "[]",
            "None",
            "5",
            "'online'",
            "[5, 5]",
            "[6, 5]",
            "['online', 5]",
            "['online', 'population']",
            "[0.2, 0.1]",
            "[0.0, 5]",
        ]
        + [f"[{size}, 2**20]" for size in SIZE_OF_20],
    ),
    f"Phases({T}, [5, 6, 7], {{}})": (
        "durations",
        ["[]", "None", "7", "[1]", "[1, 1, 1, 1]", *(f"[4, {duration}]" for duration in [*NO_WHOLE_NUMBER, "10**30"])],
    ),
    f"Phases({T}, [5, 6], [7], unit={{}})": ("unit", NO_WORD),
    f"Phases({T}, {{}}, [7, 7], unit='epochs', nested=False)": ("unit", ["['online', 5, 6]", "[5, 'online', 6]"]),
    f"Phases({T}, [5, 6], [7], nested={{}})": ("nested", ["'no'", "None", "0", "1.0"]),
    f"Phases({T}, [5, 6], [7], reuse={{}})": ("reuse", NO_WORD),
    f"numbers(Phases({T}, {{}}, [7], batch_size=100))": ("data.sizes", ["[0.2, 19]", "[0.01, 0.0101]"]),
    f"numbers(Phases({T}, [0.5, 0.9], [7], batch_size={{}}))": ("data.sizes", ["2**20"]),
    f"numbers(Phases({T}, [5, 6], [7]), {{}})": ("data.sizes", ["{'data.sizes': [[5, 6], [6, 5]]}"]),
    f"numbers(Phases({T}, [5, 6], [7, 8]), {{}})": (
        "data.durations",
        ["{'data.sizes': [[5, 6], [5, 6, 7, 8]]}"],
    ),
    f"numbers(Subset({T}, 5), {{}})": ("data.size", [f"{{'data.size': [{size}]}}" for size in SIZE_OF_20]),
    f"AutomaticPhases({T}, phases={{}})": ("phases", [*NO_WHOLE_NUMBER, "1"]),
    f"AutomaticPhases({T}, first={{}})": (
        "first",
        ["'5'", "None", "1.5", "True", "0", "-1", "0.0", "2**21", "'online'", "'population'"],
    ),
    f"AutomaticPhases({T}, last={{}})": (
        "last",
        ["'5'", "None", "1.5", "True", "0", "-1", "-0.5", "2**21", "'online'"],
    ),
    f"AutomaticPhases({T}, accuracy={{}})": (
        "accuracy",
        ["'0.5'", "None", "True", "0", "-0.1", "1.01", "75", "[0.5]", "float('nan')"],
    ),
    f"AutomaticPhases({T}, max_epochs={{}})": ("max_epochs", [*NO_WHOLE_NUMBER, "10**30"]),
    f"AutomaticPhases({T}, reuse={{}})": ("reuse", NO_WORD),
    f"numbers(AutomaticPhases({T}, 3, first={{}}, last=50))": ("data.first", ["50", "51", "0.5"]),
}
PARAMETERS = [(call.format(given), key) for call, (key, values) in CASES.items() for given in values]

TRY = """
import json, sys
from svl.data import *
from svl.errors import SettingError
from svl.optim import *
from svl.replicas import Replicas
from svl.tasks import *

DIGITS = Dataset("sklearn.datasets.load_digits")

def numbers(data, vary=None):
    data.schedule(10, 1)
    data.settings_of(Replicas(1, vary=vary))

def outcome(call):
    try:
        eval(call)
    except SettingError as error:
        return [error.key, str(error)]
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["accepted", ""]

json.dump([outcome(call) for call in json.load(sys.stdin)], sys.stdout)
"""


@pytest.fixture(scope="module")
def outcomes():
    calls = [call for call, _ in PARAMETERS]
    words = [sys.executable, "-W", "ignore", "-c", TRY]
    done = subprocess.run(words, input=json.dumps(calls), capture_output=True, text=True, check=True, timeout=120)
    return dict(zip(calls, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize(("call", "key"), PARAMETERS)
def test_a_setting_that_cannot_be_used_is_named(outcomes, call, key):
    refused, message = outcomes[call]
    assert refused == key, message
    assert message.startswith(f"{key}: got ")
    assert "; allowed: " in message
    assert "\n" not in message
