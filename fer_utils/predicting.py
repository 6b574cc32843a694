"""What leaves the series: answers on a user's pictures, and a network as an ONNX file."""

import json
import os
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from fer_utils import CLASSES, UserError, files, photo
from fer_utils.data import entries, explained
from fer_utils.models import SIZE

PREPROCESSING = "the face's square, grey, 48 × 48 pixels (bilinear), divided by 255"
# Of pictures in a folder.
ENDINGS = ".jpg .jpeg .png .webp .avif .gif .bmp .tif .tiff .heic .heif .hif".split()


def answer(pictures: list[str], model=None, box=None, whole=False, as_json=False, out=None) -> int:
    """Print a line a face; return 0, or 1 if a picture has none, or 2 if one cannot be read.

    pictures: files, folders of them, `-` for standard input. model: see `photo.shipped`. box: where
    the face is. whole: each picture is a face. as_json: lines of JSON. out: a folder for copies
    with boxes and bars.
    """
    run, code = photo.shipped(model), 0
    network = run.model()
    paths = files_of(pictures)
    if out is not None and len({Path(path).name for path in paths}) < len(set(paths)):
        raise UserError("Two pictures, and so two copies, have one name: give a folder at a time.")
    for path in paths:
        try:
            source = getattr(sys.stdin, "buffer", None) if path == "-" else path
            picture = photo.opened(source, path)
            boxes = [box or (0, 0, *picture.size)] if box or whole else photo.find(picture)
            faces = photo.look(picture, boxes, network, run.temperature)
            for face in faces:
                row = {"picture": path, "box": face.box, "sure": face.sure, "classes": face.shares}
                print(json.dumps(row) if as_json else f"{path} {face.box}: {face}", flush=True)
            if out is not None and faces:
                draw(picture, faces, Path(out, f"{Path(path).name}.png"))
        except UserError as error:
            told = f"{error}" if path in f"{error}" else f"{path}: {error}"
            print(f"Error: {told}", file=sys.stderr)
            code = 2
            continue
        if not faces:
            advice = "give --box, or --crop none where the picture is one face"
            print(f"{path}: no frontal face was found: {advice}.", file=sys.stderr)
            code = max(code, 1)
    return code


def files_of(names: list[str]) -> list[str]:
    """The files that a user names; a folder stands for the pictures in it, not in its folders."""
    found = []
    for name in names:
        inside = sorted(entries(Path(name))) if os.path.isdir(name) else []
        found += [str(path) for path in inside if path.suffix.lower() in ENDINGS] or [name]
    return found


def draw(picture: Image.Image, faces: list[photo.Face], path: Path) -> None:
    """Write a copy of the picture with a box around each face, and three bars below it."""
    foot = max(face.box[3] + 3 * max(10, (face.box[2] - face.box[0]) // 8) for face in faces)
    copy = picture.crop((0, 0, picture.width, max(picture.height, foot + 1)))  # with room for bars
    pen = ImageDraw.Draw(copy)
    for face in faces:
        left, top, right, bottom = face.box
        width, line = right - left, max(10, (right - left) // 8)
        pen.rectangle(face.box, outline="orange", width=max(2, width // 60))
        for number, (name, share) in enumerate(list(face.shares.items())[:3]):
            row = bottom + number * line
            pen.rectangle((left, row, right, row + line), fill="white")
            pen.rectangle((left, row, left + share * width, row + line - 2), fill="orange")
            words = f"{name} {share:.0%}" + "?" * (not face.sure)
            pen.text((left + 2, row), words, fill="black", font_size=line * 3 // 4)
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
    run, example = photo.shipped(model), torch.zeros(1, 1, SIZE, SIZE)
    names = dict(input_names=["faces"], output_names=["logits"])
    names["dynamic_axes"] = {"faces": {0: "n"}, "logits": {0: "n"}}
    # The older of torch's two exporters: the other one needs onnxscript, for nothing here.
    writing = explained(OSError, f"{path} cannot be written", "name another file.")
    with writing, tempfile.TemporaryDirectory() as folder:
        part = str(Path(folder, "part.onnx"))
        torch.onnx.export(run.model().cpu(), (example,), part, **names, dynamo=False)
        made = onnx.load(part)
        about = {"preprocessing": PREPROCESSING, "classes": json.dumps(CLASSES)}
        about |= {"temperature": str(run.temperature), "run": run.folder.name}
        onnx.helper.set_model_props(made, about)
        files.write_atomic(Path(path), made.SerializeToString())
    return path
