"""How the function behind a target is found."""

from __future__ import annotations

import pytest

from cogc.frontend.signature import analyse_target
from cogc.source import Span
from tests.memory_files import MemoryFiles
from tests.unit.frontend.signature.support import HEADER, analyse, codes, only, signature


def names(source: str, name: str = "Predictor", **options: object) -> list[str]:
    return [field.name for field in signature(source, name, **options).inputs]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "declaration",
    [
        "class Predictor(BasePredictor):\n    def predict(self, x: str) -> str: ...",
        "class Predictor(BaseRunner):\n    def run(self, x: str) -> str: ...",
        "class Predictor:\n    def predict(self, x: str) -> str: ...",
        "class Predictor:\n    def run(self, x: str) -> str: ...",
        "class Predictor:\n    @staticmethod\n    def predict(x: str) -> str: ...",
        "class Predictor:\n    @torch.inference_mode()\n    def predict(self, x: str) -> str: ...",
        "class Base(BasePredictor):\n    def predict(self, x: str) -> str: ...\nclass Predictor(Base):\n    pass",
        "class Base(Generic[int]):\n    def predict(self, x: str) -> str: ...\nclass Predictor(Base[int]):\n    pass",
        "class Other:\n    def predict(self, x: str) -> str: ...\nPredictor = Other",
        "def generate(self, x: str) -> str: ...\nclass Predictor:\n    predict = generate",
        "def Predictor(x: str) -> str: ...",
        "async def Predictor(x: str) -> str: ...",
        "if True:\n    class Predictor:\n        def predict(self, x: str) -> str: ...",
        "try:\n    import torch\nexcept ImportError:\n    torch = None\ndef Predictor(x: str) -> str: ...",
    ],
)
def test_target_is_found(declaration: str) -> None:
    assert names(f"{HEADER}import torch\n{declaration}\n") == ["x"]


@pytest.mark.parametrize(
    ("statement", "path"),
    [
        ("from models import Predictor", "models.py"),
        ("from models.image import Predictor", "models/image.py"),
        ("from models import Predictor", "models/__init__.py"),
        ("from .models import Predictor", "models.py"),
        ("from models import *", "models.py"),
        ("import models\nPredictor = models.Predictor", "models.py"),
        ("import models\nclass Predictor(models.Predictor): pass", "models.py"),
        ("import models.image\nclass Predictor(models.image.Predictor): pass", "models/image.py"),
        ("from models import image\nclass Predictor(image.Predictor): pass", "models/image.py"),
        ("from models.image import *", "models/image.py"),
    ],
)
def test_target_is_found_in_another_module_of_the_project(statement: str, path: str) -> None:
    others = {path: f"{HEADER}class Predictor(BasePredictor):\n    def predict(self, x: str) -> str: ...\n"}
    assert names(f"{HEADER}{statement}\n", others=others) == ["x"]


def test_submodule_of_a_package_is_found_by_its_dotted_name() -> None:
    others = {
        "models/__init__.py": "",
        "models/image.py": f"{HEADER}class Predictor:\n    def predict(self, x: str) -> str: ...\n",
    }
    assert names("import models.image\nPredictor = models.image.Predictor", others=others) == ["x"]


def test_modules_beside_a_file_in_a_folder_are_found() -> None:
    others = {"src/models.py": f"{HEADER}class Predictor:\n    def predict(self, x: str) -> str: ...\n"}
    assert names("from models import Predictor", others=others, path="src/predict.py") == ["x"]


def test_the_projects_root_is_searched_before_the_files_folder() -> None:
    others = {
        "models.py": f"{HEADER}class Predictor:\n    def predict(self, root: str) -> str: ...\n",
        "src/models.py": f"{HEADER}class Predictor:\n    def predict(self, folder: str) -> str: ...\n",
    }
    assert names("from models import Predictor", others=others, path="src/predict.py") == ["root"]


def test_overriding_method_wins_over_the_inherited_one() -> None:
    source = """
        class Base:
            def predict(self, a: str) -> str: ...
        class Predictor(Base):
            def predict(self, b: str) -> str: ...
        """
    assert names(source) == ["b"]


def test_method_and_kind_of_the_target_are_recorded() -> None:
    source = (
        f"{HEADER}class Predictor(BaseRunner):\n    async def setup(self): ...\n    async def run(self) -> str: ...\n"
    )
    found = signature(source)
    assert (found.target, found.mode, found.method) == ("predict.py:Predictor", "predict", "run")
    assert (found.is_async, found.has_setup, found.is_function, found.is_legacy) == (True, True, False, False)
    assert found.origin is not None
    assert str(found.origin) == "predict.py:6:5"


