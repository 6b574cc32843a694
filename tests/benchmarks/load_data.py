"""Seconds for the first and second load: python tests/benchmarks/load_data.py PATH …

Each path is loaded twice into a cache of its own. Aims on two idle cores: 30 s, then 1 s.
"""

import os
import sys
import tempfile
import time

from fer_utils import data

for path in sys.argv[1:]:
    with tempfile.TemporaryDirectory() as home:
        os.environ["FER_HOME"] = home
        for attempt in ("first", "second"):
            start, used = time.perf_counter(), time.process_time()
            faces = data.load(path)
            wall, cpu = time.perf_counter() - start, time.process_time() - used
            print(f"{faces.source}: {attempt} load {wall:.2f} s ({cpu:.2f} s of CPU time)")
