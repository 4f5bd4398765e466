"""`gpu` takes a ranked list: the first kind that the machine can give is used, and the container sees only that GPU.

Where no entry can ever be satisfied, a call fails at once and says which GPUs there are. With the setting
`gpu_fallback = "cpu"` (here by its environment variable) it runs on the CPU instead, with one warning.
"""

import os

import swell as modal

os.environ.setdefault("SWELL_GPU_FALLBACK", "cpu")

app = modal.App("gpu-fallback")


@app.function(gpu=["H100", "A100:2", "any"])
def device() -> str:
    return os.environ.get("CUDA_VISIBLE_DEVICES") or "the CPU"


@app.local_entrypoint()
def main():
    print("running on", device.remote())
