"""The textbook pair (Radford and others, 2015) in float32: transposed 4x4 convolutions, batch normalisation in both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from common import arguments, save, train
from torch import nn

WIDTH, LATENT, BATCH = 64, 100, 64


def pair(channels: int, size: int) -> tuple[nn.Sequential, nn.Sequential]:
    levels = (size // 4).bit_length() - 1  # doublings from 4x4
    up: list[nn.Module] = [nn.ConvTranspose2d(LATENT, WIDTH << (levels - 1), 4, bias=False)]
    for level in reversed(range(levels)):
        up += [nn.BatchNorm2d(WIDTH << level), nn.ReLU()]
        outputs = WIDTH << (level - 1) if level else channels
        up.append(nn.ConvTranspose2d(WIDTH << level, outputs, 4, 2, 1, bias=level == 0))
    down: list[nn.Module] = []
    for level in range(levels):
        inputs = WIDTH << (level - 1) if level else channels
        down.append(nn.Conv2d(inputs, WIDTH << level, 4, 2, 1, bias=level == 0))
        down += [nn.BatchNorm2d(WIDTH << level)] * bool(level) + [nn.LeakyReLU(0.2)]
    down.append(nn.Conv2d(WIDTH << (levels - 1), 1, 4))
    generator, critic = nn.Sequential(*up, nn.Tanh()), nn.Sequential(*down)
    for module in [*generator.modules(), *critic.modules()]:
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.02)
    return generator, critic


def main() -> None:
    images, seconds, count, to = arguments()
    generator, critic = pair(images.shape[1], images.shape[2])
    first, second = (torch.optim.Adam(n.parameters(), 2e-4, betas=(0.5, 0.999)) for n in (generator, critic))

    def step(real: torch.Tensor) -> None:
        made = generator(torch.randn(len(real), LATENT, 1, 1))
        second.zero_grad()
        loss = F.softplus(-critic(real)).mean() + F.softplus(critic(made.detach())).mean()
        loss.backward()
        second.step()
        first.zero_grad()
        F.softplus(-critic(made)).mean().backward()
        first.step()

    seen, spent = train(images, BATCH, seconds, step)
    generator.train()  # by the statistics of the batch, as the textbook's samples are usually shown
    parameters = sum(p.numel() for p in generator.parameters())
    save(lambda n: generator(torch.randn(max(n, BATCH), LATENT, 1, 1))[:n], count, to, seen, spent, parameters)


if __name__ == "__main__":
    main()
