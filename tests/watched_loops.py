"""Random small models and training loops, for comparing a watched loop with the same loop alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.checkpoint import checkpoint

CHANNELS = 4
FUNCTIONS: tuple[Callable[[Tensor], Tensor], ...] = (
    functional.relu, lambda x: functional.relu(x, inplace=True), lambda x: x.relu(), torch.tanh, torch.sigmoid,
    functional.gelu, functional.silu, lambda x: functional.leaky_relu(x, 0.1), lambda x: x.clamp(min=0),
)  # fmt: skip
MODULES: tuple[Callable[[], nn.Module], ...] = (
    nn.ReLU, lambda: nn.ReLU(inplace=True), nn.Tanh, nn.Sigmoid, nn.GELU, nn.PReLU, nn.ELU,
    lambda: nn.SiLU(inplace=True), nn.Identity,
)  # fmt: skip
DROPOUTS: tuple[Callable[[], nn.Module], ...] = (
    lambda: nn.Dropout(0.3), lambda: nn.Dropout(0.5, inplace=True), lambda: nn.AlphaDropout(0.2), nn.Identity,
)  # fmt: skip


class Block(nn.Module):
    """A main part, and maybe a normalization, an activation, a dropout, and a sum with what entered."""

    def __init__(self, pick: Random, conv: bool) -> None:
        super().__init__()
        self.main: nn.Module = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) if conv else nn.Linear(CHANNELS, CHANNELS)
        if pick.random() < 0.1:
            weight_norm(self.main)
        norms: list[Callable[[], nn.Module]] = [nn.Identity, lambda: nn.GroupNorm(2, CHANNELS)]
        norms += [lambda: nn.BatchNorm2d(CHANNELS), lambda: nn.InstanceNorm2d(CHANNELS, affine=True)] if conv else [
            lambda: nn.BatchNorm1d(CHANNELS), lambda: nn.LayerNorm(CHANNELS), lambda: nn.RMSNorm(CHANNELS),
            lambda: nn.BatchNorm1d(CHANNELS, affine=False),
        ]  # fmt: skip
        self.norm = pick.choice(norms)()
        self.active = pick.choice(MODULES)()
        self.function = pick.choice(FUNCTIONS) if pick.random() < 0.5 else None
        drops = [*DROPOUTS, lambda: nn.Dropout2d(0.4)] if conv else DROPOUTS
        self.drop = pick.choice(drops)()
        # a dropout in place spoils what most activations keep for the backward pass
        self.functional_drop = pick.random() < 0.3 or bool(getattr(self.drop, "inplace", False))
        self.residual = pick.choice(("none", "before", "in place", "after"))
        self.again = pick.random() < 0.2
        self.checkpointed = pick.choice((None, None, None, None, True, False))
        if pick.random() < 0.1:
            self.main.requires_grad_(False)
        if pick.random() < 0.1:
            self.norm.eval()

    def forward(self, x: Tensor) -> Tensor:
        if self.checkpointed is None:
            return self.inside(x)
        done: Tensor = checkpoint(self.inside, x, use_reentrant=self.checkpointed)
        return done

    def inside(self, x: Tensor) -> Tensor:
        out = self.norm(self.main(x))
        if self.again:
            out = self.norm(self.main(out))
        if self.residual == "before":
            out = out + x
        elif self.residual == "in place":
            out += x
        out = self.active(out) if self.function is None else self.function(out)
        if self.functional_drop:
            out = functional.dropout(out, 0.25, training=self.training)
        out = self.drop(out)
        whole: Tensor = x + out if self.residual == "after" else out
        return whole


class Sequence(nn.Module):
    """An embedding, a recurrent layer or attention, and what the answer is made of."""

    def __init__(self, pick: Random) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, CHANNELS, sparse=False)
        self.body: nn.Module
        self.kind = pick.choice(("rnn", "gru", "lstm", "attention", "encoder", "frozen encoder"))
        if self.kind in ("rnn", "gru", "lstm"):
            self.body = getattr(nn, self.kind.upper())(CHANNELS, CHANNELS, num_layers=2, dropout=0.2, batch_first=True)
        elif self.kind == "attention":
            self.body = nn.MultiheadAttention(CHANNELS, 2, dropout=0.1, batch_first=True)
        else:
            layer = nn.TransformerEncoderLayer(
                CHANNELS, 2, 8, 0.1, batch_first=True, norm_first=pick.random() < 0.5, activation="gelu"
            )
            self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        if self.kind == "frozen encoder":
            self.body.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Sequence:
        super().train(mode)
        if self.kind == "frozen encoder":
            self.body.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding((x.flatten(1) * 2).long().clamp(0, 8))
        if self.kind == "frozen encoder":
            x = x.detach()
        if self.kind == "attention":
            x = self.body(query=x, key=x, value=x)[0]
        else:
            x = self.body(x)
            x = x[0] if isinstance(x, tuple) else x
        return x.mean(1)


class Model(nn.Module):
    """Blocks of one kind, of which one may be used twice, and a head."""

    def __init__(self, pick: Random) -> None:
        super().__init__()
        self.kind = pick.choice(("linear", "linear", "conv", "sequence"))
        conv = self.kind == "conv"
        self.blocks = nn.ModuleList(Block(pick, conv) for _ in range(pick.randint(1, 3)))
        if self.kind == "sequence":
            self.blocks = nn.ModuleList([Sequence(pick)])
        elif pick.random() < 0.3:
            self.blocks.append(self.blocks[0])
        self.pool = pick.random() < 0.5
        self.head = nn.Linear(CHANNELS, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "linear":
            x = x.mean((2, 3))
        for block in self.blocks:
            x = block(x)
        if self.kind == "conv":
            x = functional.max_pool2d(x, 2).mean((2, 3)) if self.pool else x.mean((2, 3))
        out: Tensor = self.head(x)
        return out


class Loop:
    """One training loop, the same each time that it runs.

    Args:
        seed: decides everything.
    """

    def __init__(self, seed: int) -> None:
        self.pick = Random(seed)
        torch.manual_seed(seed)
        self.models: list[nn.Module] = [Model(self.pick)]
        kinds = ["plain", "accumulate", "clip", "scaler", "autocast", "adversarial", "closure", "penalty", "skips"]
        self.kind = self.pick.choice(kinds)
        # PyTorch has no LSTM in bfloat16 on the CPU
        self.lstm = any(isinstance(one, nn.LSTM) for one in self.models[0].modules())
        if self.kind == "adversarial":
            self.models.append(Model(self.pick))
        make: Callable[..., torch.optim.Optimizer] = self.pick.choice(
            (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop)
        )
        if self.kind == "closure":
            make = torch.optim.LBFGS
        more = {"max_iter": 2} if self.kind == "closure" else {}
        self.optimizers = [make(model.parameters(), lr=0.01, **more) for model in self.models]
        self.scaler = torch.amp.GradScaler("cpu", init_scale=256.0) if self.kind == "scaler" else None
        self.to_none = self.pick.random() < 0.7
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizers[0], 2) if self.pick.random() < 0.3 else None
        self.every: Any = self.pick.choice((1, 2, "epoch"))
        self.validate = self.pick.choice(("no_grad", "grad", "none"))
        self.told = self.pick.choice(("after", "before", "never"))
        self.x, self.y = torch.randn(2, 6, CHANNELS, 4, 4), torch.randint(0, 3, (2, 6))

    def run(self, recorder: Any = None) -> Iterator[str]:
        """Train two epochs, and give the digest of everything after each step."""
        for _ in range(2):
            for x, y in zip(self.x, self.y, strict=True):
                loss = self.step(x, y, recorder if self.told == "before" else None)
                if recorder is not None and self.told == "after":
                    recorder.step(loss=loss)
                yield self.digest(loss)
            self.validated()
            if self.schedule is not None:
                self.schedule.step()
            if recorder is not None:
                recorder.epoch(val_loss=loss)

    def step(self, x: Tensor, y: Tensor, recorder: Any) -> Tensor:
        model, optimizer = self.models[0], self.optimizers[0]
        if self.kind == "closure":

            def closure() -> Tensor:
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(x), y)
                loss.backward()  # type: ignore[no-untyped-call]
                return loss

            found: Any = optimizer.step(closure)  # type: ignore[arg-type]
            loss: Tensor = found.detach()
            return loss
        pieces = 2 if self.kind == "accumulate" else 1
        for part, label in zip(x.chunk(pieces), y.chunk(pieces), strict=True):
            loss = self.backward(model, part, label) / pieces
        if self.kind == "clip":
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        if recorder is not None:
            recorder.step(loss=loss)
        if self.scaler is not None:
            self.scaler.step(optimizer)
            self.scaler.update()
        else:
            optimizer.step()
        optimizer.zero_grad(set_to_none=self.to_none)
        if self.kind == "adversarial":
            other = self.models[1]
            loss = functional.cross_entropy(other(x), model(x).detach().softmax(-1)) + model(x).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizers[1].step()
            for one in self.optimizers:
                one.zero_grad(set_to_none=self.to_none)
        return loss

    def backward(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.kind in ("autocast", "scaler") and not self.lstm):
            loss = functional.cross_entropy(model(x), y)
        if self.kind == "penalty":
            (gradient,) = torch.autograd.grad(loss, [model.get_parameter("head.weight")], create_graph=True)
            loss = loss + gradient.square().sum()
        if self.kind == "skips" and float(loss.detach()) > 1.2:
            model(x)  # a forward pass without a backward pass
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def validated(self) -> None:
        if self.validate == "none":
            return
        model = self.models[0]
        model.eval()
        with torch.set_grad_enabled(self.validate == "grad"):
            self.answer = model(self.x[0]).detach()
        model.train()

    def digest(self, loss: Tensor) -> str:
        """Digest of weights, gradients, the optimizers' state, the generator's state, and the loss."""
        digest = hashlib.blake2b(digest_size=16)

        def add(value: Any) -> None:
            if isinstance(value, Tensor):
                digest.update(value.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
            elif isinstance(value, dict):
                for key, one in value.items():
                    digest.update(str(key).encode())
                    add(one)
            elif isinstance(value, list | tuple):
                for one in value:
                    add(one)
            else:
                digest.update(repr(value).encode())

        for model, optimizer in zip(self.models, self.optimizers, strict=True):
            add(model.state_dict())
            add([one.grad for one in model.parameters() if one.grad is not None])
            add(optimizer.state_dict())
        add([torch.get_rng_state(), loss, getattr(self, "answer", None)])
        return digest.hexdigest()
