"""Algorithm 1 of the self-organising hierarchy in torch, as its authors would write it: seconds per epoch, the total last.

  python benches/peers/hierarchy.py [train-images-idx3-ubyte] [--threads 2] [--epochs 5]

Topology A1: three autoencoders on a 20 x 40 map, each of which sees half of the 20 x 20 image. For each batch, K saturating sweeps write the
units' activities to the map without gradients, whole autoencoders as in the authors' code; then every unit is trained once.
The images are in memory, cropped and scaled before the clock starts; without a file they are random.
"""
import argparse
import time

import numpy as np
import torch
from torch import nn

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("images", nargs="?", help="MNIST's training images, unpacked")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--epochs", type=int, default=5)
given = parser.parse_args()
torch.set_num_threads(given.threads)
torch.manual_seed(0)

if given.images:
    pixels = np.fromfile(given.images, np.uint8, offset=16).reshape(-1, 28, 28)[:48_000, 4:24, 4:24]
else:
    pixels = np.random.default_rng(0).integers(0, 256, (48_000, 20, 20), dtype=np.uint8)
images = torch.from_numpy(pixels.astype(np.float32) / 255)

FIELDS = [(slice(0, 20), slice(0, 10)), (slice(0, 10), slice(0, 20)), (slice(0, 20), slice(10, 20))]
TILES = [(slice(0, 10), slice(20, 30)), (slice(10, 20), slice(20, 30)), (slice(0, 10), slice(30, 40))]
K, BATCH = len(FIELDS), 128


class Autoencoder(nn.Module):
    def __init__(self, inputs=200, hidden=100):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(0.2))
        self.decoder = nn.Sequential(nn.Linear(hidden, inputs), nn.ReLU(), nn.Dropout(0.2))

    def forward(self, x):
        latent = self.encoder(x)
        return latent, self.decoder(latent)


units = [Autoencoder() for _ in range(K)]
optimisers = [torch.optim.Adam(unit.parameters(), lr=1e-2, weight_decay=1e-4) for unit in units]
criterion = nn.MSELoss()
begin = time.perf_counter()
for epoch in range(given.epochs):
    start, total = time.perf_counter(), 0.0
    for batch in torch.randperm(len(images)).split(BATCH):
        sheet = torch.zeros(len(batch), 20, 40)
        sheet[:, :, :20] = images[batch]
        with torch.no_grad():
            for _ in range(K):
                for unit, field, tile in zip(units, FIELDS, TILES):
                    latent, _ = unit(sheet[:, *field].reshape(len(batch), -1))
                    sheet[:, *tile] = latent.view(-1, 10, 10)
        for unit, optimiser, field, tile in zip(units, optimisers, FIELDS, TILES):
            x = sheet[:, *field].reshape(len(batch), -1)
            latent, output = unit(x)
            loss = criterion(output, x)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            sheet[:, *tile] = latent.detach().view(-1, 10, 10)
        total += loss.item()
    print(f"epoch {epoch + 1}: {time.perf_counter() - start:.3f} s, loss {total / (len(images) // BATCH):.5f}", flush=True)
print(f"{time.perf_counter() - begin:.3f} s for {given.epochs} epochs with {given.threads} threads")
