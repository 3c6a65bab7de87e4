"""Times PyTorch for Command bench: one job a line on stdin, one answer a line on stdout."""

import functools
import json
import os
import sys
import time

import torch

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


@functools.lru_cache(maxsize=8)
def product(dtype, form, m, k, n):
    """x [m][k] by weights, stored as [n][k] for linear and as [k][n] for mm."""
    x = torch.rand(m, k).sub(0.5).to(DTYPES[dtype])
    weight = torch.rand(n, k).sub(0.5).to(DTYPES[dtype])
    if form == "linear":
        return lambda: torch.nn.functional.linear(x, weight)
    transposed, y = weight.t().contiguous(), torch.empty(m, n, dtype=DTYPES[dtype])
    return lambda: torch.mm(x, transposed, out=y)


class Block(torch.nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.qkv, self.out = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
        self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        size = width // self.heads
        qkv = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        scores = (qkv[0] * size**-0.5) @ qkv[1].transpose(-1, -2)
        y = torch.softmax(scores, -1).to(qkv.dtype) @ qkv[2]
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, width))
        y = torch.nn.functional.gelu(self.up(self.norm2(x)), approximate="tanh")
        return x + self.down(y)


@functools.lru_cache(maxsize=8)
def block(dtype, form, batch, tokens, width, heads):
    """One optimiser step; form says how AdamW goes over the parameters."""
    torch.manual_seed(1)
    model = Block(width, heads)
    adamw = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=form == "foreach")
    x, target = torch.randn(batch, tokens, width), torch.randn(batch, tokens, width)

    def step():
        adamw.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bf16"):
            y = model(x)
        torch.nn.functional.mse_loss(y.float(), target).backward()
        adamw.step()

    return step


def measure(call, seconds):
    begin, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - begin < seconds:
        call()
        calls += 1
    return (time.perf_counter() - begin) / calls


def do(job):
    seconds = job.pop("seconds")
    if job.pop("job") == "block":
        return measure(block(**job), seconds)
    with torch.inference_mode():
        return measure(product(**job), seconds)


def main():
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        try:
            answer = {"seconds": do(json.loads(line))}
        except Exception as error:  # whatever PyTorch raises, the other side must hear of it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
