"""What leaves the series: answers on a user's pictures, and a network as an ONNX file."""

import json
import sys
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from fer_utils import CLASSES, UserError, photo
from fer_utils.data import explained
from fer_utils.models import SIZE

PREPROCESSING = "the face's square, grey, 48 × 48 pixels (bilinear), divided by 255"


def answer(pictures: list[str], model=None, box=None, whole=False, as_json=False, out=None) -> int:
    """Print a line a face; return 0, or 1 if a picture has none, or 2 if one cannot be read.

    pictures: files, folders of them, `-` for standard input. model: see `photo.shipped`. box: where
    the face is. whole: each picture is a face. as_json: lines of JSON. out: a folder for copies
    with boxes and bars.
    """
    run, code = photo.shipped(model), 0
    network = run.model()
    for path in files_of(pictures):
        try:
            picture = photo.opened(sys.stdin.buffer if path == "-" else path, path)
            boxes = [box or (0, 0, *picture.size)] if box or whole else photo.find(picture)
            faces = photo.look(picture, boxes, network, run.temperature)
            if out and faces:
                draw(picture, faces, Path(out, f"{Path(path).name}.png"))
        except UserError as error:
            print(f"Error: {error}", file=sys.stderr)
            code = 2
            continue
        for face in faces:
            row = {"picture": path, "box": face.box, "sure": face.sure, "classes": face.shares}
            print(json.dumps(row) if as_json else f"{path} {face.box}: {face}", flush=True)
        if not faces:
            advice = "give --box, or --crop none where the picture is one face"
            print(f"{path}: no frontal face was found: {advice}.", file=sys.stderr)
            code = max(code, 1)
    return code


def files_of(names: list[str]) -> list[str]:
    """The files that a user names; a folder stands for the pictures in it, not in its folders."""
    endings, files = {".heic", ".heif", *Image.registered_extensions()}, []
    for name in names:
        inside = sorted(Path(name).iterdir()) if Path(name).is_dir() else []
        files += [str(path) for path in inside if path.suffix.lower() in endings] or [name]
    return files


def draw(picture: Image.Image, faces: list[photo.Face], path: Path) -> None:
    """Write a copy of the picture with a box around each face, and three bars below it."""
    copy = picture.convert("RGB")
    pen = ImageDraw.Draw(copy)
    for face in faces:
        left, top, right, bottom = face.box
        width, line = right - left, max(10, (right - left) // 8)
        pen.rectangle(face.box, outline="orange", width=max(2, width // 60))
        for number, (name, share) in enumerate(list(face.shares.items())[:3]):
            row = min(bottom, picture.height - 3 * line) + number * line
            pen.rectangle((left, row, right, row + line), fill="white")
            pen.rectangle((left, row, left + share * width, row + line - 2), fill="orange")
            words = f"{name} {share:.0%}" + "?" * (not face.sure)
            pen.text((left + 2, row), words, fill="black", font_size=line - 3)
    with explained(OSError, f"{path} cannot be written", "name another folder."):
        path.parent.mkdir(parents=True, exist_ok=True)
        copy.save(path)


def export(model: str, path: str) -> str:
    """Write a model as ONNX: `faces`, float32 [n, 1, 48, 48] in 0 … 1, to `logits` [n, 7].

    Its metadata has `preprocessing`, `classes` (JSON), `temperature` (divide the logits by it, then
    softmax) and `run`. Returns the path.
    """
    try:
        import onnx
    except ImportError:
        raise UserError("export needs one package more: `pip install onnx`.") from None
    run, axis = photo.shipped(model), {0: "n"}
    names = dict(input_names=["faces"], output_names=["logits"])
    axes = dict(dynamic_axes={"faces": axis, "logits": axis})
    example = torch.zeros(1, 1, SIZE, SIZE)
    # The older of torch's two exporters: the other one needs onnxscript, for nothing here.
    with explained(OSError, f"{path} cannot be written", "name another file."):
        torch.onnx.export(run.model().cpu(), (example,), path, **names, **axes, dynamo=False)
    made = onnx.load(path)
    about = {"preprocessing": PREPROCESSING, "classes": json.dumps(CLASSES)}
    about |= {"temperature": str(run.temperature), "run": run.folder.name}
    onnx.helper.set_model_props(made, about)
    onnx.save(made, path)
    return path
