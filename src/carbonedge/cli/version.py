"""``carbonedge --version``."""

from __future__ import annotations

import importlib.metadata

import click

from carbonedge._backend import backend

__all__ = ["print_version"]


def print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the version and the backend, and leave."""
    if wanted:
        used = backend()
        version = importlib.metadata.version("carbonedge")
        click.echo(f"carbonedge {version}, {used.name} backend ({used.detail})")
        context.exit()
