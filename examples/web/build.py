"""A generator as a static page: `python build.py SOURCE FOLDER`, then serve FOLDER from anywhere.

The folder holds all that the page needs (model, facts, onnxruntime for browsers), so that it works offline and asks no
other server for anything. Run `npm install` here first: it fetches onnxruntime-web into node_modules/.
"""

import json
import shutil
import sys
from pathlib import Path

import ganzoo

HERE = Path(__file__).parent
RUNTIME = HERE / "node_modules" / "onnxruntime-web" / "dist"
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")

source, folder = sys.argv[1], Path(sys.argv[2])
if not RUNTIME.is_dir():
    sys.exit(f"onnxruntime-web is not in {RUNTIME.parent}; run `npm install` in {HERE}")

gan = ganzoo.from_pretrained(source)
folder.mkdir(parents=True, exist_ok=True)
done = ganzoo.export_onnx(gan, folder / "model.onnx")
facts = {**gan.facts, "name": Path(source).name, "latent_size": gan.latent_size}
(folder / "model.json").write_text(json.dumps(facts, indent=2))
shutil.copy(HERE / "index.html", folder)
for name in FILES:
    shutil.copy(RUNTIME / name, folder)

size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
print(f"{size:.1f} MB in {folder}; look at it with: python -m http.server --directory {folder}")
