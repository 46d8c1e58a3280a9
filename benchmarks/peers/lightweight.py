"""lightweight-gan (after FastGAN): its pair, hinge losses and reconstructions, with its translation and cut-outs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from common import arguments, save, train
from without_torchvision import stand_in

stand_in()
here = torch.cuda.is_available
torch.cuda.is_available = lambda: True  # it refuses to be imported without a graphics card, and then runs without
from lightweight_gan.lightweight_gan import LightweightGAN  # noqa: E402

torch.cuda.is_available = here

BATCH, LATENT = 16, 128


def main() -> None:
    images, seconds, count, to = arguments()
    size, channels = images.shape[2], images.shape[1]
    torch.nn.Module.cuda = lambda module, device=None: module  # type: ignore[assignment,method-assign]
    pair = LightweightGAN(
        latent_dim=LATENT, image_size=size, optimizer="adam", fmap_max=128, disc_output_size=1, attn_res_layers=[],
        freq_chan_attn=False, ttur_mult=1.0, lr=2e-4, transparent=channels == 4, greyscale=channels == 1,
    )  # fmt: skip
    done = 0

    def step(real: torch.Tensor) -> None:
        nonlocal done
        real = (real + 1) / 2
        made = pair.G(torch.randn(len(real), LATENT))
        pair.D_opt.zero_grad()
        options = {"prob": 0.25, "types": ["translation", "cutout"]}
        fake, fake_small, _ = pair.D_aug(made.detach(), detach=True, **options)
        true, true_small, rebuilt = pair.D_aug(real, calc_aux_loss=True, **options)
        loss = sum((F.relu(1 + f) + F.relu(1 - t)).mean() for f, t in ((fake, true), (fake_small, true_small)))
        (loss + rebuilt).backward()
        pair.D_opt.step()
        pair.G_opt.zero_grad()
        whole, small, _ = pair.D_aug(made, **options)
        (whole.mean() + small.mean()).mul(-1).backward()
        pair.G_opt.step()
        done += 1
        if done % 10 == 0:
            pair.EMA() if done > 200 else pair.reset_parameter_averaging()

    seen, spent = train(images, BATCH, seconds, step)
    pair.eval()
    parameters = sum(p.numel() for p in pair.G.parameters())
    save(lambda n: pair.GE(torch.randn(n, LATENT)).clamp(0, 1) * 2 - 1, count, to, seen, spent, parameters)


if __name__ == "__main__":
    main()
