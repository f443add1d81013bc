"""Particles by jax and torch: a step of self-replication, and the organism's task step as its authors write it and collapsed."""
import numpy as np
import torch
from torch import nn

RNG = np.random.default_rng(0)


def replicate(particles, cell):
    """One step of every 5-cell-cell-1 linear net; weights lie [weight][particle] for jax, [particle][weight] for torch."""
    sizes = [(5, cell), (cell, cell), (cell, 1)]
    count = sum(a * b for a, b in sizes)
    place = [(l / 2, j / max(b - 1, 1), i / max(a - 1, 1), 0) for l, (a, b) in enumerate(sizes) for i in range(a) for j in range(b)]
    place = np.array(place, np.float32)
    w = RNG.standard_normal((count, particles), dtype=np.float32) * np.float32(0.3)
    ends = np.cumsum([a * b for a, b in sizes])
    layers = [(end - a * b, end, a, b) for end, (a, b) in zip(ends, sizes)]
    tw, tplace = torch.from_numpy(np.ascontiguousarray(w.T)), torch.from_numpy(place)

    def torch_bmm():
        x = torch.cat([tw[:, :, None], tplace[None].expand(particles, -1, -1)], 2)
        a, b, c = (tw[:, start:end].reshape(-1, i, o) for start, end, i, o in layers)
        h = torch.bmm(x, a)
        g = torch.bmm(h, b)
        d = (torch.bmm(g, c) - tw[:, :, None]) * (2.0 / count)
        dc, dg = torch.bmm(g.transpose(1, 2), d), torch.bmm(d, c.transpose(1, 2))
        db, dh = torch.bmm(h.transpose(1, 2), dg), torch.bmm(dg, b.transpose(1, 2))
        da = torch.bmm(x.transpose(1, 2), dh)
        return torch.cat([(q.reshape(particles, -1) - 0.004 * dq.reshape(particles, -1)) for q, dq in ((a, da), (b, db), (c, dc))], 1)

    def torch_collapsed():
        """Our algebra: v = c b a of five numbers, its gradient chained back by outer products."""
        a, b, c = (tw[:, start:end].reshape(-1, i, o) for start, end, i, o in layers)
        bc = torch.bmm(b, c)
        v = torch.bmm(a, bc)
        x = torch.cat([tw[:, :, None], tplace[None].expand(particles, -1, -1)], 2)
        d = torch.bmm(x.transpose(1, 2), (torch.bmm(x, v) - tw[:, :, None]) * (2.0 / count))
        pull = torch.bmm(a.transpose(1, 2), d)
        grads = (d * bc.transpose(1, 2), pull * c.transpose(1, 2), torch.bmm(b.transpose(1, 2), pull))
        return torch.cat([(q - 0.004 * dq).reshape(particles, -1) for q, dq in zip((a, b, c), grads)], 1)

    peers = [("torch collapsed", torch_collapsed), ("torch bmm", torch_bmm)]
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return peers
    jplace, jw = jnp.asarray(place), jnp.asarray(w)

    def forward(w, x):
        h = [x[:, i] for i in range(5)]
        for start, end, a, b in layers:
            q = w[start:end].reshape(a, b)
            h = [sum(h[i] * q[i, j] for i in range(a)) for j in range(b)]
        return h[0]

    def step(w):
        loss = lambda w, target: jnp.mean((forward(w, jnp.concatenate([target[:, None], jplace], 1)) - target) ** 2)
        return w - 0.004 * jax.grad(loss)(w, w)

    compiled = jax.jit(jax.vmap(step, in_axes=1, out_axes=1))
    return [("jax", lambda: compiled(jw).block_until_ready()), *peers]


def organism(widths=(225, 5, 5, 10), cell=5, batch=2000):
    """A task step with SGD: 1200 modules in a loop as the authors have it, and products with the matrix of effective weights."""
    x, labels = torch.rand(batch, widths[0]), torch.randint(0, 10, (batch,))
    net = lambda: nn.Sequential(nn.Linear(5, cell, bias=False), nn.Linear(cell, cell, bias=False), nn.Linear(cell, 1, bias=False))
    layers = nn.ModuleList(nn.ModuleList(nn.ModuleList(net() for _ in range(a)) for _ in range(b)) for a, b in zip(widths, widths[1:]))
    loop_optimiser = torch.optim.SGD(layers.parameters(), lr=1e-9, momentum=0.9)

    def loop():
        with torch.enable_grad():
            value = x
            for index, cells in enumerate(layers):
                row = torch.zeros(batch, value.shape[1], 5)
                row = torch.cat([row[:, :, :4], value[:, :, None]], 2)
                value = torch.hstack([sum(particle(row[:, i]) for i, particle in enumerate(own)) for own in cells])
                value = nn.functional.gelu(value) if index < len(layers) - 1 else value
            loop_optimiser.zero_grad()
            nn.functional.cross_entropy(value, labels).backward()
            loop_optimiser.step()

    counts = [a * b for a, b in zip(widths, widths[1:])]
    parameters = [nn.Parameter(torch.randn(sum(counts), *shape) * 0.4) for shape in ((cell, 5), (cell, cell), (1, cell))]
    optimiser = torch.optim.SGD(parameters, lr=1e-9, momentum=0.9)

    def collapsed():
        with torch.enable_grad():
            first, second, third = parameters
            c = torch.bmm(third, torch.bmm(second, first[:, :, 4:])).view(-1)
            value = x
            for index, (part, a, b) in enumerate(zip(c.split(counts), widths, widths[1:])):
                value = value @ part.view(a, b)
                value = nn.functional.gelu(value) if index < len(counts) - 1 else value
            optimiser.zero_grad()
            nn.functional.cross_entropy(value, labels).backward()
            optimiser.step()

    return [("torch collapsed", collapsed), ("authors' torch loop", loop)]