@pytest.mark.parametrize(
    "source",
    [
        "from library import Predictor",
        "from library import *",
        "from library import make\nPredictor = make()",
        "from library import Base\nclass Predictor(Base): pass",
        "class Predictor:\n    predict = property(lambda self: None)",
    ],
)
def test_target_from_elsewhere_is_left_to_the_image(source: str) -> None:
    found, (diagnostic,) = analyse(source)
    assert diagnostic.code == "COG412"
    assert found is None


@pytest.mark.parametrize(
    "source",
    [
        "globals()['Predictor'] = type('Predictor', (), {})",
        "import sys\nsetattr(sys.modules[__name__], 'Predictor', 1)",
        "import importlib\nmodule = importlib.import_module(__name__)\nmodule.Predictor = 1",
        "exec('class Predictor: pass')",
        "def __getattr__(name): ...",
        "def make():\n    global Predictor\n    class Predictor: ...\nmake()",
        "with open('x') as Predictor: ...",
        "print(Predictor := 1)",
        "import sys\nmatch sys.argv:\n    case [Predictor]: ...",
        "import sys\nmatch sys.argv:\n    case []:\n        class Predictor: ...",
        "vars()['Predictor'] = 1",
    ],
)
def test_target_that_may_be_made_at_run_time_is_left_to_the_image(source: str) -> None:
    assert codes(source) == ["COG412"]
    assert codes("from other import *", others={"other.py": source}) == ["COG412"]


@pytest.mark.parametrize(
    "source",
    [
        "import argparse\nprint(vars(argparse.Namespace()))",
        "import sys\nsys.modules['x'] = None",
        "import logging\nlogger = logging.getLogger(__name__)",
        "model = object()\nsetattr(model, 'Predictor', 1)\neval('1')",
        "def f():\n    Predictors = 1",
    ],
)
def test_ordinary_code_does_not_make_a_missing_target_uncertain(source: str) -> None:
    assert codes(source) == ["COG400"]


@pytest.mark.parametrize(
    "source",
    [
        "@register\nclass Predictor: ...\n",
        "class Predictor(metaclass=Meta): ...\n",
        "class Predictor: ...\nPredictor.predict = print\n",
        "class Predictor: ...\nsetattr(Predictor, 'predict', print)\n",
        "class Predictor:\n    locals()['predict'] = print\n",
        "class Base:\n    def __init_subclass__(cls): ...\nclass Predictor(Base): ...\n",
        "class Base:\n    def __init__(self): self.predict = print\nclass Predictor(Base): ...\n",
    ],
)
def test_method_that_a_class_may_gain_is_left_to_the_image(source: str) -> None:
    assert codes("from x import register, Meta\n" + source) == ["COG412"]


def test_method_that_another_module_adds_is_left_to_the_image() -> None:
    source = "from base import Predictor\nPredictor.predict = print\n"
    assert codes(source, others={"base.py": "class Predictor: ...\n"}) == ["COG412"]


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("class Upscaler:\n    def predict(self) -> str: ...\n", "the file defines `Upscaler`"),
        (
            "class Predicter:\n    def predict(self) -> str: ...\ndef predict() -> str: ...\n",
            "did you mean `Predicter`? the file defines `Predicter`, `predict`",
        ),
        ("class predictor:\n    def run(self) -> str: ...\n", "did you mean `predictor`? the file defines `predictor`"),
        (
            "class Net: ...\nclass Block: ...\n",
            "no class of the file has the method `predict` or `run`; its classes are `Net`, `Block`",
        ),
        ("x = 1", "the file defines no class"),
        ("".join(f"class C{i}:\n    def run(self): ...\n" for i in range(7)),
         "the file defines `C0`, `C1`, `C2`, `C3`, `C4` and 2 more"),
    ],
)  # fmt: skip
def test_unknown_target_names_what_was_meant_and_what_there_is(source: str, hint: str) -> None:
    diagnostic = only(source)
    assert diagnostic.message == "predictor not found: `Predictor` is not defined in `predict.py`"
    assert diagnostic.hint == hint


def test_unknown_target_is_reported_where_it_is_named() -> None:
    span = Span("cog.yaml", 3, 10, 3, 30)
    files = MemoryFiles({"predict.py": "x = 1"})
    _, (diagnostic,) = analyse_target(files, "predict.py", "Predictor", mode="predict", named_at=span)
    assert diagnostic.span == span


def test_imported_target_is_reported_at_the_import() -> None:
    assert str(only("import os\nfrom library import Other, Predictor").span) == "predict.py:2:28"
    assert str(only("from library import make\nPredictor = make()").span) == "predict.py:2:1"


