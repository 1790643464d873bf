"""What a person sees: the ``carbonedge`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from carbonedge.cli.cluster import cluster
from carbonedge.cli.demo import demo
from carbonedge.cli.intensity import intensity
from carbonedge.cli.meters import meters
from carbonedge.cli.nodes import nodes
from carbonedge.cli.paper import paper
from carbonedge.cli.plan import plan
from carbonedge.cli.profile import profile
from carbonedge.cli.replay import replay
from carbonedge.cli.report import report
from carbonedge.cli.run import run
from carbonedge.cli.schedule import schedule
from carbonedge.cli.split import split
from carbonedge.cli.sweep import sweep
from carbonedge.cli.top import top
from carbonedge.cli.verify import verify
from carbonedge.cli.version import print_version
from carbonedge.exceptions import CarbonEdgeError

__all__ = ["main"]

USAGE_ERROR = 2
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Show the version and the backend in use.",
)
def cli() -> None:
    """Plan, schedule and run ONNX models on unlike edge nodes at the least carbon."""


for command in (
    *(demo, run, plan, profile, split, verify, schedule, sweep, nodes),
    *(cluster, top, meters, intensity, report, paper, replay),
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 when all is well, 1 when a split is unfaithful,
    2 for wrong input, 130 after Ctrl-C.
    """
    try:
        code = cli.main(arguments, prog_name="carbonedge", standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message())
    except click.exceptions.Abort:
        sys.exit(INTERRUPTED)
    except OSError as error:
        _fail(_without_number(error))
    except (CarbonEdgeError, ValueError) as error:
        _fail(str(error))
    sys.exit(code or 0)


def _without_number(error: OSError) -> str:
    """What the system refused, without its number of the error, and what helps."""
    if error.filename is None or error.strerror is None:
        return error.strerror or str(error)
    return f"cannot open {str(error.filename)!r}: {error.strerror}; check the path"


def _fail(message: str) -> None:
    click.echo("carbonedge: " + " ".join(message.split()), err=True)
    sys.exit(USAGE_ERROR)
