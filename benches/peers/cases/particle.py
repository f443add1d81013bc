"""Particles by jax and torch: a step of self-replication, and the organism's task step as its authors write it and collapsed."""
import numpy as np

from . import Case, Peer, random, torch, uniform

RATE = 0.004
MILLION = 1_000_000


def replicate(shape, threads):
    """One step of every 5-cell-cell-1 linear net; weights lie [weight][particle] for jax, [particle][weight] for torch."""
    particles, cell = shape.get("particles", 1125), shape.get("cell", 3)
    sizes = [(5, cell), (cell, cell), (cell, 1)]
    count = sum(a * b for a, b in sizes)
    # Layer, cell and index of each weight, from 0 to 1 over the widest layer; the input of the task is 0.
    place = [(l / 2, j / (cell - 1), i / 4, 0) for l, (a, b) in enumerate(sizes) for i in range(a) for j in range(b)]
    place = np.array(place, np.float32)
    w = random().standard_normal((count, particles), dtype=np.float32) * np.float32(0.3)
    ends = np.cumsum([a * b for a, b in sizes])
    layers = [(end - a * b, end, a, b) for end, (a, b) in zip(ends, sizes)]
    # Ours has the weights of each unit together; here, those of each input.
    order = np.concatenate([start + np.arange(a * b).reshape(a, b).T.ravel() for start, _, a, b in layers])

    def parts(t, tw):
        return (tw[:, start:end].reshape(-1, i, o) for start, end, i, o in layers)

    def tensors():
        t = torch()
        tw, tplace = t.from_numpy(np.ascontiguousarray(w.T)), t.from_numpy(place)
        return t, tw, lambda: t.cat([tw[:, :, None], tplace[None].expand(particles, -1, -1)], 2)

    def torch_bmm():
        t, tw, rows = tensors()

        def step():
            x, (a, b, c) = rows(), parts(t, tw)
            h = t.bmm(x, a)
            g = t.bmm(h, b)
            d = (t.bmm(g, c) - tw[:, :, None]) * (2.0 / count)
            dc, dg = t.bmm(g.transpose(1, 2), d), t.bmm(d, c.transpose(1, 2))
            db, dh = t.bmm(h.transpose(1, 2), dg), t.bmm(dg, b.transpose(1, 2))
            da = t.bmm(x.transpose(1, 2), dh)
            return t.cat([(q - RATE * dq).reshape(particles, -1) for q, dq in ((a, da), (b, db), (c, dc))], 1)

        return step

    def torch_collapsed():
        """Our algebra: v = c b a of five numbers, its gradient chained back by outer products."""
        t, tw, rows = tensors()

        def step():
            a, b, c = parts(t, tw)
            bc = t.bmm(b, c)
            v, x = t.bmm(a, bc), rows()
            d = t.bmm(x.transpose(1, 2), (t.bmm(x, v) - tw[:, :, None]) * (2.0 / count))
            pull = t.bmm(a.transpose(1, 2), d)
            grads = (d * bc.transpose(1, 2), pull * c.transpose(1, 2), t.bmm(b.transpose(1, 2), pull))
            return t.cat([(q - RATE * dq).reshape(particles, -1) for q, dq in zip((a, b, c), grads)], 1)

        return step

    def by_jax():
        import jax
        import jax.numpy as jnp

        jplace, jw = jnp.asarray(place), jnp.asarray(w)

        def forward(w, x):
            h = [x[:, i] for i in range(5)]
            for start, end, a, b in layers:
                q = w[start:end].reshape(a, b)
                h = [sum(h[i] * q[i, j] for i in range(a)) for j in range(b)]
            return h[0]

        def step(w):
            loss = lambda w, target: jnp.mean((forward(w, jnp.concatenate([target[:, None], jplace], 1)) - target) ** 2)
            return w - RATE * jax.grad(loss)(w, w)

        compiled = jax.jit(jax.vmap(step, in_axes=1, out_axes=1))
        return lambda: compiled(jw).block_until_ready()

    def by_jax_arrays():
        """The same on whole arrays, particles last throughout."""
        import jax
        import jax.numpy as jnp

        jplace, jw = jnp.asarray(place), jnp.asarray(w)

        def loss(w, target):
            h = [target] + [jnp.broadcast_to(jplace[:, k : k + 1], target.shape) for k in range(4)]
            for start, end, a, b in layers:
                q = w[start:end].reshape(a, b, -1)
                h = [sum(h[i] * q[i, j] for i in range(a)) for j in range(b)]
            return jnp.sum(jnp.mean((h[0] - target) ** 2, 0))

        compiled = jax.jit(lambda w: w - RATE * jax.grad(loss)(w, w))
        return lambda: compiled(jw).block_until_ready()

    rows = lambda answer: np.asarray(answer)[:, order]
    peers = [
        Peer("jax on whole arrays", by_jax_arrays, lambda answer: rows(np.asarray(answer).T), "jax"),
        Peer("jax", by_jax, lambda answer: rows(np.asarray(answer).T)),
        Peer("torch bmm", torch_bmm, rows),
        Peer("torch, our algebra", torch_collapsed, rows, "ours"),
    ]
    start = np.ascontiguousarray(w.T[:, order])
    return Case(peers, {"w": start}, 2e-3, start, check={"rate": int(RATE * MILLION)})


