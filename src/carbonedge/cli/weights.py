"""Weights on the command line."""

from __future__ import annotations

import click

__all__ = ["WeightsOption"]


class WeightsOption(click.ParamType[dict[str, float]]):
    """Names and numbers, such as ``latency=1,emissions=2e6``."""

    name = "NAME=NUMBER[,...]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, float]:
        weights: dict[str, float] = {}
        for part in str(value).split(","):
            name, _, number = (side.strip() for side in part.partition("="))
            if name in weights:
                self.fail(f"{name!r} is given twice in {value!r}", param, ctx)
            try:
                weights[name] = float(number)
            except ValueError:
                self.fail(
                    f"{part!r} is not a name, '=' and a number: give such as "
                    "latency=1,emissions=2e6",
                    param,
                    ctx,
                )
        return weights
