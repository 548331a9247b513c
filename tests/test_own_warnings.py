"""svl's own warnings on the command line: one plain line each, said once; those of others stay as Python has them."""

import shutil
import sys
import warnings

import pytest
from torch._inductor import config
from torch._inductor.exc import InvalidCxxCompiler

from svl import native
from svl.cli import fit
from svl.compat.torch import cpp_compiler
from svl.training import compilation


def test_a_warning_is_one_line_without_python_s_words():
    with pytest.warns(UserWarning, match="steps are slow") as warned:
        compilation.warn("steps are slow")
    own = (UserWarning("steps are slow"), UserWarning, warned[0].filename, warned[0].lineno)
    others = ("look", UserWarning, "others.py", 3)
    as_python_has_it = warnings.formatwarning
    with fit._process(["fit"]):
        assert warnings.formatwarning(*own) == "svl: steps are slow\n"
        assert warnings.formatwarning(*own) == ""
        assert warnings.formatwarning(*others) == "others.py:3: UserWarning: look\n"
    assert warnings.formatwarning is as_python_has_it


def test_the_reason_of_a_compiler_is_its_first_error():
    said = "CppCompileError: C++ compile error\n\nOutput:\n/tmp/a.cpp:2:10: fatal error: 'omp.h' file not found\n^\n"
    assert compilation._reason(said) == "C++: 'omp.h' file not found"
    assert compilation._reason("buf15 cannot be fused\nat node 3") == "buf15 cannot be fused"


@pytest.mark.parametrize("names", [["clang++"], ["c++"], ["clang++", "c++"]])
def test_a_compiler_under_any_name_is_found(tmp_path, monkeypatch, names):
    for name in names:
        (tmp_path / name).write_text(f"#!{sys.executable}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with config.patch({"cpp.cxx": (None, "g++")}):
        assert cpp_compiler() == names[0] and shutil.which(cpp_compiler())
    # A compiler that the user names is not replaced.
    monkeypatch.setenv("CXX", "no-such-compiler")
    with config.patch({"cpp.cxx": (None, "no-such-compiler")}), pytest.raises(InvalidCxxCompiler):
        cpp_compiler()


def test_several_libraries_are_announced_once(capsys):
    for place in ("/a", "/a", "/b"):
        native._announce(f"svl: building C++ code, kept in {place}")
    assert capsys.readouterr().err.splitlines() == [
        f"svl: building C++ code, kept in {place}" for place in ("/a", "/b")
    ]