def organism(shape, threads):
    """A task step with SGD: 1200 modules in a loop as the authors have it, and products with the matrix of effective weights."""
    rng, widths, cell, batch, rate = random(), (225, 5, 5, 10), 5, shape.get("batch", 2000), 0.01
    x, labels = uniform(rng, batch, widths[0]), rng.integers(0, 10, batch)
    counts = [a * b for a, b in zip(widths, widths[1:])]
    w = rng.standard_normal((sum(counts), 5 * cell + cell * cell + cell), dtype=np.float32) * np.float32(0.4)
    parts = lambda: (p.reshape(-1, *shape).copy() for p, shape in zip(np.split(w, (25, 50), 1), ((cell, 5), (cell, cell), (1, cell))))

    def gradient_step(gradients):
        return w - np.float32(rate) * np.concatenate([g.numpy().reshape(sum(counts), -1) for g in gradients], 1)

    def loop():
        t = torch()
        nn, tx, tlabels = t.nn, t.from_numpy(x), t.from_numpy(labels)
        net = lambda: nn.Sequential(nn.Linear(5, cell, bias=False), nn.Linear(cell, cell, bias=False), nn.Linear(cell, 1, bias=False))
        layers = nn.ModuleList(nn.ModuleList(nn.ModuleList(net() for _ in range(a)) for _ in range(b)) for a, b in zip(widths, widths[1:]))
        given, at = list(parts()), 0
        for a, cells in zip(widths, layers):
            for to, own in enumerate(cells):
                for source, particle in enumerate(own):
                    for linear, weights in zip(particle, given):
                        linear.weight.data = t.from_numpy(weights[at + source * len(cells) + to].copy())
            at += a * len(cells)
        optimiser = t.optim.SGD(layers.parameters(), lr=1e-9, momentum=0.9)

        def step():
            with t.enable_grad():
                value = tx
                for index, cells in enumerate(layers):
                    row = t.zeros(batch, value.shape[1], 5)
                    row = t.cat([row[:, :, :4], value[:, :, None]], 2)
                    value = t.hstack([sum(particle(row[:, i]) for i, particle in enumerate(own)) for own in cells])
                    value = nn.functional.gelu(value) if index < len(layers) - 1 else value
                optimiser.zero_grad()
                nn.functional.cross_entropy(value, tlabels).backward()
                optimiser.step()
            return layers

        return step

    def of_loop(layers):
        order = [[[own[source] for own in cells] for source in range(a)] for a, cells in zip(widths, layers)]
        particles = [particle for sources in order for own in sources for particle in own]
        stack = torch().stack
        return gradient_step([stack([particle[l].weight.grad for particle in particles]) for l in range(3)])

    def collapsed():
        t = torch()
        nn, tx, tlabels = t.nn, t.from_numpy(x), t.from_numpy(labels)
        parameters = [nn.Parameter(t.from_numpy(part)) for part in parts()]
        optimiser = t.optim.SGD(parameters, lr=1e-9, momentum=0.9)

        def step():
            with t.enable_grad():
                first, second, third = parameters
                c = t.bmm(third, t.bmm(second, first[:, :, 4:])).view(-1)
                value = tx
                for index, (part, a, b) in enumerate(zip(c.split(counts), widths, widths[1:])):
                    value = value @ part.view(a, b)
                    value = nn.functional.gelu(value) if index < len(counts) - 1 else value
                optimiser.zero_grad()
                nn.functional.cross_entropy(value, tlabels).backward()
                optimiser.step()
            return parameters

        return step

    peers = [
        Peer("authors' torch loop", loop, of_loop),
        Peer("torch, our algebra", collapsed, lambda parameters: gradient_step([p.grad for p in parameters]), "ours"),
    ]
    return Case(peers, {"x": x, "labels": labels.astype(np.uint8), "w": w}, 5e-3, w, check={"rate": int(rate * MILLION)})


CASES = {"replicate": replicate, "organism": organism}
