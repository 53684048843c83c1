"""The walk-throughs that users of Cog know, command by command, with small stand-ins for the large libraries.

The code of the models is as it is written there; `tensorflow`, `numpy` and `torch` are folders of the project.
"""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import threading

import pytest

from tests.local.harness import CONFIG, HERE, until
from tests.local.test_serve import serving
from tests.walkthroughs import GUESSES, JPEG, RESNET, TENSORFLOW


def test_getting_started(project):
    project.write("cog.yaml", f'build:\n  python_version: "{HERE}"\n')
    terminal = project.in_terminal("run", "--engine", "local", "python")
    terminal.wait_for(b">>>")
    terminal.type(b"print(6 * 7)\n")
    terminal.wait_for(b"42")
    # Python reads keys at its prompt only: typed earlier, Ctrl-D would be no end of input.
    terminal.wait_for(b">>>")
    terminal.type(b"\x04")  # Ctrl-D
    assert terminal.end() == 0
    assert b"Running 'python'" in terminal.shown

    project.write("resnet50_weights_tf_dim_ordering_tf_kernels.h5", "weights")
    for path, content in TENSORFLOW.items():
        project.write(path, content)
    project.write("predict.py", RESNET)
    project.write("cog.yaml", CONFIG)
    project.write("input.jpg", JPEG)
    done = project.run("predict", "--engine", "local", "-i", "image=@input.jpg")
    assert done.status == 0, done.err
    assert json.loads(done.out) == GUESSES
    assert done.out.startswith('[\n  [\n    "n02123159",\n    "tiger_cat",\n    0.4874822497367859\n  ],\n')
    with serving(project) as server:
        url = f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"
        status, document = server.ask("POST", "/predictions", {"input": {"image": url}})
        assert (status, document["output"]) == (200, GUESSES)


def test_ones_own_model(project):
    """`cogc init`, then a model that takes a file and a number, and returns a file."""
    (project.root / "cog.yaml").unlink()
    assert project.run("init").status == 0
    project.write("cog.yaml", CONFIG)
    project.write("torch.py", "def load(path):\n    return lambda image, scale: image * int(scale * 2)\n")
    project.write("weights.pth", "weights")
    project.write(
        "predict.py",
        """
        from cog import BasePredictor, Path, Input
        import torch
        class Predictor(BasePredictor):
            def setup(self):
                \"\"\"Load the model into memory to make running multiple predictions efficient\"\"\"
                self.net = torch.load("weights.pth")
            def predict(self,
                    image: Path = Input(description="Image to enlarge"),
                    scale: float = Input(description="Factor to scale image by", default=1.5)
            ) -> Path:
                \"\"\"Run a single prediction on the model\"\"\"
                output = Path("/tmp/enlarged-%d.png" % id(self))
                output.write_bytes(self.net(open(image, "rb").read(), scale))
                return output
        """,
    )
    project.write("input.jpg", b"ab")
    done = project.run("predict", "--engine", "local", "-i", "image=@input.jpg")
    assert (done.status, done.out) == (0, ""), done.err
    assert "Written output to: output.png" in done.err
    assert (project.root / "output.png").read_bytes() == b"ababab"
    assert project.run("predict", "--engine", "local", "-i", "image=@input.jpg", "-i", "scale=2.0").status == 0
    assert (project.root / "output.png").read_bytes() == b"abababab"


def test_a_list_of_paths(project):
    project.write(
        "predict.py",
        """
        from cog import BasePredictor, Path
        class Predictor(BasePredictor):
            def predict(self, paths: list[Path]) -> str:
                output_parts = []  # Use a list to collect file contents
                for path in paths:
                    with open(path) as f:
                        output_parts.append(f.read())
                return "".join(output_parts)
        """,
    )
    project.write("1.txt", "test1\n")
    project.write("2.txt", "test2\n")
    done = project.run("predict", "--engine", "local", "-i", "paths=@1.txt", "-i", "paths=@2.txt")
    assert (done.status, done.out) == (0, "test1\ntest2\n\n"), done.err


def test_an_object_and_files_as_outputs(project):
    project.write(
        "predict.py",
        """
        import io
        from cog import BasePredictor, BaseModel, File, Path, Input
        from typing import List
        class Output(BaseModel):
            file: File
            text: str
        class Predictor(BasePredictor):
            def predict(self) -> Output:
                return Output(text="hello", file=io.StringIO("hello"))
        class Several(BasePredictor):
            def predict(self) -> List[Path]:
                predictions = ["foo", "bar", "baz"]
                output = []
                for i, prediction in enumerate(predictions):
                    out_path = Path(f"/tmp/out-{i}.txt")
                    with out_path.open("w") as f:
                        f.write(prediction)
                    output.append(out_path)
                return output
        """,
    )
    done = project.run("predict", "--engine", "local")
    assert done.status == 0, done.err
    document = json.loads(done.out)
    assert document["text"] == "hello"
    assert (project.root / document["file"]).read_text() == "hello"
    project.write("cog.yaml", CONFIG.replace("Predictor", "Several"))
    done = project.run("predict", "--engine", "local")
    assert done.err.count("Written output to: output.") == 3
    assert [(project.root / f"output.{i}.txt").read_text() for i in range(3)] == ["foo", "bar", "baz"]


