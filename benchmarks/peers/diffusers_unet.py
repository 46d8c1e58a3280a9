"""A small UNet2DModel of diffusers, trained to predict noise, sampled by DDIM in 20 steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from common import arguments, save, train
from without_torchvision import stand_in

stand_in()
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel  # noqa: E402

BATCH, STEPS = 32, 20


def main() -> None:
    images, seconds, count, to = arguments()
    model = UNet2DModel(
        sample_size=images.shape[2], in_channels=images.shape[1], out_channels=images.shape[1], layers_per_block=1,
        block_out_channels=(32, 64, 96), norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    forward = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

    def step(real: torch.Tensor) -> None:
        noise, times = torch.randn_like(real), torch.randint(0, 1000, (len(real),))
        loss = F.mse_loss(model(forward.add_noise(real, noise, times), times).sample, noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(model)

    seen, spent = train(images, BATCH, seconds, step)
    average.eval()
    backward = DDIMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
    backward.set_timesteps(STEPS)

    def make(n: int) -> torch.Tensor:
        x = torch.randn(n, *images.shape[1:])
        for time in backward.timesteps:
            x = backward.step(average(x, time).sample, time, x).prev_sample
        return x

    save(make, count, to, seen, spent, sum(p.numel() for p in model.parameters()))


if __name__ == "__main__":
    main()
