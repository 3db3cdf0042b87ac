"""A generator as a static page: python build.py SOURCE FOLDER, then serve FOLDER from anywhere.

The folder holds all that the page needs (model, facts, onnxruntime for browsers), so that it works offline and asks no
other server for anything. Run `npm install` here first: it fetches onnxruntime-web into node_modules/.
"""

import argparse
import json
import shlex
import shutil
from pathlib import Path

import ganzoo

HERE = Path(__file__).parent
RUNTIME = HERE / "node_modules" / "onnxruntime-web" / "dist"
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("source", help="a bundled name, a run, a saved model, or a Hub id")
parser.add_argument("folder", type=Path, help="of the page; what an earlier build left there is replaced")
given = parser.parse_args()
if not RUNTIME.is_dir():
    parser.exit(2, f"onnxruntime-web is not in {RUNTIME.parent}; run `npm install` in {HERE}\n")
try:
    gan = ganzoo.from_pretrained(given.source)
    given.folder.mkdir(parents=True, exist_ok=True)
    ganzoo.export_onnx(gan, given.folder / "model.onnx", overwrite=True)
    facts = {**gan.facts, "name": Path(given.source).name, "latent_size": gan.latent_size}
    (given.folder / "model.json").write_text(json.dumps(facts, indent=2))
    for path in (HERE / "index.html", *(RUNTIME / name for name in FILES)):
        shutil.copy(path, given.folder)
except (ganzoo.GanzooError, OSError) as error:
    parser.exit(2, f"{error}\n")
size = sum(path.stat().st_size for path in given.folder.iterdir()) / 1e6
place = shlex.quote(str(given.folder))
print(f"{size:.1f} MB in {place}; look at it with: python -m http.server --directory {place}")