def test_class_without_the_method_names_the_nearest() -> None:
    diagnostic = only("class Predictor:\n    def predct(self) -> str: ...\n")
    assert (diagnostic.code, diagnostic.hint) == ("COG401", "did you mean to call `predct` `predict`?")


def test_names_of_python_itself_are_no_targets() -> None:
    assert codes("x = 1", "print") == ["COG400"]


def test_missing_file_is_reported_without_an_exception() -> None:
    found, (diagnostic,) = analyse("", path="other.py")
    assert found is None
    assert diagnostic.code == "COG400"


def test_trainer_class_needs_a_train_method() -> None:
    diagnostic = only("class Trainer:\n    def predict(self) -> str: ...\n", "Trainer", "train")
    assert (diagnostic.code, diagnostic.message) == ("COG401", "`train` method not found on `Trainer`")


def test_classes_that_inherit_from_each_other_end() -> None:
    assert codes("class A(Predictor): pass\nclass Predictor(A): pass\n") == ["COG401"]


def test_concurrency_and_streaming_decorators_are_read() -> None:
    body = "    @streaming\n    @concurrent(max=4)\n    async def predict(self) -> AsyncIterator[str]: ...\n"
    source = f"{HEADER}class Predictor:\n{body}"
    found = signature(source)
    assert (found.is_streaming, found.max_concurrency, found.is_iterator) == (True, 4, True)


@pytest.mark.parametrize(
    "decorator",
    ["streaming", "streaming()", "concurrent()", "concurrent(max=0)", "concurrent(max=True)", "concurrent(max=2)"],
)
def test_decorators_that_do_not_fit_are_errors(decorator: str) -> None:
    assert codes(f"{HEADER}@{decorator}\ndef predict() -> str: ...\n", "predict") == ["COG423"]


def test_legacy_predictor_without_declarations_takes_optional_texts() -> None:
    found = signature("import cog\nclass Predictor(cog.Predictor):\n    def predict(self, a, b): ...\n")
    assert [(field.name, field.type, field.default) for field in found.inputs] == [
        ("a", "str", None),
        ("b", "str", None),
    ]


def test_legacy_predictor_may_be_annotated_in_the_modern_way() -> None:
    source = "import cog\nclass Predictor(cog.Predictor):\n    def predict(self, a: int = cog.Input(ge=1)): ...\n"
    (field,) = signature(source).inputs
    assert (field.type, field.ge) == ("int", 1)


def test_legacy_generator_is_an_iterator() -> None:
    assert signature(
        "import cog\nclass Predictor(cog.Predictor):\n    def predict(self):\n        yield 1\n"
    ).is_iterator


@pytest.mark.parametrize(
    ("declaration", "phrase"),
    [
        ('input("a", type=bytes)', "not a valid type"),
        ('input("a", type=str, min=1)', "is not a number"),
        ('input("a", type=Path, options=["x", "y"])', "cannot have options"),
        ('input("a", type=str, options=["x"])', "at least two"),
        ('input("a", type=Path, default="x")', "cannot have a default"),
        ('input("a", type=str)\n    @input("a", type=str)', "already defined"),
        ('input("a", type=str, ge=1)', "no argument `ge`"),
        ("input(type=str)", "needs the name"),
    ],
)
def test_legacy_declaration_that_is_wrong_is_an_error(declaration: str, phrase: str) -> None:
    body = f"    @{declaration}\n    def predict(self, a=None): ...\n"
    source = f"{HEADER}from cog import input\nclass Predictor(Predictor):\n{body}"
    found = [diagnostic for diagnostic in analyse(source)[1] if diagnostic.code == "COG424"]
    assert len(found) == 1
    assert phrase in found[0].message


def test_legacy_limits_are_the_modern_ones() -> None:
    source = """
        import cog
        class P(cog.Predictor):
            @cog.input("n", type=int, default=2, min=1, max=3)
            @cog.input("s", type=str, options=["a", "b"], default=None)
            @cog.input("f", float, options=[0.5, 1.5], help="Factor")
            def predict(self, n, s, f): ...
        """
    n, s, f = signature(source, "P").inputs
    assert (n.ge, n.le, n.default) == (1, 3, 2)
    assert (s.choices, s.default, s.is_required) == (("a", "b"), None, False)
    assert (f.choices, f.description, f.is_required) == ((0.5, 1.5), "Factor", True)


def test_modules_that_star_import_each_other_end_at_once() -> None:
    stars = "from other import *\nfrom predict import *\n" * 10
    assert codes(stars, others={"other.py": stars}) == ["COG400"]
