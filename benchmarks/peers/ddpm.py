"""denoising-diffusion-pytorch: its Unet and GaussianDiffusion as they come, sampled in 20 steps."""

from __future__ import annotations

import copy

import torch
from common import arguments, save, train
from without_torchvision import stand_in

stand_in()
from denoising_diffusion_pytorch import GaussianDiffusion, Unet  # noqa: E402

BATCH, STEPS = 32, 20


def main() -> None:
    images, seconds, count, to = arguments()
    model = Unet(dim=32, dim_mults=(1, 2, 2), channels=images.shape[1])
    diffusion = GaussianDiffusion(model, image_size=images.shape[2], timesteps=1000, sampling_timesteps=STEPS)
    average = copy.deepcopy(diffusion)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, betas=(0.9, 0.99))

    def step(real: torch.Tensor) -> None:
        optimizer.zero_grad()
        diffusion((real + 1) / 2).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for mean, new in zip(average.parameters(), diffusion.parameters(), strict=True):
                mean.lerp_(new, 0.005)

    seen, spent = train(images, BATCH, seconds, step)
    parameters = sum(p.numel() for p in model.parameters())
    save(lambda n: average.sample(batch_size=n) * 2 - 1, count, to, seen, spent, parameters)


if __name__ == "__main__":
    main()