def test_the_interface_of_2021(project):
    project.write(
        "predict.py",
        """
        import cog, tempfile
        from pathlib import Path
        class ImageScalingPredictor(cog.Predictor):
            def setup(self):
                self.model = lambda image, scale: image * int(scale * 2)
            @cog.input("input", type=Path, help="Image to enlarge")
            @cog.input("scale", type=float, default=1.5, help="Factor to scale image by")
            def predict(self, input, scale):
                output = self.model(input.read_text(), scale)
                out_path = Path(tempfile.mkdtemp()) / "my-file.txt"
                out_path.write_text(output)
                return out_path
        """,
    )
    project.write("cog.yaml", CONFIG.replace("Predictor", "ImageScalingPredictor"))
    project.write("in.txt", "ab")
    done = project.run("predict", "--engine", "local", "-i", "input=@in.txt", "-i", "scale=2")
    assert done.status == 0, done.err
    assert (project.root / "output.txt").read_text() == "abababab"


def test_a_training_with_weights_from_a_url(project):
    """A trained file is served over HTTP, and `COG_WEIGHTS` names its URL."""
    project.write("cog.yaml", CONFIG + 'train: "train.py:train"\n')
    project.write(
        "train.py",
        """
        from cog import BaseModel, Input, Path
        class TrainingOutput(BaseModel):
            weights: Path
        def train(
            train_data: Path = Input(description="HTTPS URL of a file containg training data"),
            learning_rate: float = Input(description="learning rate, for learning!", default=1e-4, ge=0),
            seed: int = Input(description="random seed to use for training", default=42)
        ) -> TrainingOutput:
            weights_file = "/tmp/weights-%d" % seed
            open(weights_file, "w").write(train_data.read_text().upper())
            return TrainingOutput(weights=Path(weights_file))
        """,
    )
    project.write(
        "predict.py",
        """
        from typing import Optional, Union
        from cog import BasePredictor, Path
        class Predictor(BasePredictor):
            def setup(self, weights: Optional[Union[Path, str]] = None) -> None:
                self.model = open(weights).read() if weights else "base"
            def predict(self, prompt: str) -> str:
                return prompt + " by " + self.model
        """,
    )
    project.write("data.zip", "tok")
    done = project.run("train", "--engine", "local", "-i", "train_data=@data.zip", "-i", "learning_rate=0.0001")
    assert done.status == 0, done.err
    weights = (project.root / "weights").rename(project.root.parent / "weights.tar")
    assert weights.read_text() == "TOK"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _serving(weights.read_bytes()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/weights.tar"
        words = ["-e", f"COG_WEIGHTS={url}", "-e", "COGC_ALLOW_PRIVATE_URLS=1", "-i", "prompt=a photo of TOK"]
        done = project.run("predict", "--engine", "local", *words)
    finally:
        server.shutdown()
        server.server_close()
    assert (done.status, done.out) == (0, "a photo of TOK by TOK\n"), done.err


def _serving(content: bytes) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


def test_a_notebook(project):
    """`run -p 8888 jupyter lab …`: a program of the environment that serves a port."""
    project.write("cog.yaml", f'build:\n  python_version: "{HERE}"\n')
    port = 0
    code = (
        "import http.server, sys; s = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler);"
        "print(s.server_address[1], sys.argv[1:], flush=True); s.handle_request()"
    )
    words = ("run", "--engine", "local", "-p", "8888", "python", "-c", code, "--allow-root", "--ip=0.0.0.0")
    with project.start(*words) as process:
        line = process.stdout.readline()
        assert line.endswith("['--allow-root', '--ip=0.0.0.0']\n"), process.stderr.read()
        port = int(line.split()[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/cog.yaml")
        assert connection.getresponse().read() == (project.root / "cog.yaml").read_bytes()
        connection.close()
        assert process.wait(60) == 0
    assert until(lambda: not project.processes(), 15)


@pytest.mark.parametrize("words", [("-i", "prompt=a cat"), ("--json", '{"prompt": "a cat"}')])
def test_a_prompt(words, project):
    project.write(
        "predict.py",
        """
        from cog import BasePredictor, ConcatenateIterator, Input
        class Predictor(BasePredictor):
            def predict(self, prompt: str = Input(description="Prompt")) -> ConcatenateIterator[str]:
                for word in prompt.split():
                    yield word + " "
        """,
    )
    done = project.run("predict", "--engine", "local", *words)
    assert done.status == 0, done.err
    assert done.out == "a cat \n" if words[0] == "-i" else json.loads(done.out)["output"] == ["a ", "cat "]
